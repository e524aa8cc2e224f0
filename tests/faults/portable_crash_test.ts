/** A machine that is killed at any step of a stored conversation: another one goes on, and it itself does when it is back. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { CODEX_VERSIONS, ROOT, tries } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { RpcError } from "../../src/errors/mod.ts";
import { FileThreadStore } from "../../src/session/history/file_thread_store.ts";
import { rejection, World } from "../real/_session_world.ts";

const SCRIPT = join(ROOT, "tests", "faults", "portable_crash_script.ts");
const WORDS = /^(?:one|two|there \d+|back \d+)$/;

const heard = (world: World): string[] =>
  world.model.requests.at(-1)!.userTexts.filter((text) => WORDS.test(text));

for (const version of CODEX_VERSIONS) {
  test(
    `a machine that is killed at any step of a stored conversation costs at most its last turn [${version}]`,
    {
      timeoutMs: 180_000,
      denoOnly: "the scripts are many, and nothing in them is a runtime's own",
    },
    async () => {
      await using directory = await tempDir("portable-crash-");
      await using a = await World.start(version);
      await using b = await World.start(version);
      const store = new FileThreadStore(directory.path);
      const run = (steps: string, step: number, settings: Record<string, unknown>) => {
        const given = JSON.stringify({ cwd: a.cwd, directory: directory.path, ...settings });
        // The model that it talks to is in this process.
        const args = ["run", "-A", "--no-check", SCRIPT, steps, String(step), given];
        const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
        const said = { stdout: "", stderr: "" };
        child.stdout.on("data", (chunk) => said.stdout += String(chunk));
        child.stderr.on("data", (chunk) => said.stderr += String(chunk));
        return new Promise<{ signal: string | null; stdout: string; stderr: string }>((resolve) =>
          child.once("close", (_code, signal) => resolve({ signal, ...said }))
        );
      };
      const [back, there] = [await a.connect(), await b.connect()];
      let threadId = "";
      let all: string[] = [];
      const storedPrompts: number[] = [];
      // The steps are ours: all of them on one codex, each second one on the other, are enough in a short run.
      const every = tries(true, version === CODEX_VERSIONS[0]);
      for (let step = 0;; step += every ? 1 : 2) {
        const { signal, stdout, stderr } = await run("append", step, { config: a.config() });
        if (signal === null) {
          assert.match(stdout, /done/, stderr);
          break;
        }
        threadId = /thread (.*)\n/.exec(stdout)![1]!;
        const lost = `killed at ${step}`;
        const elsewhere = () => there.resumeSession(threadId, { cwd: b.cwd, store });
        const stored: string[] = [];
        for await (const line of await store.load(threadId) ?? []) stored.push(line);
        if (!stored.some((line) => line.startsWith("{"))) {
          assert.ok(await rejection(elsewhere()) instanceof RpcError, lost);
          storedPrompts.push(0);
          continue;
        }
        const session = await elsewhere();
        await session.ask(`there ${step}`);
        const said = heard(b);
        storedPrompts.push(said.length - 1);
        assert.deepEqual(
          said,
          [...["one", "two"].slice(0, said.length - 1), `there ${step}`],
          lost,
        );
        await session.release();
        const again = await back.resumeSession(threadId, { cwd: a.cwd, store });
        await again.ask(`back ${step}`);
        all = [...said, `back ${step}`];
        assert.deepEqual(heard(a), all, lost);
        await again.release();
      }
      // Every number of turns that can be lost was.
      if (every) assert.deepEqual([...new Set(storedPrompts)], [0, 1, 2]);
      else assert.ok(storedPrompts.includes(0) && storedPrompts.some((count) => count > 0));

      // What a machine puts in place is there as a whole or not at all; here it has an older state, and one that differs.
      const { path } = await back.readThread(threadId);
      const whole = readFileSync(path!, "utf8");
      const home = b.config().env!.set!["CODEX_HOME"]!;
      const target = join(home, path!.slice(path!.indexOf("sessions/")));
      const was = readFileSync(target, "utf8");
      assert.ok(whole.startsWith(was) && whole !== was);
      await there.shutdown();
      let killed = 0;
      for (; every; killed++) {
        const { signal, stdout, stderr } = await run("files", killed, {
          config: b.config(),
          threadId,
          home,
        });
        if (signal === null) {
          assert.match(stdout, /done/, stderr);
          break;
        }
        const now = existsSync(target) ? readFileSync(target, "utf8") : null;
        assert.ok(now === was || now === whole, `killed at ${killed}`);
      }
      assert.ok(killed > 5 || !every, String(killed));
      const last = await (await b.connect()).resumeSession(threadId, { cwd: b.cwd, store });
      await last.ask("there 99");
      assert.deepEqual(heard(b), [...all, "there 99"]);
    },
  );
}
