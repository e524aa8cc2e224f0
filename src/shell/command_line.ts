/**
 * Takes a command apart before it runs: its wrapper, its script, the simple commands in it.
 * @module
 */
import type { CommandLine } from "./command_line_types.ts";
import { lexShell, type ShellWord } from "./lexer.ts";

/** Everything the rules look at; wider than {@linkcode CommandLine}. */
export interface CommandAnalysis {
  /** The words as sent, or `null`. */
  argv: string[] | null;
  /** The script inside the outermost wrapper, or `null`. */
  script: string | null;
  /** The simple commands, wrappers taken off. */
  commands: ShellWord[][];
  /** Wrappers, and texts that a command may run as a script; only a deny looks at them. */
  extras: ShellWord[][];
  /** Why it is not simple, or `null`. */
  problem: string | null;
  /** Why it could not be read, or `null`; then nothing is known about it. */
  broken: string | null;
}

const MAX_NESTING = 8;
const SHELLS: ReadonlySet<string> = new Set(
  ["sh", "bash", "zsh", "dash", "ksh", "ash", "mksh", "fish"],
);
const POWERSHELLS: ReadonlySet<string> = new Set(["powershell", "pwsh"]);
/** Where a shell is taken for what its name says. */
const TRUSTED_PLACE = /^(?:|\/bin\/|\/usr\/bin\/|\/usr\/local\/bin\/|\/opt\/homebrew\/bin\/)$/;
/** Programs that run their arguments. */
const RUNNERS: ReadonlySet<string> = new Set(
  ("sudo doas su runuser env nohup nice ionice chrt taskset time timeout xargs parallel exec command builtin stdbuf " +
    "setsid chroot unshare nsenter watch find fd ssh strace ltrace busybox toybox flock caffeinate arch eval script " +
    "systemd-run dbus-run-session xvfb-run npx bunx noglob nocorrect repeat -").split(" "),
);
const TRUSTED_WINDOWS_PLACE = /^(?:|[a-z]:[\\/](?:windows[\\/]system32|program files)[\\/].*)$/i;
const NO_CHANGE_OPTION = /^(?:-[lc]+|--login|--norc|--noprofile|--posix)$/;

/** The name of a program without its directory and `.exe`, in lower case. */
export function programName(word: string): string {
  return word.slice(Math.max(word.lastIndexOf("/"), word.lastIndexOf("\\")) + 1).toLowerCase()
    .replace(/\.exe$/, "");
}

/** Whether `name` is a program that runs its arguments, such as `sudo` or `xargs`. */
export function runsItsArguments(name: string): boolean {
  return RUNNERS.has(name);
}

/** Takes a command apart: a string as the server sends it, or the words of a process. Never throws. */
export function parseCommandLine(command: string | readonly string[]): CommandLine {
  const analysis = analyzeCommand(command);
  const problem = analysis.broken ?? analysis.problem;
  return {
    argv: analysis.argv,
    script: analysis.script,
    commands: analysis.commands.map((words) => words.map((word) => word.text)),
    simple: problem === null && analysis.commands.length > 0,
    problem: problem ?? (analysis.commands.length === 0 ? "is empty" : null),
  };
}

/** Takes a command apart for the rules. Never throws. */
export function analyzeCommand(command: string | readonly string[]): CommandAnalysis {
  const analysis: CommandAnalysis = {
    argv: null,
    script: null,
    commands: [],
    extras: [],
    problem: null,
    broken: null,
  };
  if (typeof command !== "string") {
    analysis.argv = [...command];
    if (command.some((word) => word.includes("\0"))) {
      analysis.broken = "holds a NUL character";
      return analysis;
    }
    expand(analysis, command.map((text) => ({ text, literal: true })), 0, true);
    return analysis;
  }
  addScript(analysis, command, 0);
  return analysis;
}

/** The words as a line that reads back as the same words. */
export function joinWords(words: readonly ShellWord[]): string {
  return words.map((word) =>
    !word.literal || /^[\w@%+=:,./-]+$/.test(word.text)
      ? word.text
      : `'${word.text.replaceAll("'", `'\\''`)}'`
  ).join(" ");
}

function addScript(analysis: CommandAnalysis, text: string, depth: number): void {
  if (depth > MAX_NESTING) {
    analysis.broken ??= "nested too deeply";
    return;
  }
  const script = lexShell(text);
  analysis.problem ??= script.problem;
  analysis.broken ??= script.broken;
  const outermost = depth === 0 && script.commands.length === 1 && script.problem === null;
  if (outermost && script.broken === null) {
    const words = script.commands[0] as ShellWord[];
    if (words.every((word) => word.literal)) analysis.argv = words.map((word) => word.text);
  }
  for (const words of script.commands) expand(analysis, words, depth, outermost);
  addDocuments(analysis, script.documents, script.commands);
}

/** A document may be the script of the shell that reads it. */
function addDocuments(
  analysis: CommandAnalysis,
  documents: string[],
  commands: ShellWord[][],
): void {
  const toShell = commands.some((words) => {
    const head = words[0] as ShellWord;
    return !head.literal || isShell(programName(head.text)) ||
      RUNNERS.has(programName(head.text));
  });
  for (const document of documents) {
    const script = lexShell(document);
    analysis.extras.push(...script.commands);
    if (script.broken !== null && toShell) analysis.broken ??= script.broken;
  }
}

function isShell(name: string): boolean {
  return SHELLS.has(name) || POWERSHELLS.has(name) || name === "cmd";
}

function expand(
  analysis: CommandAnalysis,
  words: ShellWord[],
  depth: number,
  outermost: boolean,
): void {
  const head = words[0];
  if (head === undefined) return;
  const name = head.literal ? programName(head.text) : "";
  const unwrapped = SHELLS.has(name)
    ? unwrapShell(analysis, words, depth, outermost)
    : POWERSHELLS.has(name)
    ? unwrapWindows(analysis, words, outermost, /^-(?:c|command)$/i)
    : name === "cmd"
    ? unwrapWindows(analysis, words, outermost, /^\/[ck]$/i)
    : name === "env"
    ? unwrapEnv(analysis, words, depth)
    : false;
  if (unwrapped) {
    if (!outermost) analysis.extras.push(words);
    return;
  }
  analysis.commands.push(words);
  if (RUNNERS.has(name)) addRunnerScripts(analysis, words, depth);
}

/** `bash -lc 'script'`: the script counts, the shell does not. */
function unwrapShell(
  analysis: CommandAnalysis,
  words: ShellWord[],
  depth: number,
  outermost: boolean,
): boolean {
  let runsScript = false;
  let index = 1;
  for (; index < words.length; index++) {
    const word = words[index] as ShellWord;
    if (!word.literal || !/^[-+]./.test(word.text)) break;
    if (/^-[A-Za-z]*c[A-Za-z]*$/.test(word.text)) runsScript = true;
    else if (/^[-+][A-Za-z]*[oO]$/.test(word.text)) index++;
    if (!NO_CHANGE_OPTION.test(word.text)) analysis.problem ??= "runs a shell with other options";
  }
  const script = words[index];
  if (!runsScript || script === undefined) return false;
  if (!script.literal) {
    analysis.problem ??= "runs a script that is not known";
    return false;
  }
  const shell = (words[0] as ShellWord).text;
  const place = shell.slice(0, shell.lastIndexOf("/") + 1);
  if (!TRUSTED_PLACE.test(place) || shell.includes("\\")) {
    analysis.problem ??= "runs a shell from an unusual place";
  }
  if (programName(shell) === "fish") analysis.problem ??= "runs a shell with another grammar";
  if (index < words.length - 1) analysis.problem ??= "gives its script arguments";
  if (outermost) analysis.script = script.text;
  addScript(analysis, script.text, depth + 1);
  return true;
}

/** `powershell -Command …` and `cmd /c …` have their own grammar; only plain words are understood. */
function unwrapWindows(
  analysis: CommandAnalysis,
  words: ShellWord[],
  outermost: boolean,
  option: RegExp,
): boolean {
  const index = words.findIndex((word, i) => i > 0 && word.literal && option.test(word.text));
  if (index === -1) {
    analysis.problem ??= "runs a shell with other options";
    if (words.some((word) => /^-e/i.test(word.text))) analysis.broken ??= "runs an encoded script";
    return false;
  }
  const shell = (words[0] as ShellWord).text;
  const place = shell.slice(0, Math.max(shell.lastIndexOf("/"), shell.lastIndexOf("\\")) + 1);
  if (!TRUSTED_WINDOWS_PLACE.test(place) && !TRUSTED_PLACE.test(place)) {
    analysis.problem ??= "runs a shell from an unusual place";
  }
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
function unwrapEnv(analysis: CommandAnalysis, words: ShellWord[], depth: number): boolean {
  let index = 1;
  for (; index < words.length; index++) {
    const word = words[index] as ShellWord;
    if (word.literal && /^[A-Za-z_][A-Za-z0-9_]*=/.test(word.text)) {
      analysis.problem ??= "sets variables";
    } else break;
  }
  const next = words[index];
  if (next === undefined || !next.literal || next.text.startsWith("-")) {
    if (next !== undefined) analysis.problem ??= "runs env with options";
    return false;
  }
  const program = (words[0] as ShellWord).text;
  if (program !== "env" && program !== "/usr/bin/env" && program !== "/bin/env") {
    analysis.problem ??= "runs env from an unusual place";
  }
  expand(analysis, words.slice(index), depth, false);
  return true;
}

/** `watch 'rm x'`, `find -exec sh -c 'rm {}'`, `eval "rm x"`: arguments that are scripts. */
function addRunnerScripts(analysis: CommandAnalysis, words: ShellWord[], depth: number): void {
  const nested: CommandAnalysis = {
    argv: null,
    script: null,
    commands: [],
    extras: [],
    problem: null,
    broken: null,
  };
  const args = words.slice(1);
  const texts = args.filter((word) => word.literal && /[\s;&|]/.test(word.text))
    .map((word) => word.text);
  if (programName((words[0] as ShellWord).text) === "eval") {
    analysis.problem ??= "evaluates a script";
    texts.push(args.map((word) => word.text).join(" "));
    if (args.some((word) => !word.literal)) {
      analysis.extras.push([{ text: "eval", literal: false }]);
    }
  }
  for (const text of texts) addScript(nested, text, depth + 1);
  analysis.extras.push(...nested.commands, ...nested.extras);
}
