/**
 * An answer as data: parsed, validated, and asked for once more when it does not fit. The schema may be one of zod, as here,
 * of valibot or of arktype; a plain JSON Schema goes to `outputSchema`.
 *
 *     deno run --allow-run=codex --allow-read=. examples/structured_output.ts --live
 */
import { z } from "npm:zod@4.6.7";
import { Client } from "../mod.ts";
import { setup } from "./_setup.ts";

const schema = z.strictObject({
  risks: z.array(z.strictObject({
    file: z.string(),
    severity: z.enum(["low", "high"]),
    why: z.string(),
  })),
});

await using env = await setup([
  JSON.stringify({ risks: [{ file: "main.ts", severity: "urgent", why: "eval" }] }),
  JSON.stringify({ risks: [{ file: "main.ts", severity: "high", why: "eval" }] }),
]);
await using client = await Client.connect(env.client);
const { output } = await client.run(env.cwd, "List the risks in this code", {
  output: schema,
  repair: true,
});
for (const { severity, file, why } of output.risks) {
  console.log(`${severity}\t${file}\t${why}`);
}
