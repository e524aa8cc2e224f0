/**
 * Reads one version's schema bundle.
 * @module
 */
import type { Ir, Protocol } from "./ir.ts";
import { type Bundle, toIr } from "./json_schema.ts";
import { methodsOf } from "./methods.ts";

/** Reads a bundle; `stable` as in {@linkcode methodsOf}. */
export function protocolOf(bundle: Bundle, stable: ReadonlySet<string> | null): Protocol {
  const definitions = new Map<string, Ir>();
  for (const name of Object.keys(bundle.definitions).sort()) {
    try {
      definitions.set(name, toIr(bundle.definitions[name]!));
    } catch (error) {
      throw new Error(`${bundle.version}: cannot read ${name}`, { cause: error });
    }
  }
  return { version: bundle.version, definitions, methods: methodsOf(bundle, stable) };
}
