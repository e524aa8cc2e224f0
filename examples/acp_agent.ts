/**
 * An agent for editors that speak the Agent Client Protocol, such as Zed and those of JetBrains. The editor starts it; this
 * is the command, with the tightest permissions:
 *
 *     deno run --allow-run=codex --allow-read=. --allow-write=. examples/acp_agent.ts
 *
 * The agent gets no more than this: it reads and writes where the script may, and nowhere else. It asks in the editor before
 * it writes, until another mode is chosen there; without `--allow-write` leave `allowPrivilegedEscalation` out. An argument
 * can hold a `ClientConfig` as JSON.
 */
import process from "node:process";
import { Readable, Writable } from "node:stream";
import { acp, Client, type ClientConfig } from "../mod.ts";

// Standard output is the protocol's: whatever else is said goes to the editor's log.
console.log = console.error;

const config: ClientConfig = JSON.parse(process.argv[2] ?? "{}");
// People may think about a question for an hour.
await using client = await Client.connect({ approvalTimeoutMs: 3_600_000, ...config });
await acp.serve(client, {
  readable: Readable.toWeb(process.stdin),
  writable: Writable.toWeb(process.stdout),
}, {
  allowPrivilegedEscalation: true,
  developerInstructions: "You work in an editor: its user sees the files that you change.",
});
