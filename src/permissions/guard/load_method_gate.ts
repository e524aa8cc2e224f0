/**
 * The gate in front of raw requests is loaded with the first of them: sessions make none.
 * @module
 */
import type { gateMethod } from "./method_gate.ts";

/** Loads the gate. */
export async function loadMethodGate(): Promise<typeof gateMethod> {
  return (await import("./method_gate.ts")).gateMethod;
}
