/**
 * Builds the protocol that is generated: the pinned version's, made to fit the older ones.
 * @module
 */
import { readBaseline } from "./baseline.ts";
import { readBundle } from "./codex.ts";
import { inboundRoots, outboundRoots, type Protocol, reachable } from "./ir.ts";
import { methodsOf } from "./methods.ts";
import { protocolOf } from "./read_protocol.ts";
import { relax } from "./relax.ts";

/** The version whose protocol the library speaks. */
export const PINNED = "0.169.0";

/** Versions whose messages must pass too, oldest first; what they send is kept in `baselines/`. */
export const OLDER: readonly string[] = ["0.104.0", "0.125.0", "0.145.0"];

/** The generated protocol, and where an older version differs in a way that it cannot express. */
export async function buildProtocol(): Promise<{ protocol: Protocol; differences: string[] }> {
  const [stable, all] = [await readBundle(PINNED, false), await readBundle(PINNED, true)];
  const stableMethods = new Set(methodsOf(stable, null).map(({ kind, name }) => `${kind} ${name}`));
  const protocol = protocolOf(all, stableMethods);
  markExperimental(protocol, protocolOf(stable, null));
  const differences: string[] = [];
  for (const version of OLDER.toReversed()) {
    const older = protocolOf(await readBaseline(version), null);
    for (const difference of relax(protocol, older)) differences.push(`${version} ${difference}`);
    for (const method of protocol.methods) {
      if (older.methods.some((m) => m.kind === method.kind && m.name === method.name)) {
        method.since = version;
      }
    }
  }
  const used = reachable(protocol.definitions, [
    ...inboundRoots(protocol.methods),
    ...outboundRoots(protocol.methods),
  ]);
  for (const name of protocol.definitions.keys()) {
    if (!used.has(name)) protocol.definitions.delete(name);
  }
  return { protocol, differences };
}

function markExperimental(all: Protocol, stable: Protocol): void {
  for (const [name, node] of all.definitions) {
    const twin = stable.definitions.get(name);
    if (node.k !== "object" || twin?.k !== "object") continue;
    for (const field of node.fields) {
      field.experimental = !twin.fields.some((candidate) => candidate.name === field.name);
    }
  }
}
