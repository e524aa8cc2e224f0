/** The whole way: a script under Deno's flags, its session, the real codex, and what a model's commands can reach. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { script, ScriptedModel } from "../../src/testing/mod.ts";
import { codexPath } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";

const SCRIPT = fileURLToPath(new URL("_permissions_session_script.ts", import.meta.url));

interface Answer {
  // deno-lint-ignore no-explicit-any
  policy: any;
  // deno-lint-ignore no-explicit-any
  items: any[];
  code?: string;
  message?: string;
  missing?: string[];
}

interface World {
  ws: string;
  secret: string;
  run(flags: string[], session: object, commands: string[], version?: "0.104.0"): Promise<Answer>;
}

async function inWorld(body: (world: World) => Promise<void>): Promise<void> {
  await using dir = await tempDir("script-");
  await using model = await ScriptedModel.start();
  const ws = join(dir.path, "ws");
  const secret = join(dir.path, "secret");
  await Promise.all([mkdir(ws), mkdir(secret)]);
  await writeFile(join(ws, "inside.txt"), "INSIDE");
  await writeFile(join(secret, "outside.txt"), "OUTSIDE");
  await body({
    ws,
    secret,
    async run(flags, session, commands, version) {
      const codex = await codexPath(version);
      const client = model.clientConfig({ codexPath: codex });
      const job = {
        // Inheriting everything needs no permission to read it.
        client: { ...client, env: { ...client.env, inherit: "all" } },
        session: { cwd: ws, ...session },
        prompt: script.inPrompt([...commands.map((command) => [script.exec(command)]), "done"]),
      };
      const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          ...["run", "--no-prompt", "--no-check", "--quiet", `--allow-run=${codex}`],
          ...flags,
          ...[SCRIPT, JSON.stringify(job)],
        ],
      }).output();
      const text = new TextDecoder().decode(stdout);
      assert(text.startsWith("{"), new TextDecoder().decode(stderr));
      // What the model saw: a command that fails in the sandbox may have no item.
      const { input = [] } = model.requests.at(-1)?.body as { input?: { type: string }[] } ?? {};
      const outputs = input.filter((item) => item.type === "function_call_output");
      return { ...JSON.parse(text), items: outputs };
    },
  });
}

test(
  "a script with scoped reads gets an agent that reads no further",
  { timeoutMs: 60_000 },
  async () => {
    await inWorld(async ({ ws, secret, run }) => {
      const { policy, items } = await run([`--allow-read=${ws}`], {}, [
        "cat inside.txt",
        `cat ${secret}/outside.txt`,
      ]);
      assert.equal(policy.enforcedBy, "deno");
      assert.deepEqual(policy.readRoots, [ws]);
      assert.deepEqual([policy.confirmed, policy.readsEnforced], [true, true]);
      assert.match(JSON.stringify(items[0]), /INSIDE/);
      assert.doesNotMatch(JSON.stringify(items[1]), /OUTSIDE/);
    });
  },
);

test("a script without write permission is refused a writable session, with the flag", {
  timeoutMs: 60_000,
}, async () => {
  await inWorld(async ({ ws, run }) => {
    const session = { sandbox: "workspace-write", allowPrivilegedEscalation: true };
    const { code, missing, message } = await run([`--allow-read=${ws}`], session, []);
    assert.equal(code, "permissionDenied");
    assert.deepEqual(missing, [`--allow-write=${ws}`]);
    assert.match(message!, /--allow-write=/);
  });
});

test("a script with write permission gets an agent that writes there and nowhere else", {
  timeoutMs: 60_000,
}, async () => {
  await inWorld(async ({ ws, secret, run }) => {
    const session = { sandbox: "workspace-write", allowPrivilegedEscalation: true };
    const { policy } = await run([`--allow-read=${ws}`, `--allow-write=${ws}`], session, [
      "echo x > made.txt",
      `echo x > ${secret}/made.txt`,
    ]);
    assert.equal(policy.sandbox.type, "workspaceWrite");
    assert.equal(existsSync(join(ws, "made.txt")), true);
    assert.equal(existsSync(join(secret, "made.txt")), false);
  });
});

test(
  "with codex 0.104 the policy says that reads are not enforced",
  { timeoutMs: 60_000 },
  async () => {
    await inWorld(async ({ ws, run }) => {
      const { policy } = await run([`--allow-read=${ws}`], {}, ["true"], "0.104.0");
      assert.deepEqual([policy.readsEnforced, policy.readRoots], [false, [ws]]);
    });
  },
);
