/** A prompt that may do more than its session, and a connection that is lost while the server goes on. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  Client,
  ConnectionClosedError,
  PolicyError,
  PolicyMismatchError,
  testing,
  TurnInterruptedError,
} from "../../mod.ts";
import { codexes } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { limited, seen } from "../_limit.ts";
import { listen, wireTo } from "../real/websocket_world.ts";

const { exec, inPrompt, toolCall } = testing.script;
const WIDE = { sandbox: "workspace-write" } as const;

/** Settles when no process has this on its command line. */
async function gone(text: string): Promise<void> {
  const lines = () =>
    readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8");
      } catch {
        return "";
      }
    });
  while (lines().some((line) => line.includes(text))) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

for (const version of codexes("0.169.0", "0.150.0", "0.125.0", "0.104.0")) {
  for (const during of [true, false]) {
    const when = during ? "during" : "after";
    test(`a connection that is lost ${when} a wider prompt leaves nothing of it to a narrower one, codex ${version}`, async () => {
      await using dir = await tempDir();
      await using model = await testing.ScriptedModel.start();
      const cwd = join(dir.path, "w");
      await mkdir(cwd);
      const server = await listen(model, dir.path, { open: true, version });
      const wire = await wireTo(server.url);
      const client = await Client.connect({
        transport: { type: "websocket", url: wire.url },
        restart: { type: "onCrash", baseDelayMs: 10 },
      });
      try {
        const session = await client.startSession({ cwd, allowPrivilegedEscalation: true });
        const shell = { cmd: "sh", tty: true, yield_time_ms: 500, login: false };
        const late = join(cwd, "late");
        const work = exec(`touch working; until [ -e go ]; do sleep 0.1; done; touch ${late}`, {
          yield_time_ms: 30_000,
        });
        const steps = [toolCall("exec_command", shell), ...during ? [work] : [], "begun"];
        const begun = session.ask(inPrompt(steps), WIDE)
          .then(({ assistantText }) => assistantText, (error) => error);
        const there = (name: string) => existsSync(join(cwd, name));
        if (during) await seen("the work", cwd, () => Promise.resolve(there("working")));
        else assert.equal(await begun, "begun");
        const said = model.requests[1]?.toolOutputs.at(-1)?.text ?? "";
        const id = Number(/session ID (\d+)/.exec(said)?.[1]);
        assert.ok(id > 0, said);

        wire.cut();
        if (version === "0.169.0") await writeFile(join(cwd, "go"), "");
        const told = await begun;
        // From 0.169 on the turn goes on; before, it is stopped, and whoever asked is told that it failed.
        if (version === "0.169.0") assert.equal(told, "begun");
        else if (during) {
          // The latter where its end was heard before it was given up.
          const ends = [ConnectionClosedError, TurnInterruptedError];
          assert.ok(ends.some((each) => told instanceof each), String(told));
        }

        const line = { session_id: id, chars: "touch typed\n", yield_time_ms: 1_000 };
        // Codex says that the turn has ended before its command has.
        if (during && version !== "0.169.0") await limited("the work's end", gone(late));
        // What the first turn has left would take a second to write, as long as this waits.
        await writeFile(join(cwd, "go"), "");
        const type = () => session.ask(inPrompt([toolCall("write_stdin", line), "typed"]));
        // One that is asked before anybody has noticed is lost.
        const typed = type().catch((error) => {
          if (error instanceof ConnectionClosedError) return type();
          throw error;
        });
        // The thread's new policy, or what is left where nobody has noticed that the connection was lost.
        const refusals = [PolicyMismatchError, PolicyError];
        if (version === "0.104.0") {
          await assert.rejects(typed, (error) => refusals.some((each) => error instanceof each));
        } else assert.equal((await typed).assistantText, "typed");
        assert.equal(there("typed"), false);
        assert.equal(there("late"), during && version === "0.169.0");
      } finally {
        await client.shutdown();
        await wire.close();
        await server.close();
      }
    });
  }
}
