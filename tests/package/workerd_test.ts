/** The package in an edge runtime: bundled, run by workerd, attached to a codex that listens. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { testing } from "../../mod.ts";
import { NEWEST_CODEX } from "../_codex.ts";
import { test } from "../_harness.ts";
import { bundle } from "./_bundle.ts";
import { machine } from "./_machine.ts";
import { workerdPath } from "./_tools.ts";

const { script } = testing;

const CONFIG = `
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (
      modules = [(name = "worker.js", esModule = embed "worker.js")],
      compatibilityDate = "2026-07-01",
      globalOutbound = "loopback",
    )),
    (name = "loopback", network = (allow = ["local"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
`;

/** Starts workerd with `worker.js` of a directory; it ends when it is disposed. */
async function serve(directory: string): Promise<AsyncDisposable & { url: string }> {
  await writeFile(join(directory, "config.capnp"), CONFIG);
  const child = spawn(await workerdPath(), ["serve", "config.capnp", "--control-fd=1"], {
    cwd: directory,
    env: {},
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const dispose = () => {
    child.kill("SIGKILL");
    return ended;
  };
  let errors = "";
  child.stderr.on("data", (piece) => errors += piece);
  const port = await new Promise<number>((resolve, reject) => {
    let text = "";
    child.stdout.on("data", (piece) => {
      text += piece;
      const found = /"event":"listen","socket":"http","port":(\d+)/.exec(text)?.[1];
      if (found !== undefined) resolve(Number(found));
    });
    child.once("close", () => reject(new Error(`workerd ended before it listened:\n${errors}`)));
  });
  return { url: `http://127.0.0.1:${port}/`, [Symbol.asyncDispose]: dispose };
}

test("the bundle runs in workerd and drives a codex that listens", {
  timeoutMs: 180_000,
}, async () => {
  await using user = await machine([
    [script.exec("echo from the shell")],
    [script.say(["Hel", "lo."])],
  ]);
  const path = await bundle("worker", user.workspace);
  assert.doesNotMatch(await readFile(path, "utf8"), /from\s*"|import\("|require\("/);
  await using worker = await serve(user.workspace);
  const { url, token } = await user.listen();
  const response = await fetch(worker.url, {
    method: "POST",
    body: JSON.stringify({ url, token, cwd: await user.directory("project") }),
  });
  const text = await response.text();
  assert.equal(response.status, 200, text);
  const { withoutServer, wrongToken, ...result } = JSON.parse(text);
  assert.deepEqual(result, {
    version: NEWEST_CODEX,
    seen: ["0: from the shell\n", "Hel", "lo."],
    assistantText: "Hello.",
  });
  assert.match(withoutServer, /^spawn: /);
  assert.match(wrongToken, /^connectionClosed: .*401/);
});
