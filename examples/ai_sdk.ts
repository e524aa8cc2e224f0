/**
 * Codex as a model of the AI SDK: a whole answer, one as it comes that goes on with the same conversation, and an object by a
 * schema. What the agent may do is decided by the model's profile, here: read.
 *
 *     deno run --allow-run=codex --allow-read=. --allow-sys=hostname examples/ai_sdk.ts --live
 */
import { generateText, jsonSchema, type ModelMessage, Output, streamText } from "npm:ai@7.0.173";
import { aiSdk, Client, testing } from "../mod.ts";
import { setup } from "./_setup.ts";

const { script } = testing;
await using env = await setup([
  [script.exec("ls")],
  "It is empty.",
  script.say(["Then ", "start ", "with a README."]),
  '{"name":"README.md","lines":12}',
]);
await using client = await Client.connect(env.client);
await using model = aiSdk.codexModel(client, { cwd: env.cwd });

const asked: ModelMessage = { role: "user", content: "What is in this directory?" };
const { text, toolCalls, usage, response } = await generateText({ model, messages: [asked] });
for (const { toolName, input } of toolCalls) console.log(`${toolName}: ${JSON.stringify(input)}`);
console.log(`${text} (${usage.totalTokens} tokens)`);

// The same history: the same thread of codex goes on.
const messages: ModelMessage[] = [
  asked,
  ...response.messages,
  { role: "user", content: "What is missing?" },
];
const { textStream } = streamText({ model, messages });
let said = "";
for await (const part of textStream) said += part;
console.log(said);

const schema = jsonSchema<{ name: string; lines: number }>({
  type: "object",
  properties: { name: { type: "string" }, lines: { type: "integer" } },
  required: ["name", "lines"],
  additionalProperties: false,
});
const output = Output.object({ schema });
const answer = await generateText({ model, prompt: "Name one file, with its length.", output });
console.log(`${answer.output.name}: ${answer.output.lines} lines`);
