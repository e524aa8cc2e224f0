/**
 * What goes into a hook's program and what its end means: pure.
 * @module
 */
import { CodexError } from "../errors/mod.ts";
import { windowsSystemProgram } from "../platform/mod.ts";
import type { HookContext } from "./types.ts";

/** How a hook's program ended. */
export interface ProgramEnd {
  /** The exit code, or `null` when a signal ended it. */
  code: number | null;
  /** The signal, or `null`. */
  signal: string | null;
  /** What it printed. */
  stdout: string;
  /** The end of what it printed to stderr. */
  stderr: string;
}

/**
 * The context as one line of JSON. Times are ISO 8601, an error is its name, code and message. The bytes of attachments are left
 * out: as JSON those of a photo take seconds.
 */
export function contextJson(context: HookContext): string {
  const { error, attachments, ...rest } = context;
  const told = {
    ...rest,
    attachments: attachments?.map((one) =>
      typeof one === "string" ? one : { ...one, data: undefined }
    ),
    error: error === undefined ? undefined : plainError(error),
  };
  return `${JSON.stringify(told)}\n`;
}

function plainError(error: unknown): Record<string, string> {
  if (!(error instanceof Error)) return { name: "Error", message: String(error) };
  const { name, message } = error;
  return { name, ...(error instanceof CodexError ? { code: error.code } : {}), message };
}

/** What the program's end says to a pre phase. Throws when the program failed. */
export function preAnswer(end: ProgramEnd): unknown {
  const printed = end.stdout.trim();
  if (end.code === 2) return { type: "block", reason: blockReason(printed, end.stderr.trim()) };
  checkExit(end);
  if (printed === "") return { type: "continue" };
  const answer = parse(printed);
  if (answer === undefined) {
    throw new CodexError(
      "hookProgram",
      `printed ${printed.length} characters that are not JSON; ` +
        `print an action or nothing, and write messages to stderr${tail(end.stderr)}`,
    );
  }
  const empty = typeof answer === "object" && answer !== null && Object.keys(answer).length === 0;
  return empty && !Array.isArray(answer) ? { type: "continue" } : answer;
}

/** Throws unless the program ended well. */
export function checkExit(end: ProgramEnd): void {
  if (end.code === 0) return;
  const how = end.code === null ? `was ended by ${end.signal}` : `exited with status ${end.code}`;
  throw new CodexError("hookProgram", `${how}${tail(end.stderr)}`);
}

function blockReason(printed: string, stderr: string): string {
  const answer = parse(printed);
  if (typeof answer === "object" && answer !== null) {
    const { reason, message } = answer as { reason?: unknown; message?: unknown };
    for (const text of [reason, message]) if (typeof text === "string" && text !== "") return text;
  } else if (printed !== "") return shorten(printed);
  return stderr === "" ? "its program exited with status 2" : shorten(stderr);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function tail(stderr: string): string {
  const text = stderr.trim();
  return text === "" ? "" : `; stderr ends with: ${shorten(text)}`;
}

/** The end of a long text: programs name their trouble last. */
function shorten(text: string): string {
  return text.length <= 500 ? text : `…${text.slice(-500)}`;
}

/** A program and its arguments. */
export interface Invocation {
  /** The program. */
  command: string;
  /** The arguments. */
  args: string[];
  /** The arguments are one line already, which the shell reads as it is. */
  verbatim: boolean;
}

/** How a command line is given to the system's shell, or an argument list to no shell at all. */
export function invocation(command: string | readonly string[], windows: boolean): Invocation {
  if (typeof command !== "string") {
    const [program = "", ...args] = command;
    return { command: program, args, verbatim: false };
  }
  if (!windows) return { command: "sh", args: ["-c", command], verbatim: false };
  // Quoted as an argument, its own quotes would reach cmd.exe as \", which it does not understand. With /s it takes the
  // outer pair away and reads the rest as it would be typed, %VARIABLES% included.
  return {
    command: windowsSystemProgram("cmd.exe"),
    args: ["/d", "/s", "/c", `"${command}"`],
    verbatim: true,
  };
}
