/**
 * Does a command line start a certain program, with certain first words? In doubt: it may.
 * @module
 */
import type { ShellWord } from "./command_builder.ts";
import type { CommandAnalysis } from "./command_line_types.ts";
import { programName, runsItsArguments } from "./programs.ts";

/** Whether any part of the command line may be a command that begins with these words. */
export function mayBegin(line: CommandAnalysis, prefix: readonly string[]): boolean {
  return mayStart(line, (words, start) => prefixMayBegin(prefix, words, start));
}

/** Whether any part of the command line may start a program whose name passes the test. */
export function mayRun(line: CommandAnalysis, named: (name: string) => boolean): boolean {
  return mayStart(line, (words, start) => {
    const word = words[start] as ShellWord;
    // `/usr/lib/git-core/git-push` is a `git`.
    return !word.literal || named(programName(word.text)) ||
      named(programName(word.text).replace(/-.*$/, ""));
  });
}

/** Whether a command may start at any place where the test says yes. */
function mayStart(
  line: CommandAnalysis,
  test: (words: readonly ShellWord[], start: number) => boolean,
): boolean {
  // What can't be read, or holds no command, may be anything.
  if (line.broken !== null) return true;
  if (line.commands.length + line.extras.length === 0) return true;
  const commandMay = (words: readonly ShellWord[]): boolean => {
    const head = words[0] as ShellWord;
    const anywhere = line.problem !== null || !head.literal ||
      runsItsArguments(programName(head.text));
    return anywhere ? words.some((_, i) => test(words, i)) : test(words, 0);
  };
  return line.commands.some(commandMay) || line.extras.some(commandMay) ||
    line.texts.some((words) => words.some((_, i) => test(words, i)));
}

function prefixMayBegin(
  prefix: readonly string[],
  words: readonly ShellWord[],
  start: number,
): boolean {
  const head = words[start] as ShellWord;
  if (!head.literal) return true;
  const wanted = programName(prefix[0] as string);
  const name = programName(head.text);
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
  let afterOption = false;
  for (let i = start + 1; wanted < prefix.length; i++) {
    const word = words[i];
    if (word === undefined) return false;
    if (!word.literal) return true;
    const text = prefix[wanted] as string;
    if (word.text === text || sameLetters(word.text, text)) {
      wanted++;
      afterOption = false;
    } else if (word.text.startsWith("-")) afterOption = true;
    else if (afterOption) afterOption = false;
    else return false;
  }
  return true;
}

/** `-fr` is `-rf`, and `-rfv` holds both. */
function sameLetters(text: string, wanted: string): boolean {
  return /^-[A-Za-z]{2,}$/.test(text) && /^-[A-Za-z]+$/.test(wanted) &&
    [...wanted.slice(1)].every((letter) => text.includes(letter, 1));
}
