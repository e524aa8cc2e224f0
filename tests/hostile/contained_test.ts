/** Commands that rules accept stay in the sandbox, and work there as if nobody had been asked. Linux. */
import assert from "node:assert/strict";
import { mkdir, readdir, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { testing } from "../../mod.ts";
import type { ApprovalRules } from "../../src/approvals/mod.ts";
import { platformName } from "../../src/platform/mod.ts";
import { codexes, tries } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { addFile, type Place, placeOf, warnings, words, world } from "../real/_safety_world.ts";

const { exec } = testing.script;
const LIMIT = { timeoutMs: 180_000 };
/** How often the same is tried: what codex asks about changes with what was accepted before. */
const TRIES = tries(3, 2);
const ESCALATED = { sandbox_permissions: "require_escalated", justification: "please" };
const RULES: ApprovalRules = { rules: [{ effect: "allow", kind: "command" }], default: "decline" };

/** Which sandboxes can hold what was accepted while everything may be read. */
const VERSIONS: readonly [version: string, writes: boolean][] = [
  ["0.169.0", true],
  ["0.145.0", true],
  ["0.150.0", false],
  ["0.136.0", false],
];

/** Whether each command ended well. What it printed is not always told by old codex on a busy machine. */
async function ended(place: Place, ...commands: string[]): Promise<boolean[]> {
  const { items } = await place.act(...commands.map((command) => exec(command)));
  return items.flatMap((item) => item.type === "commandExecution" ? [item.exitCode === 0] : []);
}

/** What codex keeps from the agent in its workspace can't be made, replaced, moved, nor reached by a link. */
async function triesProtected(place: Place): Promise<void> {
  const commands = [".git", ".codex", ".agents"].map((name) => {
    const other = name.slice(1);
    return [
      `mkdir -p ${name}; echo x > ${name}/x`,
      `mkdir new-${other}; echo x > new-${other}/x; mv -T new-${other} ${name}`,
      `mv ${name} old-${other}`,
      `rm -rf ${name}`,
      `ln -sT sub ${name}`,
      `ln -s ${name} link-${other}; echo x > link-${other}/x`,
    ].map((attempt) => `{ ${attempt}; } && exit 1; `).join("") + "exit 0";
  });
  assert.deepEqual(await ended(place, ...commands), commands.map(() => true));
  for (const name of [".git", ".codex", ".agents"]) {
    assert.deepEqual([place.has(join(name, "x")), place.has(`old-${name.slice(1)}`)], [
      false,
      false,
    ]);
  }
}

const linux = platformName() === "linux";
const tested: readonly string[] = linux ? codexes(...VERSIONS.map(([version]) => version)) : [];

for (const [version, writes] of VERSIONS.filter(([version]) => tested.includes(version))) {
  test(
    `what a rule accepts can't leave the sandbox, and works in it, codex ${version}`,
    LIMIT,
    async (t) => {
      await using w = await world(version);
      await using outside = await tempDir("outside-");
      await using home = await tempDir("work-");
      let connections = 0;
      const server = createServer((socket) => {
        connections++;
        socket.destroy();
      });
      await new Promise<void>((listening) => server.listen(0, "127.0.0.1", () => listening()));
      const { port } = server.address() as { port: number };
      try {
        for (const sandbox of ["read-only", "workspace-write"] as const) {
          const holds = writes || sandbox === "read-only";
          await t.step(sandbox, async () => {
            const cwd = join(home.path, sandbox);
            await mkdir(join(cwd, "sub"), { recursive: true });
            await writeFile(join(cwd, "AGENTS.md"), "Speak like a pirate.");
            const { session } = await w.session({ cwd, sandbox, approvals: RULES });
            const place = placeOf(session, cwd);
            const { policy } = place.session;
            assert.equal(policy.acceptedCommands, holds ? "sandboxed" : "mayLeave");
            assert.deepEqual([policy.readRoots, policy.readsEnforced], ["all", true]);
            // Between 0.150 and 0.153 nothing keeps the agent from typing into what was accepted.
            assert.equal(policy.approvalsNote === null, holds && version !== "0.150.0");
            const target = (name: string) => join(outside.path, `${sandbox}-${name}`);
            const net = `bash -c 'echo > /dev/tcp/127.0.0.1/${port}'`;
            const attempts = Array.from({ length: TRIES }, (_, i) => [
              exec(`touch ${target(`${i}`)}`),
              exec(`touch ${target(`e${i}`)}`, ESCALATED),
              ...(i === 0 ? [exec(net), exec(net, ESCALATED)] : []),
            ]).flat();
            await place.act(...attempts);
            assert.deepEqual(await readdir(outside.path), []);
            assert.equal(connections, 0);
            const seen = words(place);
            if (!holds) {
              assert.ok(seen.length >= TRIES && seen.every((word) => word === "decline rule"));
              assert.equal(warnings(place).filter((text) => /outsideSandbox/.test(text)).length, 1);
              // What to do about it.
              assert.match(policy.approvalsNote!, /Codex 0\.160\.0 or newer|excludeSlashTmp/);
              return;
            }
            // 0.145 refuses some of what asks to leave by itself.
            assert.ok(
              seen.length >= TRIES && seen.every((word) => word === "accept rule"),
              seen.join(),
            );
            const told = JSON.stringify(w.model.requests.at(-1)!.body);
            assert.ok(told.includes("Speak like a pirate"), "codex did not read AGENTS.md");
            const can = sandbox === "workspace-write";
            const commands: [command: string, works: boolean][] = [
              ["git --version", true],
              [`test "$(node -p '6*7')" = 42`, true],
              [
                "test -s /etc/passwd && ls / && ls /sys && ls /proc/self && head -c1 /dev/urandom",
                true,
              ],
              ["touch /tmp/probe-$$ && rm /tmp/probe-$$", can],
              ["touch made sub/made", can],
              ["touch .git/x", false],
              ["touch .codex/x", false],
            ];
            assert.deepEqual(
              await ended(place, ...commands.map(([command]) => command)),
              commands.map(([, works]) => works),
            );
            assert.equal(place.has("made"), can);
            if (can) await triesProtected(place);
            assert.equal(place.session.policy.confirmed, true);
          });
        }
      } finally {
        server.close();
      }
    },
  );
}

for (const version of linux ? codexes("0.169.0", "0.145.0") : []) {
  test(
    `agents that the agent starts are kept in the sandbox as well, codex ${version}`,
    LIMIT,
    async () => {
      await using outside = await tempDir("outside-");
      const namespace = "multi_agent_v1";
      const attempts = Array.from({ length: TRIES }, (_, i) => [
        exec(`touch ${join(outside.path, `${i}`)}`),
        exec(`touch ${join(outside.path, `e${i}`)}`, ESCALATED),
      ]).flat();
      await using w = await world(version, {
        flags: { "features.multi_agent": true },
        script({ text, toolOutputs }) {
          if (text === "child") return attempts[toolOutputs.length] ?? "child is done";
          if (text.startsWith("<subagent_notification")) return "done";
          const [spawned] = toolOutputs;
          if (spawned === undefined) {
            return testing.script.toolCall("spawn_agent", { message: "child" }, { namespace });
          }
          if (toolOutputs.length > 1) return "done";
          const { agent_id } = JSON.parse(spawned.text);
          const wait = { targets: [agent_id], timeout_ms: 60_000 };
          return testing.script.toolCall("wait_agent", wait, { namespace });
        },
      });
      for (const sandbox of ["read-only", "workspace-write"] as const) {
        const place = await w.session({ sandbox, approvals: RULES });
        assert.equal(place.session.policy.acceptedCommands, "sandboxed");
        const accepted: string[] = [];
        await place.session.ask("go", {
          onEvent: (event) => {
            if (event.type === "approvalResolved") accepted.push(event.audit.decision);
          },
        });
        assert.ok(
          accepted.length >= TRIES && accepted.every((word) => word === "accept"),
          accepted.join(),
        );
        assert.deepEqual(await readdir(outside.path), []);
      }
      // Where accepted commands may leave, the rule accepts none of an agent's either.
      const place = await w.session({
        approvals: {
          rules: [...RULES.rules, { effect: "allow", command: ["date"], outsideSandbox: true }],
          default: "decline",
        },
      });
      assert.equal(place.session.policy.acceptedCommands, "mayLeave");
      const seen: string[] = [];
      await place.session.ask("go", {
        onEvent: (event) => {
          if (event.type === "approvalResolved") seen.push(event.audit.decision);
        },
      });
      assert.ok(seen.length >= TRIES && seen.every((word) => word === "decline"), seen.join());
      assert.deepEqual(await readdir(outside.path), []);
    },
  );
}

for (const version of ["0.169.0", "0.104.0"]) {
  test(
    `a rule without a place accepts changes of the workspace only, codex ${version}`,
    LIMIT,
    async () => {
      await using w = await world(version);
      await using outside = await tempDir("outside-");
      const place = await w.session({
        approvals: { rules: [{ effect: "allow", kind: "fileChange" }], default: "decline" },
      });
      await mkdir(join(place.cwd, ".git"));
      await symlink(outside.path, join(place.cwd, "link"));
      await place.act(
        addFile("made"),
        addFile(join(outside.path, "absolute")),
        addFile("../above"),
        addFile("link/through"),
        addFile(".git/config"),
        addFile(".codex/config.toml"),
      );
      assert.deepEqual([place.has("made"), place.has(".git/config")], [true, false]);
      assert.deepEqual([place.has("../above"), place.has(".codex/config.toml")], [false, false]);
      assert.deepEqual(await readdir(outside.path), []);
      assert.deepEqual(words(place).filter((word) => word === "accept rule").length, 1);
    },
  );
}

test(
  "accepted commands stay in for the session, after a turn without a sandbox, resumed and forked",
  LIMIT,
  async () => {
    if (platformName() !== "linux") return;
    await using w = await world("0.169.0");
    await using outside = await tempDir("outside-");
    const out = (name: string) => join(outside.path, name);
    const attempts = (name: string) =>
      Array.from({ length: TRIES }, () => [
        exec(`touch ${out(name)}`),
        exec(`touch ${out(name)}`, ESCALATED),
      ]).flat();
    const place = await w.session({
      approvals: { rules: [{ effect: "allow", scope: "session" }] },
    });
    await place.act(...attempts("scope"));
    assert.deepEqual(new Set(words(place)), new Set(["acceptForSession rule"]));
    await place.session.ask(testing.script.inPrompt([exec(`touch ${out("free")}`), "done"]), {
      sandbox: "danger-full-access",
      allowPrivilegedEscalation: true,
      dangerouslyAllowUnattendedFullAccess: true,
    });
    await place.act(...attempts("after"), exec("touch made"));
    await place.session.ask(testing.script.inPrompt([exec("touch not"), "done"]), {
      sandbox: "read-only",
    });
    assert.deepEqual([place.has("made"), place.has("not")], [true, false]);
    const { threadId } = place.session;
    await place.session.release();
    const { cwd } = place;
    const again = { cwd, approvalPolicy: "untrusted", approvals: RULES } as const;
    const writes = { sandbox: "workspace-write", allowPrivilegedEscalation: true } as const;
    const resumed = placeOf(await w.client.resumeSession(threadId, { ...again, ...writes }), cwd);
    await resumed.act(...attempts("resumed"));
    const forked = placeOf(await w.client.forkSession(threadId, again), cwd);
    await forked.act(...attempts("forked"), exec("touch forked"));
    assert.equal(forked.has("forked"), false);
    // What had no sandbox is all that got out.
    assert.deepEqual(await readdir(outside.path), ["free"]);
  },
);
