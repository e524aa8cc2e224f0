/**
 * A database as a tool: read-only SQL over node:sqlite, its arguments checked by a schema of zod. The thread was begun without
 * the tool; a session that takes it up again brings it along, and a Deno script then needs `--allow-net=127.0.0.1
 * --allow-env=NO_PROXY,no_proxy`. Needs Deno 2.2, Bun 1.4 or Node 22.13 for `node:sqlite`.
 *
 *     deno run --allow-run=codex --allow-read=. --allow-net=127.0.0.1 --allow-env=NO_PROXY,no_proxy examples/sqlite_tools.ts --live
 */
import { DatabaseSync } from "node:sqlite";
import { z } from "npm:zod@4.6.7";
import { Client, testing, tool } from "../mod.ts";
import { setup } from "./_setup.ts";

const { script } = testing;
const served = { namespace: "mcp__session_tools" };
await using env = await setup([
  "I see no database yet.",
  [script.toolCall("query", { sql: "SELECT count(*) AS n FROM orders WHERE state = ?" }, served)],
  [
    script.toolCall("query", {
      sql: "SELECT count(*) AS n FROM orders WHERE state = ?",
      values: ["open"],
    }, served),
  ],
  "Two orders are open.",
]);

const database = new DatabaseSync(":memory:");
database.exec("CREATE TABLE orders (id INTEGER PRIMARY KEY, state TEXT)");
database.exec("INSERT INTO orders (state) VALUES ('open'), ('open'), ('sent')");
// Whatever the model writes, nothing is changed.
database.exec("PRAGMA query_only = ON");

const query = tool({
  description: "Runs a SELECT on the table orders(id, state)",
  inputSchema: z.strictObject({
    sql: z.string().startsWith("SELECT"),
    values: z.array(z.union([z.string(), z.number()])),
  }),
  run({ sql, values }) {
    const rows = database.prepare(sql).all(...values);
    console.log(`${sql} → ${JSON.stringify(rows)}`);
    return rows;
  },
});

await using client = await Client.connect(env.client);
const first = await client.startSession({ cwd: env.cwd });
console.log((await first.ask("Is there a database?")).assistantText);
await first.release();

await using session = await client.resumeSession(first.threadId, {
  cwd: env.cwd,
  tools: { query },
});
console.log((await session.ask("How many orders are open?")).assistantText);
