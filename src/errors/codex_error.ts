/**
 * The base of every error.
 * @module
 */
import type { JsonObject } from "../json.ts";

/** Options shared by all error constructors. */
export interface CodexErrorOptions {
  /** What caused this error. */
  cause?: unknown;
  /** Structured facts about the failure, without payload values. */
  data?: JsonObject;
  /** Whether the same call may succeed when tried again. Default `false`. */
  retryable?: boolean;
}

/**
 * Base of every error of this library. Switch on {@linkcode code}, not on messages.
 *
 * ```ts ignore
 * try {
 *   await quickRun(cwd, "Summarize this repo");
 * } catch (error) {
 *   if (error instanceof CodexError && error.retryable) await tryAgainLater();
 *   else throw error;
 * }
 * ```
 */
export class CodexError extends Error {
  /** Stable identifier of the error class, such as `"turnFailed"`. */
  readonly code: string;
  /** Whether the same call may succeed when tried again. */
  readonly retryable: boolean;
  /** Structured facts about the failure. */
  readonly data?: JsonObject;

  /** Creates an error with a stable code. */
  constructor(code: string, message: string, options: CodexErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    // Not the name of the class, which bundlers shorten.
    this.name = nameFor(code);
    this.code = code;
    this.retryable = options.retryable ?? false;
    if (options.data !== undefined) this.data = options.data;
  }
}

/** `"turnFailed"` is the code of a `TurnFailedError`; codes of others' own errors follow the same rule. */
function nameFor(code: string): string {
  return `${code.charAt(0).toUpperCase()}${code.slice(1)}Error`;
}

/** Keeps messages readable. */
export function shorten(text: string): string {
  return text.length <= 600 ? text : `${text.slice(0, 600)}… (${text.length} characters)`;
}

/** What a thrown value says. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
