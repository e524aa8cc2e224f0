/**
 * Tools that run in this process when the model calls them.
 *
 *     deno run --allow-run=codex --allow-read=. examples/tools.ts --live
 */
import { Client, testing } from "../mod.ts";
import { setup } from "./_setup.ts";

const { script } = testing;
await using env = await setup([
  [
    script.toolCall("lookup_ticket", { id: "T-1" }),
    script.toolCall("lookup_ticket", { id: "T-2" }),
  ],
  "T-1 is open, T-2 does not exist.",
]);

const tickets: Record<string, { state: string; title: string }> = {
  "T-1": { state: "open", title: "Faster start" },
};

await using client = await Client.connect(env.client);
const { assistantText } = await client.run(
  env.cwd,
  "What is the state of the tickets T-1 and T-2?",
  {
    tools: {
      lookup_ticket: {
        description: "Looks up a ticket by its id",
        inputSchema: {
          type: "object",
          properties: { id: { type: "string", description: "such as T-1" } },
          required: ["id"],
          additionalProperties: false,
        },
        run({ id }: { id: string }) {
          const ticket = tickets[id];
          if (ticket === undefined) throw new Error(`there is no ticket ${id}`);
          console.log(`looked up ${id}`);
          return ticket;
        },
      },
    },
    onEvent: (event) => event.type === "warning" && console.log("warning:", event.message),
  },
);
console.log(assistantText);
