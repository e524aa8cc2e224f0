/** A codex that has lost a session's conversation, or finds it damaged: the session is readable as gone, and can be closed. */
import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Client } from "../../src/session/client/client.ts";
import { ScriptedModel } from "../../src/testing/mod.ts";
import { WebAdapter } from "../../src/web/adapter.ts";
import { WebError } from "../../src/errors/mod.ts";
import { MemorySessionStore } from "../../src/web/store/session_store.ts";
import { CODEX_VERSIONS, codexPath } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { makeUsed } from "../_used_home.ts";

const DAMAGE: Record<string, (home: string, rollouts: string[]) => Promise<unknown>> = {
  "codex's home wiped": async (home) => {
    await rm(home, { recursive: true });
    await mkdir(home);
  },
  "rollout deleted": (_, files) => Promise.all(files.map((file) => rm(file))),
  "rollout emptied": (_, files) => Promise.all(files.map((file) => writeFile(file, ""))),
  "rollout overwritten": (_, files) => Promise.all(files.map((file) => writeFile(file, "\0{{\n"))),
  "first line cut": (_, files) =>
    Promise.all(files.map(async (file) => {
      const lines = (await readFile(file, "utf8")).split("\n");
      await writeFile(file, lines.slice(1).join("\n"));
    })),
};

for (const version of CODEX_VERSIONS) {
  test(
    `codex ${version}: a session whose conversation is lost can be read and closed, and takes no place`,
    async (t) => {
      for (const [name, damage] of Object.entries(DAMAGE)) {
        await t.step(name, async () => {
          await using directory = await tempDir("lost-");
          const home = join(directory.path, "home");
          const cwd = join(directory.path, "work");
          await Promise.all([makeUsed(home, version), mkdir(cwd)]);
          const model = await ScriptedModel.start(() => "Noted.");
          const config = model.clientConfig({ codexPath: await codexPath(version), home });
          const store = new MemorySessionStore();
          const up = async () => {
            const client = await Client.connect(config);
            const options = { client, cwd, store, isolation: "trusting" as const };
            return { client, adapter: new WebAdapter({ ...options, maxSessionsPerTenant: 1 }) };
          };
          const down = async ({ client, adapter }: Awaited<ReturnType<typeof up>>) => {
            await adapter.close();
            await client.shutdown();
          };
          try {
            const before = await up();
            const { sessionId } = await before.adapter.createSession("ann");
            await before.adapter.createTurn("ann", sessionId, { text: "Remember this" });
            for await (const { event } of before.adapter.subscribeEvents("ann", sessionId)) {
              if (event.type === "turnCompleted") break;
            }
            await down(before);
            const found = await readdir(join(home, "sessions"), { recursive: true });
            const rollouts = found.filter((path) => path.endsWith(".jsonl"))
              .map((path) => join(home, "sessions", path));
            assert.equal(rollouts.length, 1);
            await damage(home, rollouts);

            const after = await up();
            try {
              const seen = await after.adapter.readSession("ann", sessionId);
              assert.equal(seen.gone, true);
              await assert.rejects(
                after.adapter.createTurn("ann", sessionId, { text: "hi" }),
                (error) => error instanceof WebError && error.status === 404,
              );
              const closed = await after.adapter.closeSession("ann", sessionId);
              assert.equal(typeof closed.archived, "boolean");
              assert.deepEqual(await after.adapter.sessions("ann"), []);
              await after.adapter.createSession("ann");
            } finally {
              await down(after);
            }
          } finally {
            await model.close();
          }
        });
      }
    },
  );
}
