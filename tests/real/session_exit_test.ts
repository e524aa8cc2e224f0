/** What a script leaves behind that never shuts its client down: nothing. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { script } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS, NEWEST_CODEX } from "../_codex.ts";
import { onDeno, test } from "../_harness.ts";
import { inWorld, whenGone } from "./_session_world.ts";

const SCRIPT = fileURLToPath(new URL("./_dropped_client.ts", import.meta.url));

for (const version of CODEX_VERSIONS) {
  for (const how of ["exit", "throw"]) {
    test(`codex and its command do not outlive a script that ends by ${how} [${version}]`, () =>
      inWorld(version, async (world) => {
        const settings = JSON.stringify({
          config: world.config(),
          cwd: world.cwd,
          prompt: world.prompt([[script.exec("sleep 330")]]),
        });
        const command = onDeno ? ["run", "-A", "--no-prompt", SCRIPT] : [SCRIPT];
        const child = spawn(process.execPath, [...command, how, settings], {
          stdio: ["ignore", "pipe", "ignore"],
        });
        let text = "";
        child.stdout.on("data", (chunk) => text += String(chunk));
        await new Promise((resolve) => child.once("exit", resolve));
        child.stdout.destroy();
        const pid = Number(/pid (\d+)/.exec(text)?.[1]);
        assert.ok(pid > 0, text);
        await whenGone(pid);
        for (const left of world.commands("sleep 330")) await whenGone(left);
      }));
  }
}

for (const how of ["close", "terminate"]) {
  test(`codex and its command do not outlive a worker that ends by ${how}`, () =>
    inWorld(NEWEST_CODEX, async (world) => {
      const worker = new Worker(new URL("./_dropped_worker.ts", import.meta.url), {
        type: "module",
      });
      const pid = await new Promise<number>((resolve, reject) => {
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = (event) => reject(new Error(event.message));
        worker.postMessage(JSON.stringify({
          how,
          config: world.config(),
          cwd: world.cwd,
          prompt: world.prompt([[script.exec("sleep 331")]]),
        }));
      });
      const commands = world.commands("sleep 331");
      if (how === "terminate") worker.terminate();
      assert.ok(pid > 0);
      await whenGone(pid);
      for (const left of [...commands, ...world.commands("sleep 331")]) await whenGone(left);
      worker.terminate();
    }));
}
