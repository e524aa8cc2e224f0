/**
 * What older versions send, kept beside the generator, so that only the pinned codex has to be installed.
 * @module
 */
import { readBundle } from "./codex.ts";
import { inboundRoots, reachable } from "./ir.ts";
import type { Bundle } from "./json_schema.ts";
import { methodsOf } from "./methods.ts";
import { protocolOf } from "./read_protocol.ts";

const ENVELOPES = ["ClientNotification", "ClientRequest", "ServerNotification", "ServerRequest"];

/** The kept schema of an older version: its methods and the definitions of what it sends. */
export async function readBaseline(version: string): Promise<Bundle> {
  const lines = (await Deno.readTextFile(fileOf(version))).trimEnd().split("\n");
  return { version, definitions: Object.fromEntries(lines.map((line) => JSON.parse(line))) };
}

/** Keeps the schema of `version`; run once when a version joins the supported ones. */
export async function writeBaseline(version: string, methods: ReadonlySet<string>): Promise<void> {
  const bundle = await readBundle(version, true);
  for (const name of ENVELOPES) {
    const envelope = bundle.definitions[name]!;
    // Methods that the pinned version no longer has are no part of the generated protocol.
    envelope.oneOf = envelope.oneOf!.filter((entry) => methods.has(methodName(entry)));
  }
  const { definitions } = protocolOf(bundle, null);
  const read = methodsOf(bundle, null);
  const results = read.flatMap(({ result }) => result === null ? [] : [result]);
  const sent = reachable(definitions, [...inboundRoots(read), ...results]);
  const kept = Object.keys(bundle.definitions).sort()
    .filter((name) => sent.has(name) || ENVELOPES.includes(name))
    .map((name) => `${JSON.stringify([name, bundle.definitions[name]])}\n`);
  await Deno.writeTextFile(fileOf(version), kept.join(""));
}

function methodName(entry: { properties?: Record<string, unknown> }): string {
  return (entry.properties!["method"] as { enum: string[] }).enum[0]!;
}

function fileOf(version: string): URL {
  return new URL(`baselines/${version}.jsonl`, import.meta.url);
}
