/**
 * Programs that run the command in their arguments, shells apart: `env` and `git`.
 * @module
 */
import type { ShellWord } from "../shell_script.ts";
import type { CommandAnalysis } from "./command_builder.ts";

/** `env X=1 program`: the program counts; variables and options may change what it does. */
export function unwrapEnv(
  analysis: CommandAnalysis,
  words: ShellWord[],
  run: (words: ShellWord[]) => void,
): boolean {
  let index = 1;
  for (; index < words.length; index++) {
    const word = words[index] as ShellWord;
    if (word.literal && /^[A-Za-z_][A-Za-z0-9_]*=/.test(word.text)) {
      analysis.problem ??= "sets variables";
    } else break;
  }
  const next = words[index];
  if (next === undefined) return false;
  if (!next.literal || next.text.startsWith("-")) {
    analysis.problem ??= "runs env with options";
    analysis.moves = true;
    // `-S`, alone, among others, abbreviated or with its text: the text is split into words.
    const splits = words.some(({ text }) => /^-[a-zA-Z0-9]*S|^--s/.test(text));
    if (splits) analysis.broken ??= "has env split a text into words";
    return false;
  }
  const program = (words[0] as ShellWord).text;
  if (program !== "env" && program !== "/usr/bin/env" && program !== "/bin/env") {
    analysis.problem ??= "runs env from an unusual place";
  }
  run(words.slice(index));
  return true;
}

// What `git` runs because its arguments say so.

/** Options whose value git runs; it knows them by their beginnings too. */
const RUN_OPTION = /^--(?:exe|ext|up|rec|open|send|[a-z]+-(?:f|cm))/;
const RUN_AFTER: ReadonlySet<string> = new Set(["foreach", "run", "-x", "--exec", "difftool"]);

/** Scripts in the arguments of a `git`, and commands that an alias in them stands for. */
export function gitScripts(words: readonly ShellWord[]): {
  scripts: string[];
  commands: ShellWord[][];
} {
  const scripts: string[] = [];
  const commands: ShellWord[][] = [];
  /** A setting may be a program, or what an alias stands for. */
  const set = (value: string): void => {
    scripts.push(value.replace(/^!/, ""));
    commands.push(["git", ...value.split(/\s+/)].map((text) => ({ text, literal: true })));
  };
  for (const [i, word] of words.entries()) {
    const next = words[i + 1];
    if (!word.literal) continue;
    const { text } = word;
    if (text === "-c" && next !== undefined) {
      // What a variable holds may be any setting.
      if (!next.literal) commands.push([{ text: next.text, literal: false }]);
      set(next.text.slice(next.text.indexOf("=") + 1));
    } else if (text === "config") {
      for (const value of words.slice(i + 1)) set(value.text);
    } else if (text.startsWith("--config-env")) {
      commands.push([{ text, literal: false }]);
    } else if (RUN_AFTER.has(text) && next !== undefined) {
      commands.push(words.slice(i + 1));
      if (next.literal) scripts.push(next.text);
    } else if (RUN_OPTION.test(text)) {
      const value = text.includes("=") ? text.slice(text.indexOf("=") + 1) : null;
      if (value !== null) scripts.push(value);
      else if (next?.literal) scripts.push(next.text);
    } else if (text === "-u" && next?.literal) scripts.push(next.text);
    else if (/^(?:-O|ext::)/.test(text)) scripts.push(text.replace(/^(?:-O|ext::)/, ""));
  }
  return { scripts, commands };
}
