import assert from "node:assert/strict";
import {
  type AcceptedRequest,
  guardAcceptance,
} from "../../../src/permissions/guard/approval_guard.ts";
import { unrestrictedProbe } from "../../../src/permissions/probe.ts";
import { test } from "../../_harness.ts";
import { ALL, factsOf, type Grants, probeOf } from "./_world.ts";

const WS: Grants = { read: ["/ws"], write: ["/ws"], net: ["api.example"] };
const { realPath } = factsOf({ "/ws/link": "/secret" });

const CASES: [string, AcceptedRequest, string[] | null][] = [
  ["a command leaves the sandbox", { type: "command" }, [
    "--allow-read",
    "--allow-write",
    "--allow-net",
    "--allow-run",
    "--allow-env",
    "--allow-sys",
    "--allow-ffi",
  ]],
  ["a granted host", { type: "command", network: { host: "api.example" } }, null],
  ["another host", { type: "command", network: { host: "evil.example" } }, [
    "--allow-net=evil.example",
  ]],
  ["an address", { type: "command", network: { host: "::1" } }, ["'--allow-net=[::1]'"]],
  ["an address", { type: "command", network: { host: "2001:db8::1" } }, [
    "'--allow-net=[2001:db8::1]'",
  ]],
  ["a host that can't be told", { type: "command", network: { host: "" } }, ["--allow-net"]],
  ["a change inside", { type: "fileChange", changes: [{ path: "/ws/a" }] }, null],
  ["a change outside", { type: "fileChange", changes: [{ path: "/etc/a" }] }, [
    "--allow-write=/etc/a",
  ]],
  ["a move outside", { type: "fileChange", changes: [{ path: "/ws/a", movePath: "/b" }] }, [
    "--allow-write=/b",
  ]],
  ["a change through a link", { type: "fileChange", changes: [{ path: "/ws/link/a" }] }, [
    "--allow-write=/secret/a",
  ]],
  ["an unknown change", { type: "fileChange", changes: null }, ["--allow-write"]],
  ["a root for later", { type: "fileChange", changes: [], grantRoot: "/etc" }, [
    "--allow-write=/etc",
  ]],
  [
    "no permissions",
    { type: "permissions", permissions: { network: null, fileSystem: null } },
    null,
  ],
  [
    "network",
    { type: "permissions", permissions: { network: { enabled: true }, fileSystem: null } },
    ["--allow-net"],
  ],
  [
    "files inside",
    {
      type: "permissions",
      permissions: { network: null, fileSystem: { read: ["/ws/a"], write: ["/ws"] } },
    },
    null,
  ],
  [
    "files outside",
    {
      type: "permissions",
      permissions: { network: null, fileSystem: { read: ["/etc"], write: null } },
    },
    ["--allow-read=/etc"],
  ],
  [
    "entries",
    {
      type: "permissions",
      permissions: {
        network: null,
        fileSystem: {
          entries: [
            { path: { type: "path", path: "/ws" }, access: "write" },
            { path: { type: "special", value: { kind: "root" } }, access: "read" },
          ],
        },
      },
    },
    ["--allow-read"],
  ],
  ["a question in words", { type: "userInput" }, null],
];

test("guardAcceptance() lets no answer grant more than the script has", async (t) => {
  for (const [name, request, flags] of CASES) {
    await t.step(name, () => {
      const refusal = guardAcceptance(request, probeOf(WS), realPath);
      assert.deepEqual(refusal?.missing ?? null, flags);
      assert.equal(guardAcceptance(request, probeOf(ALL), realPath), null);
      assert.equal(guardAcceptance(request, unrestrictedProbe, realPath), null);
    });
  }
});

test("guardAcceptance() asks nothing of a plain command that stays in its sandbox", () => {
  const sandboxed = (request: AcceptedRequest) =>
    guardAcceptance(request, probeOf(WS), realPath, true)?.missing ?? null;
  assert.equal(sandboxed({ type: "command", plain: true }), null);
  assert.ok(sandboxed({ type: "command", plain: false })!.includes("--allow-ffi"));
  assert.ok(sandboxed({ type: "command" })!.includes("--allow-ffi"));
  assert.deepEqual(
    sandboxed({ type: "command", plain: true, network: { host: "evil.example" } }),
    ["--allow-net=evil.example"],
  );
  assert.deepEqual(sandboxed({ type: "fileChange", changes: null }), ["--allow-write"]);
});

test("guardAcceptance() takes a path that may mean another one for any path", () => {
  for (const path of ["//srv/share/x", "C:\\ws\\a:stream", "\\\\?\\GLOBALROOT\\x"]) {
    const refusal = guardAcceptance(
      { type: "fileChange", changes: [{ path }] },
      probeOf(WS),
      realPath,
    );
    assert.deepEqual(refusal?.missing, ["--allow-write"], path);
  }
});
