/** Why a program could not be started. @module */
import { SpawnError } from "../errors/mod.ts";
import { pathKind } from "./runtime.ts";
import type { ProcessSpec } from "./process_types.ts";

/**
 * The error for a start that failed. Systems answer "not found" for a missing working directory, a missing program, and
 * a program that is there but whose interpreter or loader is not; `missing` is what the runtime could tell of these.
 */
export function startFailure(
  { command, cwd }: Pick<ProcessSpec, "command" | "cwd">,
  missing: "directory" | "program" | null,
  message: string,
  cause: unknown,
): SpawnError {
  if (missing === "directory") {
    return new SpawnError(
      cwd === undefined
        ? "This script's own working directory does not exist any more, and no other one was given."
        : `The working directory ${cwd} does not exist.`,
      { cause, data: { reason: "cwd" } },
    );
  }
  if (missing === "program" && pathKind(command) === "file") {
    return new SpawnError(
      `The program ${command} exists, but what it needs to start does not: the interpreter that its first line names, ` +
        "or its loader (a program made for another C library).",
      { cause, data: { reason: "interpreter", command } },
    );
  }
  if (missing === "program") {
    return new SpawnError(`The program ${command} was not found.`, {
      cause,
      data: { reason: "notFound", command },
    });
  }
  return new SpawnError(`The program ${command} could not be started: ${message}`, {
    cause,
    data: { reason: "failed", command },
  });
}
