/**
 * A conversation with the real codex, recorded once and played back in tests: with no codex, account or network.
 *
 *     deno run --allow-run=codex --allow-read=. --allow-write=. examples/cassette.ts --live
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Client, type ClientConfig, testing } from "../mod.ts";
import { setup } from "./_setup.ts";

const { script } = testing;

/** The program to be tested: asks an agent to name a release. */
async function nameRelease(cwd: string, config: ClientConfig): Promise<string> {
  const client = await Client.connect(config);
  try {
    const { assistantText, items } = await client.run(cwd, "Look at the tags and name the release");
    const ran = items.filter((item) => item.type === "commandExecution").length;
    return `${assistantText} (${ran === 1 ? "1 command" : `${ran} commands`})`;
  } finally {
    await client.shutdown();
  }
}

await using env = await setup([[script.exec("ls")], "Call it 1.2."]);
const path = join(env.cwd, "name_release.jsonl");

// Once, by hand: against the real codex.
const recorder = testing.Cassette.record(env.client);
console.log("recorded:", await nameRelease(env.cwd, recorder.clientConfig()));
await writeFile(path, recorder.toString());

// In each test: from the file.
const cassette = testing.Cassette.load(await readFile(path, "utf8"));
const replay = cassette.replay();
console.log("replayed:", await nameRelease(env.cwd, replay.clientConfig()));
replay.assertComplete();
console.log(`${cassette.messages.length} messages, and no codex`);

// A program that does something else is told where.
const other = cassette.replay();
const client = await Client.connect(other.clientConfig());
await client.models().catch(() => {});
await client.shutdown();
console.log(other.divergence?.message ?? "the same conversation");
