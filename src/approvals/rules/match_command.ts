/**
 * Does a rule's command matcher mean this command?
 * @module
 */
import {
  type CommandAnalysis,
  joinWords,
  programName,
  runsItsArguments,
  type ShellWord,
} from "../../shell/mod.ts";
import type { ApprovalRequest } from "../request/types.ts";
import type { CommandMatcher } from "./rule_types.ts";

/** Whether the matcher certainly means this simple command. */
export function certainlyMeans(
  matcher: CommandMatcher,
  words: readonly ShellWord[],
  request: ApprovalRequest,
): boolean {
  if (typeof matcher === "function") {
    try {
      return matcher(words.map((word) => word.text), request) === true;
    } catch {
      return false;
    }
  }
  if (matcher instanceof RegExp) return stateless(matcher).exec(joinWords(words))?.index === 0;
  return matcher.length > 0 && words.length >= matcher.length &&
    matcher.every((text, i) => words[i]?.literal === true && words[i]?.text === text);
}

/** Whether the matcher may mean any part of the command line. */
export function mayMean(
  matcher: CommandMatcher,
  line: CommandAnalysis,
  source: string,
  request: ApprovalRequest,
): boolean {
  if (line.broken !== null) return true;
  const all = [...line.commands, ...line.extras];
  // An empty line can't be judged either.
  if (all.length === 0) return true;
  if (typeof matcher === "function") {
    try {
      return all.some((words) => matcher(words.map((word) => word.text), request) !== false);
    } catch {
      return true;
    }
  }
  if (matcher instanceof RegExp) {
    const pattern = stateless(matcher);
    return pattern.test(source) || (line.script !== null && pattern.test(line.script)) ||
      all.some((words) =>
        pattern.test(joinWords(words)) || pattern.test(words.map((word) => word.text).join(" "))
      );
  }
  return all.some((words) => prefixMayMean(matcher, words, line.problem !== null));
}

/** `g` and `y` make a pattern remember its last use. */
function stateless(pattern: RegExp): RegExp {
  return pattern.global || pattern.sticky
    ? new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ""))
    : pattern;
}

function prefixMayMean(
  prefix: readonly string[],
  words: readonly ShellWord[],
  anywhere: boolean,
): boolean {
  const head = words[0];
  if (head === undefined) return false;
  const starts = anywhere || !head.literal || runsItsArguments(programName(head.text))
    ? words.keys()
    : [0];
  for (const start of starts) {
    if (headMayBe(prefix[0], words[start]) && restMayBe(prefix, words, start)) return true;
  }
  return false;
}

function headMayBe(wanted: string | undefined, word: ShellWord | undefined): boolean {
  if (wanted === undefined || word === undefined) return false;
  return !word.literal || programName(word.text) === programName(wanted);
}

/** The words after the program, options and their values left out: `git -C dir push` is a `git push`. */
function restMayBe(
  prefix: readonly string[],
  words: readonly ShellWord[],
  start: number,
): boolean {
  if (words[start]?.literal === false) return true;
  let wanted = 1;
  let afterOption = false;
  for (let i = start + 1; wanted < prefix.length; i++) {
    const word = words[i];
    if (word === undefined) return false;
    if (!word.literal) return true;
    if (word.text === prefix[wanted]) {
      wanted++;
      afterOption = false;
    } else if (word.text.startsWith("-")) afterOption = true;
    else if (afterOption) afterOption = false;
    else return false;
  }
  return true;
}
