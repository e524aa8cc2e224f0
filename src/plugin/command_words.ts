/**
 * Which programs a command starts, read roughly: a filter must rather see a program too many than one too few.
 * @module
 */

/** The words of one simple command: the program and its arguments, quotes removed. */
export type CommandWords = readonly string[];

/** What is known of a command; see the context of a tool-use hook. */
export interface CommandFacts {
  /** The command as the server spells it. */
  readonly command?: string;
  /** The command split into its arguments. */
  readonly argv?: readonly string[];
  /** The text inside a shell wrapper. */
  readonly script?: string;
}

/** Programs and shell words that start what is named after them, at some place among their own options. */
const LAUNCHERS: ReadonlySet<string> = new Set([
  ...["bash", "sh", "zsh", "dash", "ksh", "fish", "cmd", "powershell", "pwsh", "busybox", "eval"],
  ...["sudo", "doas", "env", "command", "exec", "builtin", "nohup", "nice", "time", "timeout"],
  ...["xargs", "find", "parallel", "watch", "setsid", "stdbuf", "if", "then", "do", "else"],
  ...["while", "until", "!"],
]);

/** Every simple command that the text may start. Text inside quotes counts too. */
export function commandsIn(facts: CommandFacts): CommandWords[] {
  const found: CommandWords[] = [];
  if (facts.argv !== undefined) addCommands(facts.argv, found);
  for (const text of new Set([facts.script, facts.command])) {
    for (const part of text?.split(/[;&|\n\r(){}`]/) ?? []) {
      addCommands(part.replaceAll(/["']/g, "").split(/\s+/).filter((word) => word !== ""), found);
    }
  }
  return found;
}

/** Adds the words, and for a launcher each ending of them that may be what it launches. */
function addCommands(words: CommandWords, found: CommandWords[]): void {
  // Assignments stand before the program: `LANG=C sort`.
  const start = words.findIndex((word) => !/^\w+=/.test(word));
  if (start < 0) return;
  found.push(words.slice(start));
  if (!LAUNCHERS.has(programName(words[start]!))) return;
  for (let at = start + 1; at < words.length; at++) found.push(words.slice(at));
}

/** The bare name of a program: `/usr/bin/git` and `C:\Git\git.exe` are `git`. */
export function programName(program: string): string {
  const name = program.slice(Math.max(program.lastIndexOf("/"), program.lastIndexOf("\\")) + 1);
  return name.replace(/\.(exe|cmd|bat)$/i, "");
}

/** Whether the words begin with the prefix's words; the program is compared by its bare name. */
export function wordsStartWith(words: CommandWords, prefix: CommandWords): boolean {
  const program = words[0];
  const wanted = prefix[0];
  if (program === undefined || wanted === undefined) return false;
  // What a variable stands for can't be told, so it may be the program.
  if (program.includes("$")) return true;
  // A backslash is a Windows separator or a shell's escape (`r\m`).
  const same = [program, programName(program), program.replaceAll("\\", "")].includes(wanted);
  return same && prefix.every((word, at) => at === 0 || words[at] === word);
}
