/**
 * Starting codex, waiting for it, and losing it.
 * @module
 */
import { redactDiagnostic, withoutColours } from "../redact.ts";
import {
  CodexError,
  type CodexErrorOptions,
  keepPartial,
  type PartialTurn,
  withData,
} from "./codex_error.ts";

/**
 * The codex process could not be found or started.
 *
 * ```ts ignore
 * if (error instanceof SpawnError) {
 *   console.log(error.message); // lists the places that were looked at
 * }
 * ```
 */
export class SpawnError extends CodexError {
  /** Creates the error. */
  constructor(message: string, options: CodexErrorOptions = {}) {
    super("spawn", message, options);
  }
}

/**
 * A login did not come to its end: it was refused, cancelled, or nobody finished it.
 *
 * ```ts ignore
 * if (error instanceof LoginError) console.log(error.message);
 * ```
 */
export class LoginError extends CodexError {
  /** Creates the error. */
  constructor(message: string, options: CodexErrorOptions = {}) {
    super("login", message, options);
  }
}

/**
 * The codex that answered is older than this client accepts.
 *
 * ```ts ignore
 * if (error instanceof IncompatibleVersionError) {
 *   console.log(`codex ${error.found}, needed is ${error.required}`);
 * }
 * ```
 */
export class IncompatibleVersionError extends CodexError {
  /** The version found, or `null` when the server did not tell one. */
  readonly found: string | null;
  /** The oldest version accepted. */
  readonly required: string;

  /** Creates the error from the version found and the one required. */
  constructor(found: string | null, required: string, options: CodexErrorOptions = {}) {
    super(
      "incompatibleVersion",
      `codex ${
        found ?? "of unknown version"
      } is older than ${required}, which this client needs. ` +
        `Update it with \`npm install -g @openai/codex\`, or set \`minVersion: null\` to try anyway.`,
      withData(options, { found, required }),
    );
    this.found = found;
    this.required = required;
  }
}

/** How a process ended. */
export interface ProcessExit {
  /** Exit code, or `null` when a signal ended it or the code is not known. */
  code: number | null;
  /** The signal that ended it, or `null`. */
  signal: string | null;
}

/** Options of {@linkcode ConnectionClosedError}. */
export interface ConnectionClosedErrorOptions extends CodexErrorOptions {
  /** How the process ended, when it is known. */
  exit?: ProcessExit;
  /** The last lines the process wrote to stderr. */
  stderrTail?: string;
}

/**
 * The connection to the server ended while something was waiting for it.
 *
 * ```ts ignore
 * if (error instanceof ConnectionClosedError) console.log(error.exit, error.stderrTail);
 * ```
 */
export class ConnectionClosedError extends CodexError {
  /** How the process ended; `null` for remote servers or when unknown. */
  readonly exit: ProcessExit | null;
  /** The last 16 KiB the process wrote to stderr; empty for remote servers. */
  readonly stderrTail: string;

  /** Creates the error; the exit status and stderr's last line become part of the message. */
  constructor(message: string, options: ConnectionClosedErrorOptions = {}) {
    const exit = options.exit ?? null;
    const tail = redactDiagnostic(options.stderrTail ?? "");
    super("connectionClosed", message + describeExit(exit, tail), {
      retryable: true,
      ...options,
      data: {
        ...options.data,
        exit: exit === null ? null : { code: exit.code, signal: exit.signal },
      },
    });
    this.exit = exit;
    this.stderrTail = tail;
  }

  /** What the running turn had produced, when a turn was running. Not enumerable, as in a `TurnError`. */
  declare readonly partial?: PartialTurn;

  /** The same error for one turn, with what that turn had produced. */
  withPartial(partial: PartialTurn): ConnectionClosedError {
    return keepPartial(changed(this), partial);
  }

  /** The same error for whom another try can't help. */
  asFinal(): ConnectionClosedError {
    return changed(this, { retryable: false });
  }
}

/** A copy of an error. It lacks private members: none of the class may use one. */
function changed(
  error: ConnectionClosedError,
  changes: Partial<ConnectionClosedError> = {},
): ConnectionClosedError {
  const copy: ConnectionClosedError = Object.create(
    Object.getPrototypeOf(error),
    Object.getOwnPropertyDescriptors(error),
  );
  return Object.assign(copy, changes);
}

function describeExit(exit: ProcessExit | null, tail: string): string {
  let text = "";
  if (exit !== null) {
    text += exit.signal === null
      ? ` (codex exited with code ${exit.code ?? "unknown"})`
      : ` (codex was ended by ${exit.signal})`;
  }
  const said = explainStderr(tail);
  return said === "" ? text : `${text}; stderr says: ${said}`;
}

// Finding the words in a dying program's stderr that say why.

/** Frames of stacks, what introduces them, and what Node prints around them. */
const FRAMES = [
  /^\s*at\s/,
  /^\s*\d+:\s+(?:<unknown>|0x[0-9a-f]|[\w<].*::)/i,
  /^\s*stack backtrace:/i,
  /^note: (?:run with|some details)/i,
  /^Node\.js v\d/,
  /^\s*\^+\s*$/,
  /^\s*throw\s/,
  /^(?:node:|file:\/\/)\S+:\d+(?::\d+)?$/,
];
const COMPLAINT =
  /^\s*(?:(?:uncaught |unhandled )?\w*(?:error|exception|panic)\b|fatal\b|thread '.*' .*panicked)/i;
const LINES = 4;
const CHARACTERS = 500;

/**
 * The line that explains, with the few that belong to it: the last one that names an error, else the last lines, in
 * both cases without the frames of a stack. Empty when there is nothing to tell.
 */
export function explainStderr(tail: string): string {
  const lines = withoutColours(tail).split(/\r?\n/)
    .filter((line) => line.trim() !== "" && !FRAMES.some((frame) => frame.test(line)));
  const complaint = lines.findLastIndex((line) => COMPLAINT.test(line));
  const told = complaint < 0 ? lines.slice(-3) : lines.slice(complaint, complaint + LINES);
  const text = told.map((line) => line.trim()).join(" | ");
  // A complaint begins with what matters; of mere last lines the last words do.
  return complaint < 0 ? text.slice(-CHARACTERS) : text.slice(0, CHARACTERS);
}

/** Options of {@linkcode RequestTimeoutError}. */
export interface RequestTimeoutErrorOptions extends CodexErrorOptions {
  /** A sentence that says more, without its period. */
  note?: string;
}

/**
 * The server did not answer a request in time.
 *
 * ```ts ignore
 * if (error instanceof RequestTimeoutError) {
 *   console.log(`${error.method}: no answer in ${error.timeoutMs} ms`);
 * }
 * ```
 */
export class RequestTimeoutError extends CodexError {
  /** The method that was called. */
  readonly method: string;
  /** How long the call waited, in milliseconds. */
  readonly timeoutMs: number;

  /** Creates the error. */
  constructor(method: string, timeoutMs: number, options: RequestTimeoutErrorOptions = {}) {
    const { note } = options;
    const text = `No answer to ${method} within ${timeoutMs} ms.`;
    super("requestTimeout", note === undefined ? text : `${text} ${note}.`, {
      retryable: true,
      ...withData(options, { method, timeoutMs }),
    });
    this.method = method;
    this.timeoutMs = timeoutMs;
  }
}

/**
 * The session, stream or client was closed before the call.
 *
 * ```ts ignore
 * if (error instanceof SessionClosedError) console.log(error.message);
 * ```
 */
export class SessionClosedError extends CodexError {
  /** Creates the error. */
  constructor(
    message = "The session is closed. Start or resume another one.",
    options: CodexErrorOptions = {},
  ) {
    super("sessionClosed", message, options);
  }
}
