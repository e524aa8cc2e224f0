/**
 * Takes a command apart before it runs: its wrapper, its script, the simple commands in it.
 * @module
 */
import { keepNewest } from "../json.ts";
import { noFinding, programName, shellKind, type ShellWord, unwrapShell } from "../shell_script.ts";
import type { CommandAnalysis, CommandLine, ShellBudget, ShellScript } from "./command_builder.ts";
import { shellBudget } from "./command_builder.ts";
import { lexShell } from "./lexer.ts";
import {
  addsWords,
  type BuiltinTraits,
  builtinTraits,
  isCommandVariable,
  isInterpreter,
  isShown,
  runsBuiltins,
  runsFile,
  runsItsArguments,
  runsScripts,
  runVariable,
} from "./programs.ts";
import {
  gitScripts,
  isPlainFile,
  isVerb,
  joinWords,
  optionScripts,
  READS_FILE,
  readsProgram,
  runsUnknown,
  scriptsIn,
  splitsText,
  unwrapEnv,
} from "./wrappers.ts";

/** A command that is being taken apart. */
interface Reading {
  analysis: CommandAnalysis;
  budget: ShellBudget;
}

/** Where a script stands in its command. */
interface Place {
  depth: number;
  /** What the quotes of a script around it hold, which may hand that to it. */
  quotes: number;
  /** Whether the words are the whole command. */
  outermost: boolean;
}

const MAX_NESTING = 8;
const MAX_TOKENS = 2000;

/** Takes a command apart: a string as the server sends it, or the words of a process. Never throws. */
export function parseCommandLine(command: string | readonly string[]): CommandLine {
  const analysis = analyzeCommand(command);
  const problem = analysis.broken ?? analysis.problem;
  return {
    // The analysis is shared by all questions about the same command; this is handed out.
    argv: analysis.argv?.slice() ?? null,
    script: analysis.script,
    commands: analysis.commands.map((words) => words.map((word) => word.text)),
    simple: problem === null && analysis.commands.length > 0,
    problem: problem ?? (analysis.commands.length === 0 ? "is empty" : null),
  };
}

/** Newest last. One question is looked at by its parser, its rules and its hooks. */
const recent: Map<string, CommandAnalysis> = new Map();
const RECENT = 8;

/** Takes a command apart. Never throws. What it gives is shared: it must not be changed. */
export function analyzeCommand(command: string | readonly string[]): CommandAnalysis {
  const text = typeof command === "string"
    ? command
    : joinWords(command.map((word) => ({ text: word, literal: true })));
  const known = recent.get(text);
  if (known !== undefined) return known;
  const analysis = read(text);
  recent.set(text, analysis);
  keepNewest(recent, RECENT);
  return analysis;
}

function nothing(): CommandAnalysis {
  return { ...noFinding(), argv: null, extras: [], texts: [] };
}

function read(text: string): CommandAnalysis {
  const analysis = nothing();
  addScript({ analysis, budget: shellBudget() }, text, { depth: 0, quotes: 0, outermost: true });
  return analysis;
}

function addScript(reading: Reading, text: string, place: Place): void {
  const { analysis, budget } = reading;
  if (place.depth > MAX_NESTING) {
    analysis.broken ??= "nested too deeply";
    return;
  }
  const script = lexShell(text, budget);
  analysis.problem ??= script.problem;
  analysis.compound ||= script.compound;
  analysis.broken ??= script.broken;
  // Nothing that it holds counts any more.
  if (analysis.broken !== null) return;
  const alone = script.commands.length === 1 && script.problem === null;
  const outermost = place.outermost && alone;
  if (outermost) {
    const words = script.commands[0] as ShellWord[];
    if (words.every((word) => word.literal)) analysis.argv = words.map((word) => word.text);
  }
  const inner: Place = {
    depth: place.depth,
    quotes: Math.max(place.quotes, outermost ? 0 : script.quotes),
    outermost,
  };
  for (const words of script.commands) expand(reading, words, inner, script);
  const quotes = Math.max(script.quotes, place.quotes);
  if (script.computes && quotes > 0) {
    analysis[quotes > 1 ? "broken" : "problem"] ??= "evaluates a text that holds a $ or a backtick";
  }
  // Written into a file it is run later, or is none: what is not told by its words is not asked for.
  for (const document of script.documents) addNested(reading, document, inner, "none", asText);
  for (const value of script.values) addNested(reading, value, inner, "any");
}

/** What a text means that can't be read: that nothing can, that it may be any command, or that it is no script. */
type Unread = "all" | "any" | "none";

/** A text that something may run as a script, its commands taken as `as` says. */
function addNested(
  reading: Reading,
  text: string,
  place: Place,
  unread: Unread,
  as: (words: ShellWord[]) => ShellWord[] = (words) => words,
) {
  const { analysis, budget } = reading;
  if (isSpent(reading)) return;
  const nested = nothing();
  const inner = { depth: place.depth + 1, quotes: place.quotes, outermost: false };
  addScript({ analysis: nested, budget }, text, inner);
  const commands = nested.commands.map(as);
  analysis.extras.push(...commands, ...(as === asText ? nested.extras.map(as) : nested.extras));
  analysis.texts.push(...nested.texts);
  // As of a whole line: a command may stand anywhere in it.
  analysis.compound ||= nested.compound && unread !== "none";
  analysis.moves ||= nested.moves;
  if (nested.broken === null) return;
  if (unread === "all" || budget.commands < 0 || budget.characters < 0) {
    analysis.broken ??= nested.broken;
  } else if (unread === "any") addUnknown(analysis, "script");
}

/** Whether it holds more than is looked at; then nothing that it holds counts any more. */
function isSpent({ analysis, budget }: Reading): boolean {
  if (budget.commands >= 0 && budget.characters >= 0) return false;
  analysis.broken ??= "holds too many commands";
  return true;
}

/** What the shell would fill in stands for itself. */
function asText(words: ShellWord[]): ShellWord[] {
  return words.map(({ text }) => ({ text, literal: true }));
}

/** What only may be a script is none where it begins with a pattern: `--exclude='*.log'`, `--format='{{.Names}}'`. */
function withPlainHead(words: ShellWord[]): ShellWord[] {
  const [head, ...rest] = words as [ShellWord, ...ShellWord[]];
  const { text, literal } = head;
  return literal || !/[*?[{]/.test(text) || /`|\$[^/\\|)]/.test(text)
    ? words
    : [{ text, literal: true }, ...rest];
}

function expand(reading: Reading, words: ShellWord[], place: Place, script: ShellScript): void {
  const { analysis } = reading;
  const head = words[0];
  if (head === undefined) return;
  if (place.depth > MAX_NESTING) return void (analysis.broken ??= "nested too deeply");
  const name = head.literal ? programName(head.text) : "";
  const kind = shellKind(name);
  const run = (text: string): void =>
    addScript(reading, text, {
      depth: place.depth + 1,
      quotes: place.quotes,
      outermost: false,
    });
  const unwrapped = kind !== null
    ? unwrapShell(analysis, words, kind, place.outermost, run)
    : name === "env"
    ? unwrapEnv(
      analysis,
      words,
      (rest) =>
        expand(reading, rest, { ...place, depth: place.depth + 1, outermost: false }, script),
    )
    : false;
  if (name === "env" || !unwrapped) {
    for (const { text, literal } of words.slice(1)) {
      const shown = isShown(name, text, analysis.problem !== null);
      const value = literal && !shown ? runVariable(text) : null;
      const plain = name !== "env" && !isCommandVariable(text);
      if (value !== null) {
        addNested(reading, value, place, "any", plain ? withPlainHead : undefined);
      }
    }
  }
  if (unwrapped) {
    if (!place.outermost) analysis.extras.push(words);
    return;
  }
  analysis.commands.push(words);
  addTraits(analysis, words, name, script);
  const certain = runsScripts(name);
  for (const text of scriptsIn(words, name)) {
    if (certain) addNested(reading, text, place, "all");
    else addNested(reading, text, place, "none", withPlainHead);
  }
  for (const text of optionScripts(name, words)) {
    addNested(reading, text, place, "none", withPlainHead);
  }
  if (name === "git") addGit(reading, words, place);
  // What another program starts is in the words after it: `sudo python3 -c x`.
  const code = words.findIndex((word, i) =>
    (i === 0 || runsItsArguments(name)) && word.literal && isInterpreter(nameOf(word))
  );
  if (code !== -1) addTokens(analysis, words.slice(code), script);
  if (runsItsArguments(name)) addStarted(reading, words, name, place);
  if (runsUnknown(words)) addUnknown(analysis, name);
}

/** Something that may be any command, for those who ask what may be meant. */
function addUnknown(analysis: CommandAnalysis, text: string): void {
  analysis.extras.push([{ text, literal: false }]);
}

/** What a `git` runs because its arguments say so. */
function addGit(reading: Reading, words: readonly ShellWord[], place: Place): void {
  if (isSpent(reading)) return;
  const { scripts, commands } = gitScripts(words);
  for (const text of scripts) {
    const isShell = text.startsWith("!");
    if (isShell) addNested(reading, text.slice(1), place, "any");
    else addNested(reading, text, place, "any", withPlainHead);
  }
  reading.analysis.extras.push(...commands);
  // Of `git run run run …` each word begins what may be run.
  for (const { length } of commands) reading.budget.characters -= length;
  isSpent(reading);
}

/** What another program starts: the script of a shell there, and what comes from its input. */
function addStarted(reading: Reading, words: ShellWord[], name: string, place: Place): void {
  const { analysis } = reading;
  const met: Set<string> = new Set();
  for (const [i, word] of words.entries()) {
    if (i === 0 || !word.literal || word.text.startsWith("-")) continue;
    const started = nameOf(word);
    // The first one: reading each word of many again and again would take long.
    if ((started === "git" || addsWords(started)) && !met.has(started)) {
      met.add(started);
      const rest = words.slice(i);
      if (started === "git") addGit(reading, rest, place);
      else if (readsProgram(rest)) addUnknown(analysis, started);
    }
    if (started === "env" && splitsText(words, i)) addUnknown(analysis, started);
    const kind = shellKind(started);
    if (kind === null) continue;
    const found = nothing();
    const run = (text: string): void => addNested(reading, text, place, "any");
    unwrapShell(found, words.slice(i), kind, false, run);
    analysis.extras.push(...found.commands);
    if (found.broken !== null) addUnknown(analysis, word.text);
  }
  if (!addsWords(name)) return;
  if (readsProgram(words)) addUnknown(analysis, name);
}

/** What a builtin does to the words around it. */
function addTraits(
  analysis: CommandAnalysis,
  words: ShellWord[],
  name: string,
  script: ShellScript,
): void {
  // What `command`, `noglob` and the like start may be one as well.
  const started = runsBuiltins(name) ? words.slice(1).map(({ text }) => builtinTraits(text)) : [];
  const any = (trait: keyof BuiltinTraits): boolean =>
    [builtinTraits(name), ...started].some((traits) => traits[trait]);
  if (builtinTraits(name).evaluates) {
    analysis.problem ??= "evaluates a script";
    const rest = words.slice(1);
    // What a file holds is not looked at; what another command says is not known.
    if (READS_FILE.test(name) && !rest.every(isPlainFile)) {
      analysis.broken ??= "runs a script that is not known";
    }
  }
  if (any("computes")) {
    script.computes = true;
    if (words.some((word) => !word.literal)) {
      analysis.problem ??= "evaluates what the shell fills in";
    }
    // A file may be called `a[$(rm x)]`, and `*` hands its name on; `printf %s` only shows it.
    if (
      words.some(({ text, literal }) => !literal && /^[^$]*[*?\]]$/.test(text)) &&
      (name !== "printf" || words.some(({ text }) => /^-v|^(?:[^%]|%[s%])*%[^s%]/.test(text)))
    ) addUnknown(analysis, name);
  }
  if (started.some(({ evaluates }) => evaluates)) {
    analysis.problem ??= "evaluates a script";
    addUnknown(analysis, name);
  }
  analysis.moves ||= any("moves") || !(words[0] as ShellWord).literal;
  const sets = name === "printf" || name === "print"
    ? words.some((word) => !word.literal || word.text.startsWith("-v"))
    : any("stateful");
  if (sets && script.commands.length > 1) {
    analysis.problem ??= "changes what later commands mean";
  }
}

/** Code in another language: its words, in order. */
function addTokens(analysis: CommandAnalysis, words: ShellWord[], script: ShellScript): void {
  const texts = [...words.map((word) => word.text), ...script.documents, ...script.values];
  const tokens = texts.flatMap((text) => text.match(/[\w./@%+=:~-]+/g) ?? []);
  if (tokens.length > MAX_TOKENS) analysis.broken ??= "holds too many words";
  else analysis.texts.push(tokens.map((text) => ({ text, literal: true })));
}

// Does a command line start a certain program, with certain first words? In doubt: it may.

/** Whether any part of the command line may be a command that begins with these words. */
export function mayBegin(line: CommandAnalysis, prefix: readonly string[]): boolean {
  const wanted = programName(prefix[0] as string);
  return mayStart(line, (words, start) => prefixMayBegin(prefix, wanted, words, start));
}

/** Whether any part of the command line may start a program whose name passes the test. */
export function mayRun(line: CommandAnalysis, named: (name: string) => boolean): boolean {
  return mayStart(line, (words, start) => {
    const word = words[start] as ShellWord;
    // `/usr/lib/git-core/git-push` is a `git`.
    if (!word.literal) return true;
    const name = nameOf(word);
    const dash = name.indexOf("-");
    return named(name) || (dash !== -1 && named(name.slice(0, dash)));
  });
}

/** Asked for every word by every rule, so it is found out once. */
function nameOf(word: ShellWord): string {
  return word.name ??= programName(word.text);
}

/** Whether a command may start at any place where the test says yes. */
export function mayStart(
  line: CommandAnalysis,
  test: (words: readonly ShellWord[], start: number) => boolean,
): boolean {
  // What can't be read, or holds no command, may be anything.
  if (line.broken !== null) return true;
  if (line.commands.length + line.extras.length === 0) return true;
  // What the shell puts elsewhere than at the beginning is known where something starts it: then it stands by itself.
  const anywhere = (words: readonly ShellWord[]): boolean =>
    words.some((word, i) => (i === 0 || word.literal) && test(words, i) && !isVerb(words, i));
  const commandMay = (words: readonly ShellWord[]): boolean => {
    const head = words[0] as ShellWord;
    return line.compound || runsItsArguments(nameOf(head)) ? anywhere(words) : test(words, 0);
  };
  return line.commands.some(commandMay) || line.extras.some(commandMay) ||
    line.texts.some(anywhere);
}

function prefixMayBegin(
  prefix: readonly string[],
  wanted: string,
  words: readonly ShellWord[],
  start: number,
): boolean {
  const head = words[start] as ShellWord;
  if (!head.literal) return true;
  const name = nameOf(head);
  if (name === wanted) return restMayFollow(prefix, 1, words, start);
  if (!name.startsWith(`${wanted}-`)) return false;
  // `git-push` is a `git push`.
  for (let taken = 2; taken <= prefix.length; taken++) {
    if (name === [wanted, ...prefix.slice(1, taken)].join("-")) {
      return restMayFollow(prefix, taken, words, start);
    }
  }
  return false;
}

/** The words after the program, options and their values left out: `git -C dir push` is a `git push`. */
function restMayFollow(
  prefix: readonly string[],
  taken: number,
  words: readonly ShellWord[],
  start: number,
): boolean {
  let wanted = taken;
  let [afterOption, letters] = [false, ""];
  for (let i = start + 1; wanted < prefix.length; i++) {
    const word = words[i];
    if (word === undefined) return false;
    // Behind an option it is its value.
    if (!word.literal && !afterOption && !word.text.startsWith("-")) return true;
    const text = prefix[wanted] as string;
    const isOption = text.startsWith("-");
    if (isOption && /^-[A-Za-z]+$/.test(word.text)) {
      letters = [...new Set(letters + word.text.slice(1))].join("");
    }
    const same = isOption && (sameLetters(word.text, text) || sameLetters(`-${letters}`, text));
    if (same || word.text === text) {
      wanted++;
      afterOption = false;
    } else if (word.text.startsWith("-")) afterOption = true;
    else if (afterOption) afterOption = false;
    // Options may stand behind what a program works on, but not behind another one's script.
    else if (!isOption || runsFile(nameOf(words[start]!))) return false;
  }
  return true;
}

/** `-fr` is `-rf`, as is `-r -f`, and `-rfv` holds both. */
function sameLetters(text: string, wanted: string): boolean {
  return /^-[A-Za-z]{2,}$/.test(text) && /^-[A-Za-z]+$/.test(wanted) &&
    [...wanted.slice(1)].every((letter) => text.includes(letter, 1));
}
