// What each Windows runtime does with the library and codex.exe; prints "ok NAME" or "FAILED NAME" for each part.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import process from "node:process";
import * as lib from "../../mod.ts";
import { mergeEnv } from "../../src/platform/runtime.ts";
import { spawnProcess } from "../../src/platform/process_tree.ts";
import { openStdio } from "../../src/transport/stdio.ts";

const [codexPath, launcher, node] = process.argv.slice(2);
const { quickRun, Client, ShellCommandHook, artifact, runtime, testing } = lib;
const { script } = testing;
const root = fs.mkdtempSync("C:\\w\\t-");
const cwd = path.join(root, "wörk space");
fs.mkdirSync(cwd);

const model = await testing.ScriptedModel.start((request) =>
  /hang/.test(request.text)
    ? [script.say(["x"], { open: true }), script.hang()]
    : [script.say(["You ", "said ", request.text])]
);
const config = model.clientConfig({ codexPath });
let failed = 0;

async function part(name, run) {
  try {
    await run();
    console.log(`ok ${name}`);
  } catch (error) {
    failed++;
    console.log(
      `FAILED ${name}: ${error?.stack ?? error}${error?.cause ? `\n${error.cause.stack}` : ""}`,
    );
  }
}

await part("quickRun", async () => {
  assert.equal((await quickRun(cwd, "hi", { client: config })).assistantText, "You said hi");
});

await part("session, streaming, interrupt, shutdown", async () => {
  const file = path.join(root, "log", "events.jsonl");
  const eventLog = new runtime.JsonlFileSink(file);
  const client = await Client.connect({ ...config, eventLog });
  const session = await client.startSession({ cwd });
  let text = "";
  for await (const event of await session.askStream("one")) {
    if (event.type === "assistantMessageDelta") text += event.delta;
  }
  assert.equal(text, "You said one");
  const hanging = await session.askStream("hang");
  for await (const event of hanging) {
    if (event.type === "assistantMessageDelta") await session.interrupt();
  }
  assert.equal((await session.ask("two")).assistantText, "You said two");
  const { gone, how } = await client.runtime.shutdown();
  assert.deepEqual([gone, how], [true, "eof"]);
  assert.match(fs.readFileSync(file, "utf8"), /turn\/completed/);
});

/** The short name that the system gives a directory with `sub` in it: wine tells it above the last name only. */
function shortName(directory) {
  const out = path.join(root, "short.txt");
  const bat = path.join(root, "short.cmd");
  const inner = path.join(directory, "sub");
  fs.writeFileSync(bat, `@for %%I in ("${inner}") do @echo %%~fsI> "${out}"\r\n`);
  execFileSync("C:\\windows\\system32\\cmd.exe", ["/c", bat], { stdio: "ignore" });
  const short = path.dirname(fs.readFileSync(out, "utf8").trim());
  return short.includes("~") && fs.existsSync(short) ? short : null;
}

await part("a directory under each of its names", async () => {
  const plain = path.join(root, "a directory");
  fs.mkdirSync(path.join(plain, "sub"), { recursive: true });
  const short = shortName(plain);
  assert.notEqual(short, null, "wine gives short names");
  const names = [
    plain,
    plain.toUpperCase(),
    `c${plain.slice(1)}`,
    plain.replaceAll("\\", "/"),
    `${plain}\\`,
    `${plain}\\sub\\..`,
    `\\\\?\\${plain}`,
    short,
    // On the drive of this script.
    plain.slice(2),
    plain.slice(2).replaceAll("\\", "/"),
  ];
  const client = await Client.connect(config);
  const before = process.cwd();
  process.chdir(root);
  try {
    for (const name of names) {
      // A cwd may be seen from the script's drive, a root is told in full.
      const whole = /^(?:[A-Za-z]:|[\\/]{2})/.test(name) ? name : plain;
      const sandbox = { type: "workspaceWrite", writableRoots: [whole] };
      const write = { cwd: name, sandbox, allowPrivilegedEscalation: true };
      for (const more of [{ cwd: name }, write]) {
        const session = await client.startSession(more).catch((error) => {
          throw new Error(`${name} ${more.sandbox?.type}: ${error}`, { cause: error });
        });
        assert.equal((await session.ask("one")).assistantText, "You said one");
        await session.close();
      }
    }
    await assert.rejects(client.startSession({ cwd: `${plain}2` }), /does not exist/);
  } finally {
    process.chdir(before);
    await client.shutdown();
  }
});

await part("a denied file is denied under each of its names", async () => {
  const plain = path.join(root, "repo");
  const git = path.join(plain, ".git");
  fs.mkdirSync(git, { recursive: true });
  // The short name that Windows gives it, and the one of wine.
  const short = ["GIT~1", "GIT~~IBP"].map((name) => path.join(plain, name)).find(fs.existsSync);
  assert.ok(short, "a short name leads to it");
  const patches = [
    ".git\\x",
    ".GIT\\x",
    ".git.\\x",
    ".git::$INDEX_ALLOCATION\\x",
    `${path.basename(short)}\\x`,
    `${short}\\x`,
    `\\\\?\\${git}\\x`,
    "allowed.txt",
  ];
  const planned = await testing.ScriptedModel.start(patches.flatMap((name) => [
    script.applyPatch(`*** Begin Patch\n*** Add File: ${name}\n+x\n*** End Patch`),
    "done",
  ]));
  const client = await Client.connect(planned.clientConfig({ codexPath }));
  try {
    const decisions = [];
    const session = await client.startSession({
      cwd: plain,
      approvalPolicy: "untrusted",
      approvals: {
        rules: [
          { effect: "deny", kind: "fileChange", paths: [".git"] },
          { effect: "allow", kind: "fileChange" },
        ],
      },
    });
    for (const _ of patches) {
      await session.ask("next", {
        onEvent: (event) =>
          event.type === "approvalResolved" && decisions.push(event.audit.decision),
      });
    }
    assert.deepEqual(fs.readdirSync(git), [], decisions.join());
    assert.ok(fs.existsSync(path.join(plain, "allowed.txt")), decisions.join());
  } finally {
    await client.shutdown();
    await planned.close();
  }
});

await part("what a turn did to files is taken back, under any of their names", async () => {
  const place = path.join(root, "rewound");
  fs.mkdirSync(path.join(place, "Sub"), { recursive: true });
  const at = (name) => path.join(place, ...name.split("/"));
  const before = { "a.txt": "one\r\ntwo\r\n", "Sub/ü b.txt": "b", "gone.txt": "g" };
  for (const [name, text] of Object.entries(before)) fs.writeFileSync(at(name), text);
  const cmd = "C:\\windows\\system32\\cmd.exe";
  const patch = "*** Begin Patch\n*** Add File: new/x.txt\n+x\n*** Delete File: gone.txt\n" +
    "*** Update File: SUB/Ü B.txt\n@@\n-b\n+changed\n*** End Patch";
  const turn = [
    script.exec("echo changed> A.TXT & mkdir made & echo y> made\\y.txt", { shell: cmd }),
    script.applyPatch(patch),
    "done",
  ];
  const planned = await testing.ScriptedModel.start(turn);
  const client = await Client.connect(planned.clientConfig({ codexPath }));
  try {
    const session = await client.startSession({
      cwd: place,
      sandbox: "danger-full-access",
      allowPrivilegedEscalation: true,
      dangerouslyAllowUnattendedFullAccess: true,
      checkpoints: true,
    });
    const { turnId } = await session.ask("go");
    assert.ok(fs.existsSync(at("made/y.txt")));
    assert.ok(fs.existsSync(at("new/x.txt")));
    const { skipped } = await session.rewind({ before: turnId, conversation: false });
    assert.deepEqual(skipped, []);
    for (const [name, text] of Object.entries(before)) {
      assert.equal(fs.readFileSync(at(name), "utf8"), text, name);
    }
    assert.deepEqual(fs.readdirSync(place).sort(), ["Sub", "a.txt", "gone.txt"]);
  } finally {
    await client.shutdown();
    await planned.close();
  }
});

await part("the .cmd launcher, with a path and settings that need quoting", async () => {
  const override = 'a "quoted" & %PATH% ^x';
  const client = await Client.connect({
    ...config,
    codexPath: launcher,
    configOverrides: { ...config.configOverrides, developer_instructions: override },
  });
  const read = await client.runtime.request("config/read", {});
  assert.equal(read.config.developer_instructions, override);
  assert.equal((await client.runtime.shutdown()).gone, true);
});

await part("a kill settles what waits", async () => {
  const client = await Client.connect(config);
  const session = await client.startSession({ cwd });
  const hanging = await session.askStream("hang");
  hanging.finish().catch(() => {});
  process.kill(client.runtime.pid, "SIGKILL");
  await assert.rejects(hanging.finish(), { code: "connectionClosed" });
  await client.shutdown();
});

await part("a file store saves, loads and refuses a stale edit", async () => {
  const store = new artifact.FileArtifactStore(path.join(root, "store"));
  const text = "one\r\ntwo ü";
  const saved = await store.save("doc", { text, expectedRevision: artifact.EMPTY_REVISION });
  assert.equal((await store.load("doc")).text, text);
  await store.save("doc", { text: "three", expectedRevision: saved.revision });
  const stale = store.save("doc", { text: "four", expectedRevision: saved.revision });
  await assert.rejects(stale, { code: "artifactConflict" });
});

await part(
  "rules of the machine count, those of a home that codex does not have do not",
  async () => {
    const user = path.join(root, "user");
    const machine = "C:\\ProgramData\\OpenAI\\Codex\\rules";
    const allow = 'prefix_rule(pattern = ["git"], decision = "allow")\n';
    const client = await Client.connect(config);
    const options = { cwd: path.join(user, "repo"), approvals: () => "decline" };
    for (const folder of [options.cwd, path.join(user, ".codex", "rules"), machine]) {
      fs.mkdirSync(folder, { recursive: true });
    }
    fs.writeFileSync(path.join(user, ".codex", "rules", "a.rules"), allow);
    const file = path.join(machine, "codex-runtime-test.rules");
    try {
      await (await client.startSession({ ...options, approvalPolicy: "untrusted" })).close();
      fs.writeFileSync(file, allow);
      await assert.rejects(
        client.startSession({ ...options, approvalPolicy: "untrusted" }),
        /codex-runtime-test/,
      );
    } finally {
      fs.rmSync(file, { force: true });
      await client.shutdown();
    }
  },
);

await part("hooks: a program by its name, a line for the shell", async () => {
  const context = { phase: "preTurn", correlationId: "c", at: new Date(0), metadata: {} };
  const options = { signal: new AbortController().signal };
  const line = new ShellCommandHook("line", 'echo {"type":"block","reason":"%OS% \\"q\\""}');
  const answer = await line.call(context, options);
  assert.equal(answer.type, "block");
  assert.match(answer.reason, /^Windows_NT "q"$/);
});

await part("a program planted in the working directory is not started", async () => {
  const before = process.cwd();
  const planted = path.join(root, "planted");
  fs.mkdirSync(planted);
  for (const name of ["cmd.exe", "taskkill.exe", "guard.exe"]) {
    fs.copyFileSync(node, path.join(planted, name));
  }
  process.chdir(planted);
  try {
    const child = await spawnProcess({
      command: "cmd.exe",
      args: ["/c", "echo real"],
      cwd: planted,
    });
    let out = "";
    child.onStdout((chunk) => out += new TextDecoder().decode(chunk));
    child.onStderr(() => {});
    await child.exited;
    await child.release();
    assert.match(out, /real/);
    if (globalThis.Deno === undefined) {
      await assert.rejects(spawnProcess({ command: "guard", args: ["-e", "1"] }), {
        code: "spawn",
      });
    }
  } finally {
    process.chdir(before);
  }
});

await part("one variable under any letter case", async () => {
  process.env.MIXED_Case = "theirs";
  const child = await spawnProcess({
    command: node,
    args: ["-p", "process.env.MIXED_CASE"],
    env: { mixed_case: "mine" },
  });
  let out = "";
  child.onStdout((chunk) => out += new TextDecoder().decode(chunk));
  child.onStderr(() => {});
  await child.exited;
  await child.release();
  assert.equal(out.trim(), "mine");
  assert.deepEqual(mergeEnv("win32", { A: "1" }, { a: "2" }), { a: "2" });
});

await part("a stuck server behind a launcher is ended with it, or not claimed to be", async () => {
  const stuck = path.join(root, "stuck.mjs");
  const mark = path.join(root, "pid");
  fs.writeFileSync(
    stuck,
    `import fs from "node:fs"; fs.writeFileSync(${
      JSON.stringify(mark)
    }, String(process.pid)); setInterval(() => {}, 1e6);`,
  );
  const cmd = path.join(root, "stuck.cmd");
  fs.writeFileSync(cmd, `@"${node}" "${stuck}"\r\n`);
  const transport = await openStdio({ process: { command: cmd, args: [] } });
  transport.start({ bytes() {}, text() {}, closed() {} });
  const told = () => fs.existsSync(mark) ? fs.readFileSync(mark, "utf8") : "";
  while (told() === "") await new Promise((resolve) => setTimeout(resolve, 50));
  const pid = Number(told());
  const { gone } = await transport.close({ graceMs: 500 });
  let lives = true;
  try {
    process.kill(pid, 0);
  } catch {
    lives = false;
  }
  assert.equal(gone && lives, false, `gone: ${gone}, and the server lives: ${lives}`);
});

await model.close();
console.log(failed === 0 ? "all ok" : `${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
