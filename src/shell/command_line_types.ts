/**
 * What is known about a command before it runs.
 * @module
 */

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
