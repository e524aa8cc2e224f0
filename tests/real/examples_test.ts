/** Each example runs as a user would run it, against the real codex with its scripted model. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { codexPath, ROOT } from "../_codex.ts";
import { onDeno, test } from "../_harness.ts";

/** What an example must print, besides ending well. */
const EXAMPLES: Record<string, RegExp[]> = {
  quick_run: [/^- a library$/m, /\(13 tokens\)/],
  workflow: [/^a\.ts: Reviewed: a\.ts$/m, /^b\.ts: Reviewed: b\.ts$/m],
  session: [/^answer 1$/m, /^answer 2$/m, /^resumed: answer 3$/m, /^forked: answer 4$/m],
  streaming: [/^\$ .*echo one/m, /^one\ntwo$/m, /one after the other\.$/m, /1 command/],
  structured_output: [/^high\tmain\.ts\teval$/m],
  tools: [/^looked up T-1$/m, /there is no ticket T-2/, /T-2 does not exist/],
  approvals: [/accept by looking is fine/, /touch approved\.txt/, /decline by handler/],
  hooks: [/untrusted/, /no network tools → block/, /^postTurn of a turn ok$/m],
  automation: [/^2 Item 3 is done\.$/m, /^stopped after 3 runs$/m],
  runtime_log: [
    /turn\/completed/,
    /the thread has 1 turn/,
    /codex is gone/,
    /\d+ lines in the log/,
  ],
};

for (const [name, expected] of Object.entries(EXAMPLES)) {
  test(`examples/${name}.ts runs and prints what it promises`, { timeoutMs: 60_000 }, async () => {
    const { code, output } = await run(name);
    assert.equal(code, 0, output);
    for (const pattern of expected) assert.match(output, pattern);
  });
}

async function run(name: string): Promise<{ code: number; output: string }> {
  const codex = await codexPath();
  const path = join(ROOT, "examples", `${name}.ts`);
  const args = onDeno ? ["run", "-A", "--no-check", path] : ["run", path];
  return await new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      args,
      { env: { ...process.env, CODEX_PATH: codex, NO_COLOR: "1" }, timeout: 50_000 },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : 1;
        resolve({ code, output: stdout + stderr });
      },
    );
    child.stdin?.end();
  });
}
