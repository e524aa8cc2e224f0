/** Each example runs as a user would run it, against the real codex with its scripted model. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { codexPath, isPlaceFor, ROOT } from "../_codex.ts";
import { onDeno, test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";

/** What an example must print, besides ending well. */
const EXAMPLES: Record<string, RegExp[]> = {
  quick_run: [/^- a library$/m, /\(13 tokens\)/],
  workflow: [/^a\.ts: Reviewed: a\.ts$/m, /^b\.ts: Reviewed: b\.ts$/m],
  session: [/^answer 1$/m, /^answer 2$/m, /^resumed: answer 3$/m, /^forked: answer 4$/m],
  streaming: [/^\$ .*echo one/m, /^one\ntwo$/m, /one after the other\.$/m, /1 command/],
  structured_output: [/^high\tmain\.ts\teval$/m],
  tools: [/^looked up T-1$/m, /there is no ticket T-2/, /T-2 does not exist/],
  mcp: [/^weather: forecast$/m, /^Take an umbrella\.$/m, /^Rain$/m],
  images: [/^I see 1 image\.$/m, /^refused: .*a PNG, JPEG, GIF or WebP image/m],
  sqlite_tools: [/^SELECT .* → \[\{"n":2\}\]$/m, /^Two orders are open\.$/m],
  approvals: [/accept by looking is fine/, /touch approved\.txt/, /decline by handler/],
  hooks: [/untrusted/, /no network tools → block/, /^postTurn of a turn ok$/m],
  automation: [/^2 Item 3 is done\.$/m, /^stopped after 3 runs$/m],
  goal: [
    /^Step 1 is made\.\nStep 2 is made\.\nAll steps are made\.$/m,
    /^complete after 3 turns and 52 tokens$/m,
    /^compacted: 13 → \d+$/m,
    /^review: No mistakes\.$/m,
  ],
  login: [/^logged in: apiKey\nHello\.$/m, /^a browser would open https:\/\//m],
  plan_mode: [
    /^Which language\? TypeScript$/m,
    /^the plan:\n1\. Write main\.ts\n2\. Test it\nmain\.ts is there\.$/m,
  ],
  resume_picker: [
    /^1 {2}Fix the login\nits last turn: completed, 2 items\nYou said: And the logout\?$/m,
    /^named: Login and logout\nleft: Draw a pear$/m,
  ],
  rewind: [
    /^1 prompts so far\.\nrestore {2}README\.md\ncreate {3}notes\.txt\ndelete {3}old\/\n/m,
    /^README\.md as it was\n2 prompts so far\.$/m,
  ],
  portable: [
    /^lost: connectionClosed\nSo far: My dog is called Bo\. \| (?:What does .* \| )?What is my dog called\?$/m,
  ],
  app_server: [
    /^\d+ models, among them \S+/m,
    /^refused: .*limit/m,
    /^allowed: .*uname -s/m,
    /^It is a fine system\.$/m,
  ],
  remote: [
    /^codex listens on ws:\/\/127\.0\.0\.1:\d+$/m,
    /^attached to codex \d+\.\d+\.\d+\nAnswer 1\.\ndetached; the server goes on\nAnswer 2\.$/m,
  ],
  cassette: [
    /^recorded: Call it 1\.2\. \(1 command\)\nreplayed: Call it 1\.2\. \(1 command\)$/m,
    /^\d+ messages, and no codex$/m,
    /^The replay left the cassette at line \d+: expected thread\/start, received model\/list/m,
  ],
  ai_sdk: [
    /^shell: \{"command":"ls",.*\nIt is empty\. \(26 tokens\)\nThen start with a README\.$/m,
    /^README\.md: 12 lines$/m,
  ],
  ag_ui: [
    /^reasoning: I look\.\ntool: \{"output":"hello\\n",.*\nassistant: It says hello\.$/m,
    /^user: Thanks\.\nassistant: You are welcome\.$/m,
  ],
  telemetry: [
    /^It says hello\.\nanswer a request \(\d+ spans of codex's\)\n {2}invoke_agent codex \(\d\d+ spans of codex's\)$/m,
    /^ {4}chat scripted-model\n( {4}execute_tool shell\n| {4}chat scripted-model\n){2}/m,
  ],
  doctor: [/version +\d+\.\d+\.\d+ \(needs 0\.104\.0\)/, /✓ .*--allow-run/, /^✓ codex is ready$/m],
  runtime_log: [
    /turn\/completed/,
    /the thread has 1 turn/,
    /codex is gone/,
    /\d+ lines in the log/,
  ],
};

for (const [name, expected] of Object.entries(EXAMPLES)) {
  const path = `examples/${name}.ts`;
  if (!isPlaceFor(path, onDeno ? 0 : 1)) continue;
  test(`${path} runs and prints what it promises`, async () => {
    const { code, output } = await run(name);
    assert.equal(code, 0, output);
    for (const pattern of expected) assert.match(output, pattern);
  });
}

async function run(name: string): Promise<{ code: number; output: string }> {
  const codex = await codexPath();
  await using directory = await tempDir("example-");
  let path = join(ROOT, "examples", `${name}.ts`);
  const args = onDeno ? ["run", "-A", "--no-check"] : ["--install=force", "run"];
  const text = await readFile(path, "utf8");
  if (!onDeno && text.includes(`"npm:`)) {
    // Bun knows no `npm:`, and installs what is named without it.
    path = join(directory.path, `${name}.ts`);
    const bare = text.replaceAll(`"npm:`, `"`);
    const moved = bare.replaceAll(` "./`, ` "${ROOT}/examples/`).replaceAll(` "../`, ` "${ROOT}/`);
    await writeFile(path, moved);
  }
  return await new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [...args, path],
      { env: { ...process.env, CODEX_PATH: codex, NO_COLOR: "1" }, timeout: 50_000 },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : 1;
        resolve({ code, output: stdout + stderr });
      },
    );
    child.stdin?.end();
  });
}
