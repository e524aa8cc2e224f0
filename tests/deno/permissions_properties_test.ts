/** Whatever is asked, granted and linked: the result is never wider than either side. */
import "./_seed.ts";
import assert from "node:assert/strict";
import fc from "npm:fast-check@4.10.2";
import { isInside } from "../../src/platform/mod.ts";
import {
  decidePolicy,
  effectivePolicy,
  recheckPolicy,
} from "../../src/permissions/policy/effective_policy.ts";
import { gateMethod } from "../../src/permissions/guard/method_gate.ts";
import { mayDoEverything } from "../../src/permissions/need.ts";
import type { PolicyFacts, PolicyRequest } from "../../src/permissions/policy/policy.ts";
import { threadPolicyParams } from "../../src/permissions/policy/profile_config.ts";
import type { SandboxPolicy } from "../../src/permissions/types.ts";
import { test } from "../_harness.ts";
import { factsOf, type Grants, probeOf } from "../unit/permissions/_world.ts";

const DIRS = [
  "/",
  "/ws",
  "/ws/a",
  "/ws/a/b",
  "/data",
  "/data/x",
  "/tmp",
  "/var/tmp/me",
  "/link",
  "/link/a",
];
const dir = fc.constantFrom(...DIRS);
const scope = fc.oneof(
  fc.constant("all" as const),
  fc.uniqueArray(dir, { maxLength: 5 }),
);
const grants: fc.Arbitrary<Grants> = fc.record({
  read: scope,
  write: scope,
  net: fc.constantFrom("all" as const, []),
  everythingElse: fc.boolean(),
});
const sandbox: fc.Arbitrary<SandboxPolicy> = fc.oneof(
  fc.record({ type: fc.constant("readOnly" as const), networkAccess: fc.boolean() }),
  fc.record({
    type: fc.constant("workspaceWrite" as const),
    writableRoots: fc.uniqueArray(dir, { maxLength: 3 }),
    networkAccess: fc.boolean(),
    excludeSlashTmp: fc.boolean(),
    excludeTmpdirEnvVar: fc.boolean(),
  }),
  fc.constant({ type: "dangerFullAccess" as const }),
  fc.record({
    type: fc.constant("externalSandbox" as const),
    networkAccess: fc.constantFrom("restricted" as const, "enabled" as const),
  }),
  fc.constant({ type: "somethingNew" } as unknown as SandboxPolicy),
);
const facts: fc.Arbitrary<PolicyFacts> = fc.record({
  links: fc.constantFrom<Record<string, string>>({}, { "/link": "/ws" }, { "/link": "/secret" }, {
    "/ws/a": "/secret",
    "/tmp": "/private/tmp",
  }),
  tmpdir: fc.constantFrom(null, "/var/tmp/me", "/tmp"),
}).map(({ links, tmpdir }) => factsOf(links, { tmpdir }));
const request: fc.Arbitrary<PolicyRequest> = fc.record({
  cwd: dir,
  sandbox,
  approvalPolicy: fc.constant("never" as const),
  attachments: fc.uniqueArray(dir, { maxLength: 2 }),
});

/** What a policy lets commands do, in words that can be compared. */
function reachOf(policy: SandboxPolicy, cwd: string, tmpdir: string | null) {
  const free = policy.type !== "readOnly" && policy.type !== "workspaceWrite";
  const network = policy.type === "dangerFullAccess" ||
    (policy as { networkAccess?: unknown }).networkAccess === true || free;
  const writes = policy.type !== "workspaceWrite" ? [] : [
    cwd,
    ...(policy.writableRoots ?? []),
    ...(policy.excludeSlashTmp === true ? [] : ["/tmp"]),
    ...(policy.excludeTmpdirEnvVar === true || tmpdir === null ? [] : [tmpdir]),
  ];
  return { free, network, writes };
}

test("the effective policy is never wider than what the script may do", () => {
  fc.assert(
    fc.property(request, grants, facts, (asked, granted, machine) => {
      const probe = probeOf(granted);
      const policy = effectivePolicy(asked, probe, machine, "narrow");
      const { free, network, writes } = reachOf(policy.sandbox, policy.cwd, machine.tmpdir);
      if (free) assert(mayDoEverything(probe));
      if (network) assert(probe.net());
      for (const path of writes) {
        assert(probe.write() || probe.write(path), `write ${path}`);
        const real = machine.realPath(path)!;
        assert(probe.write() || probe.write(real), `write ${real} behind ${path}`);
        assert(probe.read() || (probe.read(path) && probe.read(real)), `read ${path}`);
      }
      if (policy.readRoots === "all") assert(probe.read());
      else {
        for (const root of policy.readRoots) {
          assert(probe.read(root) && probe.read(machine.realPath(root)!), `read ${root}`);
        }
      }
    }),
    { numRuns: 5_000 },
  );
});

test("the effective policy is never wider than what was asked", () => {
  fc.assert(
    fc.property(request, grants, facts, (asked, granted, machine) => {
      const policy = effectivePolicy(asked, probeOf(granted), machine, "narrow");
      const rank = ["readOnly", "workspaceWrite", "externalSandbox", "dangerFullAccess"];
      const unknown = rank.indexOf(asked.sandbox.type) < 0;
      if (!unknown) {
        assert(rank.indexOf(policy.sandbox.type) <= rank.indexOf(asked.sandbox.type));
      } else if (policy.sandbox.type !== asked.sandbox.type) {
        assert.equal(policy.sandbox.type, "readOnly");
      }
      const before = reachOf(asked.sandbox, asked.cwd, machine.tmpdir);
      const after = reachOf(policy.sandbox, policy.cwd, machine.tmpdir);
      if (asked.sandbox.type !== "externalSandbox") assert(before.network || !after.network);
      if (!before.free) {
        const allowed = before.writes.map((path) => machine.realPath(path)!);
        for (const path of after.writes) {
          const real = machine.realPath(path)!;
          assert(allowed.some((root) => isInside(real, root)), `${path} was not asked for`);
        }
      }
    }),
    { numRuns: 5_000 },
  );
});

test("refusing and narrowing agree: what is not refused is not narrowed", () => {
  fc.assert(
    fc.property(request, grants, facts, (asked, granted, machine) => {
      const { policy, denied } = decidePolicy(asked, probeOf(granted), machine);
      if (denied.length > 0) return;
      assert.equal(policy.sandbox.type, asked.sandbox.type);
      // Only temporary directories may be left out without being refused.
      for (const sentence of policy.narrowed) {
        assert.match(sentence, /^(\/tmp|The directory in TMPDIR)/);
      }
      recheckPolicy(policy, probeOf(granted), machine);
    }),
    { numRuns: 5_000 },
  );
});

test("a profile names no path that the script may not use", () => {
  fc.assert(
    fc.property(request, grants, facts, (asked, granted, machine) => {
      const probe = probeOf(granted);
      const policy = effectivePolicy(asked, probe, machine, "narrow");
      const { config, sandbox } = threadPolicyParams(policy, {
        files: { executable: "/opt/codex", root: null, rootLinks: [] },
      });
      if (sandbox !== undefined) {
        assert(policy.readRoots === "all");
        return;
      }
      const name = config["default_permissions"] as string;
      const { filesystem } =
        (config["permissions"] as Record<string, { filesystem: Record<string, string> }>)[name]!;
      for (const [path, access] of Object.entries(filesystem)) {
        if (path === "/opt/codex" || path === ":minimal") continue;
        const spelled = path === ":slash_tmp"
          ? "/tmp"
          : path === ":tmpdir"
          ? machine.tmpdir!
          : path;
        assert(probe.read(spelled), `${access} ${path}`);
        if (access === "write") assert(probe.write(spelled), `${access} ${path}`);
      }
    }),
    { numRuns: 5_000 },
  );
});

test("a raw thread gets no further than a session", () => {
  fc.assert(
    fc.property(request, grants, facts, (asked, granted, machine) => {
      const probe = probeOf(granted);
      const params = { cwd: asked.cwd, sandboxPolicy: { ...asked.sandbox } };
      const refusal = gateMethod("turn/start", params as never, probe, {
        consent: null,
        asksBeforeLeaving: true,
        realPath: machine.realPath,
      });
      if (refusal === null) {
        const { denied } = decidePolicy({ ...asked, attachments: [] }, probe, machine);
        assert.deepEqual(denied, []);
      }
    }),
    { numRuns: 5_000 },
  );
});
