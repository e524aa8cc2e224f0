/** The recorded conversations with the real server, as data. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** A recorded dialect. */
export type Dialect = "0.169" | "0.104";

/** Both of them, newest first. */
export const DIALECTS: readonly Dialect[] = ["0.169", "0.104"];

// deno-lint-ignore no-explicit-any
export type Message = any;

/** One recorded message: `>` to the server, `<` from it, `t` milliseconds after the start. */
export interface WireMessage {
  t: number;
  dir: ">" | "<";
  m: Message;
}

/** Where the transcripts are. */
export const TRANSCRIPTS: string = join(dirname(fileURLToPath(import.meta.url)), "transcripts");

/** The working directory and CODEX_HOME that stand in transcripts for the recorded ones. */
export const RECORDED_CWD = "/w/wd";

const loaded = new Map<string, WireMessage[]>();

/** Names of the recorded scenarios. */
export function scenarios(dialect: Dialect): string[] {
  return readdirSync(join(TRANSCRIPTS, dialect))
    .filter((name) => name.endsWith(".jsonl"))
    .map((name) => name.slice(0, -".jsonl".length))
    .sort();
}

/** The messages of one scenario, in order. Treat them as read-only. */
export function transcript(dialect: Dialect, scenario: string): WireMessage[] {
  const key = `${dialect}/${scenario}`;
  let wire = loaded.get(key);
  if (wire === undefined) {
    wire = readFileSync(join(TRANSCRIPTS, dialect, `${scenario}.jsonl`), "utf8")
      .split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
    loaded.set(key, wire);
  }
  return wire;
}

/** The first recorded message that fits; throws when there is none. */
export function recorded(
  dialect: Dialect,
  scenario: string,
  method: string,
  where: (params: Message) => boolean = () => true,
): Message {
  const found = transcript(dialect, scenario).find(({ m }) =>
    m.method === method && where(m.params)
  );
  if (found === undefined) {
    throw new Error(`no fitting ${method} in transcripts/${dialect}/${scenario}.jsonl`);
  }
  return found.m;
}

/** The recorded result of the first request with this method. */
export function recordedResult(dialect: Dialect, scenario: string, method: string): Message {
  const { id } = recorded(dialect, scenario, method);
  const answer = transcript(dialect, scenario)
    .find(({ dir, m }) => dir === "<" && m.id === id && m.method === undefined);
  if (answer?.m.result === undefined) {
    throw new Error(`no result of ${method} in transcripts/${dialect}/${scenario}.jsonl`);
  }
  return answer.m.result;
}
