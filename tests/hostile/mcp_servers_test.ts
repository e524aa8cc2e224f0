/** MCP servers that behave badly, on the real codex: turns settle, and it is told which server it was. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { script } from "../../src/testing/mod.ts";
import type { ApprovalRequest } from "../../mod.ts";
import { CODEX_VERSIONS, codexes, nodePath, ROOT } from "../_codex.ts";
import { test } from "../_harness.ts";
import { callMcp } from "../real/_mcp_world.ts";
import { inWorld, rejection } from "../real/_session_world.ts";

for (const version of CODEX_VERSIONS) {
  test(`whatever an MCP server does, turns settle and tell of it, ${version}`, () =>
    inWorld(version, async (world) => {
      const command = await nodePath();
      const path = join(ROOT, "tests", "tools", "_mcp_hostile.mjs");
      const servers = (...hows: string[]) =>
        Object.fromEntries(hows.map((how) => [how, { command, args: [path, how] }]));
      const open = { cwd: world.cwd, allowPrivilegedEscalation: true };
      const client = await world.connect();
      // With these codex waits for 10 s or 30 s, unless it is told otherwise.
      const slow = Object.fromEntries(
        Object.entries(servers("flood", "odd", "silent")).map((
          [name, server],
        ) => [name, { ...server, startupTimeoutMs: 500 }]),
      );
      const failing = ["gone", ...Object.keys(slow)];
      const session = await client.startSession({
        ...open,
        mcpServers: { ...servers("gone", "likeness", "mortal", "curious", "deaf"), ...slow },
      });
      const warned: string[] = [];
      let offered: string[] = [];
      await session.ask(
        world.prompt(({ tools }) => {
          offered = [...tools];
          return "Here.";
        }),
        { onEvent: (event) => void (event.type === "warning" && warned.push(event.message)) },
      );
      for (const name of failing) {
        const told = warned.filter((text) =>
          text.startsWith(`The MCP server ${name} did not start`)
        );
        assert.equal(told.length, 1, warned.join("\n").slice(0, 2_000));
        assert.ok(told[0]!.length < 2_000, "what it poured out is not repeated");
      }
      const silent = warned.find((text) => text.startsWith("The MCP server silent"));
      assert.match(silent!, /timed out after 0 seconds\. Raise its `startupTimeoutMs`/);
      assert.ok(offered.includes("exec_command"), offered.join());

      const call = async (server: string, tool: string): Promise<string> => {
        const prompt = world.prompt((request, round) =>
          round === 0 ? callMcp(version, server, tool) : request.toolOutputs.at(-1)!.text
        );
        return (await session.ask(prompt)).assistantText;
      };
      // A likeness of a built-in tool is another tool: the real one is still what runs commands.
      assert.match(await call("likeness", "shell"), /the likeness of shell/);
      const real = await session.ask(world.prompt([[script.exec("echo real")], "done"]));
      const [ran] = real.items.filter(({ type }) => type === "commandExecution");
      assert.match(JSON.stringify(ran), /real/);
      // One that dies takes its call with it, not the turn.
      for (const _ of [1, 2]) assert.match(await call("mortal", "die"), /Transport closed/);
      // Nobody here types a password into what a server shows. 0.104 leaves the question open until the call's own limit.
      if (version !== "0.104.0") {
        assert.match(await call("curious", "ask"), /answered: .*decline/);
      }
      // A call that is never answered is given up with its turn, at once.
      const deaf = world.prompt((_, round) => round === 0 ? callMcp(version, "deaf", "wait") : "");
      const waiting = await session.askStream(deaf);
      for await (const event of waiting) {
        if (event.type === "itemStarted" && event.item.type === "mcpToolCall") {
          await waiting.interrupt();
        }
      }
      assert.match(String(await rejection(waiting.finish())), /interrupted/);
      assert.equal((await session.ask("Still there?")).assistantText, "You said: Still there?");

      // However long codex waits for one that never says hello, nobody else has to.
      const patient = await client.startSession({ ...open, mcpServers: servers("silent") });
      const stop = new AbortController();
      const reason = new Error("enough");
      const asked = patient.ask("Hello", {
        signal: stop.signal,
        onEvent: (event) => void (event.type === "turnStarted" && stop.abort(reason)),
      });
      assert.equal(await rejection(asked), reason);
      await patient.close();
      await session.close();
      await client.shutdown();
      assert.deepEqual(world.running(), []);
    }));
}

for (const version of codexes("0.169.0")) {
  test(`what a server asks while its thread is opened is asked of that session, ${version}`, () =>
    inWorld(version, async (world) => {
      const command = await nodePath();
      const args = [join(ROOT, "tests", "tools", "_mcp_hostile.mjs"), "eager"];
      const told: string[] = [];
      let heard = Promise.withResolvers<void>();
      const telling = (who: string) => (request: ApprovalRequest) => {
        told.push(`${who}: ${request.type}`);
        heard.resolve();
        return { decision: "decline" as const };
      };
      const client = await world.connect({ approvals: telling("client") });
      // Before codex tells of the thread, or after: about as often.
      for (let round = 0; round < 4; round++) {
        heard = Promise.withResolvers();
        const session = await client.startSession({
          cwd: world.cwd,
          allowPrivilegedEscalation: true,
          approvalPolicy: "untrusted",
          approvals: telling("session"),
          mcpServers: { eager: { command, args, required: true } },
        });
        await heard.promise;
        await session.close();
      }
      assert.deepEqual([...new Set(told)], ["session: elicitation"]);
    }));
}
