// What a script with scoped Deno flags gets on Windows. deno.exe runs it once for each mode, with that mode's flags.
import assert from "node:assert/strict";
import * as lib from "../../mod.ts";
import { hostProbe } from "../../src/permissions/probe.ts";

const [mode, codexPath] = Deno.args;
const cwd = "C:\\w\\scoped";
const write = { cwd, sandbox: "workspace-write", allowPrivilegedEscalation: true };
const model = await lib.testing.ScriptedModel.start(() => "an answer");
const client = await lib.Client.connect(model.clientConfig({ codexPath, home: "C:\\w\\home" }));
const denied = (flag) => (error) => {
  assert.equal(error.code, "permissionDenied", String(error));
  assert.ok(error.missing.some((missing) => missing.startsWith(flag)), error.missing.join());
  return true;
};

const MODES = {
  /** Every grant but the whole disk: no session, since codex would read all of it. */
  async reads() {
    await assert.rejects(client.startSession({ cwd }), denied("--allow-read"));
  },
  /** A whole drive is not every drive. */
  async drive() {
    const probe = hostProbe();
    assert.deepEqual([probe.read(), probe.write()], [false, false]);
    assert.deepEqual([probe.write("C:\\anywhere"), probe.write("Z:\\tmp")], [true, false]);
    await assert.rejects(client.startSession(write), denied("--allow-read"));
  },
  /** All reads, writes below one directory: codex may write there, under whatever name, and nowhere else. */
  async writes() {
    const session = await client.startSession(write);
    assert.equal((await session.ask("hi")).assistantText, "an answer");
    await session.close();
    for (const name of ["c:\\W\\SCOPED", "C:/w/scoped", "C:\\w\\x\\..\\scoped\\."]) {
      const same = await client.startSession({ ...write, cwd: name });
      await same.close();
    }
    for (const root of ["Z:\\tmp", "C:\\windows", "C:\\w\\scoped2", "C:\\w\\scoped\\..\\other"]) {
      const sandbox = { type: "workspaceWrite", writableRoots: [root] };
      await assert.rejects(client.startSession({ ...write, sandbox }), denied("--allow-write"));
    }
  },
};

try {
  await MODES[mode]();
  console.log(`ok scoped flags: ${mode}`);
} catch (error) {
  console.log(`FAILED scoped flags: ${mode}: ${error?.stack ?? error}`);
} finally {
  await client.shutdown();
  await model.close();
}
Deno.exit(0);
