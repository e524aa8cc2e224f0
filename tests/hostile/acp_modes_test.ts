/** In a mode that only reads nobody is asked for more, also where hooks that see tools have codex ask under every policy. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import type { ServeProfile } from "../../src/adapters/acp/mod.ts";
import { script } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS, NEWEST_CODEX, tries } from "../_codex.ts";
import { test } from "../_harness.ts";
import { choose, Editor, serveHere } from "../real/_acp_world.ts";
import { callMcp, stdioServer } from "../real/_mcp_world.ts";
import { inWorld } from "../real/_session_world.ts";

const patch = (name: string) => `*** Begin Patch\n*** Add File: ${name}\n+one\n*** End Patch`;

for (const version of CODEX_VERSIONS) {
  test(`modes that read ask for no more where hooks see tools [${version}]`, () =>
    inWorld(version, async (world) => {
      const client = await world.connect();
      const { cwd } = world;
      const seen: unknown[] = [];
      const profile: ServeProfile = {
        allowPrivilegedEscalation: true,
        hooks: {
          pre: [{
            name: "sees",
            phases: ["preToolUse"],
            call: ({ toolName }) => {
              seen.push(toolName);
              return { type: "continue" };
            },
          }],
        },
      };
      await using editor = await Editor.open(serveHere(client, profile).streams);
      editor.answer = choose("allow_once");
      await editor.initialize();
      const { sessionId } = await editor.start(cwd);
      const writes = (mode: string) =>
        editor.ask(
          sessionId,
          world.prompt([
            [script.exec(`echo one > ${mode}-command.txt`)],
            script.applyPatch(patch(`${mode}-patch.txt`)),
            "Done.",
          ]),
        );
      for (const modeId of ["read-only", "plan"]) {
        await editor.agent.request("session/set_mode", { sessionId, modeId });
        await writes(modeId);
        assert.deepEqual(seen.splice(0), ["echo", "apply_patch"]);
        assert.deepEqual(editor.asked, []);
        for (const what of ["command", "patch"]) {
          assert.equal(existsSync(join(cwd, `${modeId}-${what}.txt`)), false);
        }
      }
      await editor.agent.request("session/set_mode", { sessionId, modeId: "ask" });
      await writes("ask");
      assert.ok(editor.asked.length > 0);
      assert.ok(existsSync(join(cwd, "ask-patch.txt")));

      if (version !== NEWEST_CODEX || process.platform !== "linux") return;
      // Commands that stay in the sandbox whatever is accepted are asked about: else none could read.
      const held: ServeProfile = {
        ...profile,
        approvalPolicy: "untrusted",
        approvals: { rules: [{ effect: "allow", command: ["git", "status"] }] },
      };
      await using other = await Editor.open(serveHere(client, held).streams);
      other.answer = choose("allow_once");
      await other.initialize();
      const { sessionId: id } = await other.start(cwd);
      await other.agent.request("session/set_mode", { sessionId: id, modeId: "read-only" });
      await other.ask(
        id,
        world.prompt([
          [script.exec("echo one > held.txt; echo looked", { yield_time_ms: 20_000 })],
          script.applyPatch(patch("held-patch.txt")),
          "Done.",
        ]),
      );
      assert.equal(other.asked.length, 1, JSON.stringify(other.asked));
      assert.match(JSON.stringify(other.updates), /looked\\n/);
      for (const name of ["held.txt", "held-patch.txt"]) {
        assert.equal(existsSync(join(cwd, name)), false);
      }
    }));
}

for (const version of CODEX_VERSIONS) {
  test(`the mode that writes does so in all of the profile's directories [${version}]`, () =>
    inWorld(version, async (world) => {
      const more = join(world.cwd, "..", "more");
      await mkdir(more);
      const profile: ServeProfile = {
        approvalPolicy: "never",
        sandbox: "workspace-write",
        additionalDirectories: [more],
        allowPrivilegedEscalation: true,
      };
      const client = await world.connect();
      await using editor = await Editor.open(serveHere(client, profile).streams);
      await editor.initialize();
      const { sessionId } = await editor.start(world.cwd);
      const write = (mode: string) =>
        editor.ask(sessionId, world.prompt([[script.exec(`touch ${join(more, mode)}`)], "Done."]));
      for (const modeId of ["read-only", "workspace-write"]) {
        await editor.agent.request("session/set_mode", { sessionId, modeId });
        await write(modeId);
      }
      assert.deepEqual(await readdir(more), ["workspace-write"]);
    }));
}

for (const version of CODEX_VERSIONS) {
  test(`in modes that read rules forbid, and allow nothing that the sandbox does not hold [${version}]`, () =>
    inWorld(version, async (world) => {
      const client = await world.connect();
      const { cwd } = world;
      const changes = { effect: "allow", kind: "fileChange" } as const;
      const leaves = { effect: "allow", command: ["touch"], outsideSandbox: true } as const;
      const prints = { effect: "allow", command: ["printf"] } as const;
      const forbids = { effect: "deny", command: ["printf", "no"] } as const;
      const hooks = { pre: [{ name: "sees", call: () => ({ type: "continue" } as const) }] };
      const untrusted = {
        approvalPolicy: "untrusted" as const,
        approvals: { rules: [changes, prints, forbids] },
      };
      const profiles: Record<string, ServeProfile> = {
        onRequest: { approvals: { rules: [changes, leaves] } },
        untrusted,
        hooked: { ...untrusted, hooks },
        never: { ...untrusted, approvalPolicy: "never", hooks },
      };
      const every = ["read-only", "plan", "ask"];
      const modes: Record<string, string[]> = tries(
        { onRequest: every, untrusted: every, hooked: every, never: ["read-only", "plan"] },
        {
          onRequest: ["plan"],
          untrusted: ["read-only", "ask"],
          hooked: ["plan"],
          never: ["read-only"],
        },
      );
      for (const [name, profile] of Object.entries(profiles)) {
        const { streams } = serveHere(client, { allowPrivilegedEscalation: true, ...profile });
        await using editor = await Editor.open(streams);
        editor.answer = choose("allow_once");
        await editor.initialize();
        const { sessionId } = await editor.start(cwd);
        for (const modeId of modes[name]!) {
          await editor.agent.request("session/set_mode", { sessionId, modeId });
          const file = `${name}-${modeId}.txt`;
          const outside = { sandbox_permissions: "require_escalated", justification: "Let me?" };
          const asked = editor.asked.length;
          const { stopReason } = await editor.ask(
            sessionId,
            world.prompt([
              script.applyPatch(patch(file)),
              [script.exec(`touch command-${file}`, outside)],
              [script.exec("printf 'yes it %s' ran")],
              [script.exec("printf no")],
              "Done.",
            ]),
          );
          assert.equal(stopReason, "end_turn");
          const what = `${name} in ${modeId}`;
          const heard = JSON.stringify(world.model.requests.at(-1)!.toolOutputs);
          if (profile.approvalPolicy !== undefined && process.platform === "linux") {
            if (version === NEWEST_CODEX) assert.match(heard, /yes it ran/, what);
            assert.match(heard, /rejected by user[^,]*$/, what);
          }
          if (modeId === "ask") {
            assert.ok(existsSync(join(cwd, file)), what);
            continue;
          }
          assert.equal(existsSync(join(cwd, file)), false, what);
          assert.equal(existsSync(join(cwd, `command-${file}`)), false, what);
          assert.ok(profile.approvalPolicy === "untrusted" || editor.asked.length === asked, what);
        }
      }
    }));
}

test("a tool that was allowed for the session is not run in a mode that reads", () =>
  inWorld(NEWEST_CODEX, async (world) => {
    const client = await world.connect();
    const profile: ServeProfile = {
      allowPrivilegedEscalation: true,
      mcpServers: { m: await stdioServer(), other: await stdioServer() },
    };
    await using editor = await Editor.open(serveHere(client, profile).streams);
    editor.answer = choose("allow_always");
    await editor.initialize();
    const { sessionId } = await editor.start(world.cwd);
    const writes = async (modeId: string, server = "m") => {
      await editor.agent.request("session/set_mode", { sessionId, modeId });
      const call = callMcp(NEWEST_CODEX, server, "write", {});
      await editor.ask(sessionId, world.prompt([[call], "Done."]));
      return /wrote/.test(JSON.stringify(world.model.requests.at(-1)!.toolOutputs));
    };
    const modes = ["ask", "ask", "read-only", "plan", "workspace-write"];
    const ran: boolean[] = [];
    for (const mode of modes) ran.push(await writes(mode));
    assert.deepEqual(ran, [true, true, false, false, true]);
    assert.equal(editor.asked.length, 1);
    // Another server's tool of that name is another tool.
    assert.equal(await writes("ask", "other"), true);
    assert.equal(editor.asked.length, 2);
  }));

test("a plan whose agent had an agent of its own is carried out", () =>
  inWorld(NEWEST_CODEX, async (world) => {
    const client = await world.connect();
    const profile: ServeProfile = {
      allowPrivilegedEscalation: true,
      config: { "features.multi_agent": true },
    };
    await using editor = await Editor.open(serveHere(client, profile).streams);
    await editor.initialize();
    const { sessionId } = await editor.start(world.cwd);
    const choose = (modeId: string) =>
      editor.agent.request("session/set_mode", { sessionId, modeId });
    const writing = (name: string) =>
      world.prompt((_, round) => round === 0 ? script.applyPatch(patch(name)) : "Done.");
    const namespace = { namespace: "multi_agent_v1" };
    const spawning = (message: string) =>
      world.prompt(({ toolOutputs }, round) => {
        if (round === 0) return [script.toolCall("spawn_agent", { message }, namespace)];
        const id = /"agent_id":"([^"]+)"/.exec(toolOutputs.at(-1)?.text ?? "")?.[1];
        const wait = { targets: [id!], timeout_ms: 60_000 };
        return id === undefined ? "Done." : [script.toolCall("wait_agent", wait, namespace)];
      });
    await choose("plan");
    await editor.ask(sessionId, spawning(writing("planned.txt")));
    await choose("workspace-write");
    await editor.ask(sessionId, writing("done.txt"));
    assert.deepEqual(await readdir(world.cwd), ["done.txt"]);
    // An agent of a turn that writes would do so in one that reads.
    await editor.ask(sessionId, spawning(writing("more.txt")));
    await choose("read-only");
    await assert.rejects(editor.ask(sessionId, "Look."), /an agent, a goal/);
  }));

test("permissions that the user gives are the turn's alone, and none of a mode that reads", () =>
  inWorld(NEWEST_CODEX, async (world) => {
    const client = await world.connect();
    const profile: ServeProfile = {
      allowPrivilegedEscalation: true,
      config: {
        "features.request_permissions_tool": true,
        "features.exec_permission_approvals": true,
      },
    };
    await using editor = await Editor.open(serveHere(client, profile).streams);
    editor.answer = ({ options }) => ({
      outcome: {
        outcome: "selected",
        optionId: (options.find(({ kind }) => kind === "allow_always") ?? options[0]!).optionId,
      },
    });
    await editor.initialize();
    const { sessionId } = await editor.start(world.cwd);
    const given = join(world.cwd, "given");
    await mkdir(given);
    const permissions = { file_system: { write: [given] } };
    const ask = script.toolCall("request_permissions", { reason: "to write there", permissions });
    for (const modeId of ["ask", "read-only", "plan"]) {
      await editor.agent.request("session/set_mode", { sessionId, modeId });
      const asking = modeId === "ask" ? [[ask]] : [];
      const touch = script.exec(`touch ${join(given, modeId)}`);
      await editor.ask(sessionId, world.prompt([...asking, [touch], "Done."]));
    }
    assert.deepEqual(await readdir(given), ["ask"]);
  }));
