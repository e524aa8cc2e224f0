/**
 * An answer as data: parsed, validated, and asked for once more when it does not fit.
 *
 *     deno run -A examples/structured_output.ts --live
 */
import { Client, type JsonSchema } from "../mod.ts";
import { setup } from "./_setup.ts";

interface Risk {
  file: string;
  severity: "low" | "high";
  why: string;
}

const schema: JsonSchema = {
  type: "object",
  properties: {
    risks: {
      type: "array",
      items: {
        type: "object",
        properties: {
          file: { type: "string" },
          severity: { type: "string", enum: ["low", "high"] },
          why: { type: "string" },
        },
        required: ["file", "severity", "why"],
        additionalProperties: false,
      },
    },
  },
  required: ["risks"],
  additionalProperties: false,
};

await using env = await setup([
  JSON.stringify({ risks: [{ file: "main.ts", severity: "urgent", why: "eval" }] }),
  JSON.stringify({ risks: [{ file: "main.ts", severity: "high", why: "eval" }] }),
]);
await using client = await Client.connect(env.client);
const { output } = await client.run(env.cwd, "List the risks in this code", {
  outputSchema: schema,
  repair: true,
});
for (const { severity, file, why } of (output as { risks: Risk[] }).risks) {
  console.log(`${severity}\t${file}\t${why}`);
}
