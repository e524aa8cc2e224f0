/**
 * What is known about a command before it runs.
 * @module
 */
import type { ShellWord } from "./command_builder.ts";

/** A command as the server would run it, taken apart without running anything. */
export interface CommandLine {
  /** The words of the command as sent, wrapper included; `null` when they can't be told apart. */
  argv: string[] | null;
  /** The script inside `bash -lc '…'`, `sh -c`, `powershell -Command` and the like; `null` without such a wrapper. */
  script: string | null;
  /**
   * Every simple command, nested ones included, in order. A word that only the shell can know (`$X`, `*.ts`) keeps its
   * source text.
   */
  commands: string[][];
  /**
   * Whether these are all its commands and nothing else happens: no substitution, redirection, assignment, background
   * job or compound statement. Only a simple command line can be allowed by a rule that names commands.
   */
  simple: boolean;
  /** Why it is not simple, or `null`. */
  problem: string | null;
}

/** Everything that rules and hooks look at; wider than {@linkcode CommandLine}. */
export interface CommandAnalysis {
  /** The words as sent, or `null`. */
  argv: string[] | null;
  /** The script inside the outermost wrapper, or `null`. */
  script: string | null;
  /** The simple commands, wrappers taken off. */
  commands: ShellWord[][];
  /** Wrappers, and texts that a command may run as a script; for those that ask what may be meant. */
  extras: ShellWord[][];
  /** Words of code in another language than the shell's; a command may stand anywhere in them. */
  texts: ShellWord[][];
  /** Whether a command may change the directory of the later ones. */
  moves: boolean;
  /** Why it is not simple, or `null`. */
  problem: string | null;
  /** Why it could not be read, or `null`; then nothing is known about it. */
  broken: string | null;
}
