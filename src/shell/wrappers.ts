/**
 * Programs that run the command in their arguments: shells with a script, `env`, and `git`.
 * @module
 */
import type { CommandAnalysis, ShellWord } from "./command_builder.ts";
import { programName } from "./programs.ts";

/** Where a shell is taken for what its name says. */
const TRUSTED_PLACE = /^(?:|\/bin\/|\/usr\/bin\/|\/usr\/local\/bin\/|\/opt\/homebrew\/bin\/)$/;
const TRUSTED_WINDOWS_PLACE = /^(?:|[a-z]:[\\/](?:windows[\\/]system32|program files)[\\/].*)$/i;
const NO_CHANGE_OPTION = /^(?:-[lc]+|--login|--norc|--noprofile|--posix)$/;
const FILE_OPTION = /^--(?:rcfile|init-file)$/;
/** What reads the same in every shell's grammar. */
const PLAIN_SCRIPT = /^[\w ./:=,+-]*$/;

/** `bash -lc 'script'`: the script counts, the shell does not. `false` when there is no such script. */
export function unwrapShell(
  analysis: CommandAnalysis,
  words: ShellWord[],
  kind: "posix" | "other",
  outermost: boolean,
  run: (script: string) => void,
): boolean {
  let runsScript = false;
  let index = 1;
  for (; index < words.length; index++) {
    const { text, literal } = words[index] as ShellWord;
    if (!literal || !/^[-+]/.test(text)) break;
    if (!NO_CHANGE_OPTION.test(text)) analysis.problem ??= "runs a shell with other options";
    if (text === "-" || text === "--") {
      index++;
      break;
    }
    if (FILE_OPTION.test(text) || /^[-+][oO]$/.test(text)) index++;
    else if (/^[-+][A-NP-Za-np-z]+$/.test(text)) runsScript ||= text.includes("c");
    // An option that is not known may take the next word, or be the script.
    else if (!NO_CHANGE_OPTION.test(text)) analysis.broken ??= "runs a shell with unknown options";
  }
  const script = words[index];
  if (!runsScript) {
    // It reads what it runs from its input, or from a place that can hold anything.
    if (script === undefined || !script.literal || /^\/(?:dev|proc)\//.test(script.text)) {
      analysis.broken ??= "runs a script that is not known";
    }
    return false;
  }
  if (script === undefined) return false;
  if (!script.literal) {
    analysis.problem ??= "runs a script that is not known";
    analysis.broken ??= "runs a script that is not known";
    return false;
  }
  const shell = (words[0] as ShellWord).text;
  const place = shell.slice(0, shell.lastIndexOf("/") + 1);
  // On a file system that tells letters apart, `BASH` is another program.
  const named = shell.slice(place.length) === programName(shell);
  if (!TRUSTED_PLACE.test(place) || shell.includes("\\") || !named) {
    analysis.problem ??= "runs a shell from an unusual place";
  }
  if (index < words.length - 1) analysis.problem ??= "gives its script arguments";
  if (outermost) analysis.script = script.text;
  if (kind === "other") {
    analysis.problem ??= "runs a shell with another grammar";
    if (!PLAIN_SCRIPT.test(script.text)) analysis.broken ??= "is not a POSIX shell script";
  }
  run(script.text);
  return true;
}

/** `powershell -Command …` and `cmd /c …` have their own grammar; only plain words are understood. */
export function unwrapWindows(
  analysis: CommandAnalysis,
  words: ShellWord[],
  kind: "powershell" | "cmd",
  outermost: boolean,
): boolean {
  const option = kind === "cmd" ? /^\/[ck]$/i : /^-(?:c|command)$/i;
  const index = words.findIndex((word, i) => i > 0 && word.literal && option.test(word.text));
  if (index === -1) {
    analysis.problem ??= "runs a shell with other options";
    // Every option can be shortened; what is left runs a file, its input or an encoded script.
    analysis.broken ??= "runs a script that is not known";
    return false;
  }
  const shell = (words[0] as ShellWord).text;
  const place = shell.slice(0, Math.max(shell.lastIndexOf("/"), shell.lastIndexOf("\\")) + 1);
  if (!TRUSTED_WINDOWS_PLACE.test(place) && !TRUSTED_PLACE.test(place)) {
    analysis.problem ??= "runs a shell from an unusual place";
  }
  // It looks for programs in the working directory first, which may belong to the agent.
  if (kind === "cmd") analysis.problem ??= "looks for programs in the working directory";
  const before = words.slice(1, index).map((word) => word.text.toLowerCase());
  if (before.some((word) => word !== "-noprofile" && word !== "-nologo")) {
    analysis.problem ??= "runs a shell with other options";
  }
  const script = words.slice(index + 1).map((word) => word.text).join(" ");
  if (outermost) analysis.script = script;
  if (!/^[\w ./\\:=,+-]*$/.test(script)) {
    analysis.broken ??= "is not a POSIX shell script";
    return true;
  }
  const plain = script.split(" ").filter((text) => text !== "");
  if (plain.length > 0) analysis.commands.push(plain.map((text) => ({ text, literal: true })));
  return true;
}

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

const RUN_AFTER: ReadonlySet<string> = new Set(["foreach", "run", "-x", "--exec", "difftool"]);

/** Scripts in the arguments of a `git`, and commands that an alias in them stands for. */
export function gitScripts(words: readonly ShellWord[]): {
  scripts: string[];
  commands: ShellWord[][];
} {
  const scripts: string[] = [];
  const commands: ShellWord[][] = [];
  for (const [i, word] of words.entries()) {
    const next = words[i + 1];
    if (!word.literal) continue;
    if (word.text === "-c" && next !== undefined) {
      // What a variable holds may be any setting.
      if (!next.literal) commands.push([{ text: next.text, literal: false }]);
      const value = next.text.slice(next.text.indexOf("=") + 1);
      scripts.push(value.replace(/^!/, ""));
      commands.push(["git", ...value.split(/\s+/)].map((text) => ({ text, literal: true })));
    } else if (RUN_AFTER.has(word.text) && next !== undefined) {
      commands.push(words.slice(i + 1));
      if (next.literal) scripts.push(next.text);
    } else if (/^--(?:exec|[a-z]+-filter|upload-pack|receive-pack)\b/.test(word.text)) {
      const value = word.text.includes("=") ? word.text.slice(word.text.indexOf("=") + 1) : null;
      if (value !== null) scripts.push(value);
      else if (next?.literal) scripts.push(next.text);
    }
  }
  return { scripts, commands };
}
