/**
 * Hooks as a kind of option, and what they are called with.
 * @module
 */
import {
  callback,
  having,
  type Kind,
  list,
  name,
  object,
  oneOf,
  required,
  shape,
} from "../check/mod.ts";
import type { Hooks } from "./types.ts";
import { ALL_PHASES } from "./validate.ts";

/** What a hook is called with. */
export const contextKind: Kind = required(
  having("a hook's context { phase, … }", { phase: required(oneOf(ALL_PHASES)) }),
);

/** A hook. */
export const hookKind: Kind = having("a hook { name, call, phases, timeoutMs, onError }", {
  name: required(name),
  call: required(callback),
});

/** Other libraries name the phase where this one has lists. */
const byPhase = (): Record<string, string> =>
  Object.fromEntries(
    ALL_PHASES.flatMap((phase) => {
      const list = phase.startsWith("post") ? "post" : "pre";
      const written = `Write \`hooks: { ${list}: [{ name, phases: ["${phase}"], call }] }\`.`;
      return [phase, phase[0]!.toUpperCase() + phase.slice(1)].map((key) => [key, written]);
    }),
  );

/** The hooks of a client, a session or a call. */
export const hooksKind: Kind = object(
  shape<Hooks>({ pre: list(hookKind), post: list(hookKind) }, byPhase),
  (value) =>
    typeof value === "function" || Array.isArray(value)
      ? "Write `hooks: { pre: [{ name, call }] }`."
      : undefined,
);
