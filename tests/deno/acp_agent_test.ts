/** The example as an editor starts it: a child Deno with few flags, codex on PATH, and the SDK's client at its pipes. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, readFile, symlink } from "node:fs/promises";
import { delimiter, join } from "node:path";
import process from "node:process";
import { script, ScriptedModel } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS, codexPath, ROOT } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { choose, Editor } from "../real/_acp_world.ts";
import { isRunning, rejection, whenGone } from "../real/_session_world.ts";

const added = (name: string) => `*** Begin Patch\n*** Add File: ${name}\n+hello\n*** End Patch`;

for (const version of CODEX_VERSIONS) {
  test(`the agent runs with few flags, and leaves nothing behind, codex ${version}`, async () => {
    await using dir = await tempDir("acp-");
    const cwd = join(dir.path, "project");
    const bin = join(dir.path, "bin");
    await Promise.all([mkdir(cwd), mkdir(bin)]);
    await symlink(await codexPath(version), join(bin, "codex"));
    await using model = await ScriptedModel.start();
    const config = model.clientConfig();
    const child = new Deno.Command(Deno.execPath(), {
      cwd,
      args: [
        ...["run", "--no-prompt", "--no-check", "--quiet", "--allow-run=codex"],
        ...["--allow-read=.", "--allow-write=.", join(ROOT, "examples", "acp_agent.ts")],
        JSON.stringify({ ...config, env: { ...config.env, inherit: "all" } }),
      ],
      env: { PATH: [bin, process.env["PATH"]].join(delimiter), NO_COLOR: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const stderr = new Response(child.stderr).text();
    const stdin = child.stdin.getWriter();
    const writable = new WritableStream({ write: (bytes: Uint8Array) => stdin.write(bytes) });
    const editor = await Editor.open({ readable: child.stdout, writable });
    await editor.initialize();
    const { sessionId } = await editor.start(cwd);

    // Asked first; then in the workspace, and nowhere else.
    editor.answer = choose("allow_once");
    const ask = async (turns: Parameters<typeof script.inPrompt>[0]) =>
      await editor.ask(sessionId, script.inPrompt(turns));
    await ask([script.applyPatch(added("asked.txt")), "Yes."]);
    assert.equal(editor.asked.length, 1, JSON.stringify(editor.updates));
    assert.equal(await readFile(join(cwd, "asked.txt"), "utf8"), "hello\n");
    await editor.agent.request("session/set_mode", { sessionId, modeId: "workspace-write" });
    await ask([script.exec("echo 1 > in.txt; echo 2 > ../out.txt"), "Done."]);
    // An old codex asks about it, since it might leave its sandbox: a script with few flags may not accept it.
    const asksFirst = version === "0.104.0";
    assert.equal(existsSync(join(cwd, "in.txt")), !asksFirst);
    assert.ok(!existsSync(join(dir.path, "out.txt")));
    await editor.agent.request("session/set_mode", { sessionId, modeId: "read-only" });
    await ask([script.exec("echo 1 > no.txt"), "No."]);
    assert.ok(!existsSync(join(cwd, "no.txt")));
    assert.equal(editor.asked.length, 1);

    // Beyond the flags nothing opens.
    const outside = await rejection(editor.start(dir.path)) as Error;
    assert.match(outside.message, /--allow-read/);

    // The editor is closed in the middle of a turn.
    const sleeps = asksFirst ? "tail -f asked.txt" : "sleep 3173";
    const last = ask([script.exec(sleeps)]);
    last.catch(() => {});
    await editor.until(() => editor.told("tool_call").at(-1)?.title === sleeps);
    const codex = codexOf(child.pid);
    assert.ok(codex.length > 0);
    await editor[Symbol.asyncDispose]();
    await stdin.close();
    const { code } = await child.status;
    assert.equal(code, 0, await stderr);
    assert.equal((await stderr).trim(), "");
    for (const pid of codex) await whenGone(pid);
  });
}

/** The processes that a process has started. */
function codexOf(parent: number): number[] {
  return [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter((pid) => pid > 0)
    .filter((pid) => {
      try {
        const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
        return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]) === parent;
      } catch {
        return false;
      }
    }).filter(isRunning);
}
