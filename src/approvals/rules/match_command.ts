/**
 * Does a rule's command matcher mean this command?
 * @module
 */
import { type CommandAnalysis, joinWords, mayBegin, type ShellWord } from "../../shell/mod.ts";
import type { ApprovalRequest } from "../request/types.ts";
import type { CommandMatcher } from "./rule_types.ts";

/** Whether the matcher certainly means this simple command. */
export function certainlyMeans(
  matcher: CommandMatcher,
  words: readonly ShellWord[],
  request: ApprovalRequest,
): boolean {
  if (Array.isArray(matcher)) {
    return matcher.length > 0 && words.length >= matcher.length &&
      matcher.every((text, i) => words[i]?.literal === true && words[i]?.text === text);
  }
  // Patterns and functions judge words, and what the shell puts in their place is not known: `cat {/etc/shadow,x}`.
  if (!words.every((word) => word.literal)) return false;
  if (matcher instanceof RegExp) return stateless(matcher).exec(joinWords(words))?.index === 0;
  try {
    return matcher(words.map((word) => word.text), request) === true;
  } catch {
    return false;
  }
}

/** Whether the matcher may mean any part of the command line. */
export function mayMean(
  matcher: CommandMatcher,
  line: CommandAnalysis,
  source: string,
  request: ApprovalRequest,
): boolean {
  if (Array.isArray(matcher)) return mayBegin(line, matcher);
  if (line.broken !== null) return true;
  const all = [...line.commands, ...line.extras];
  // An empty line can't be judged either.
  if (all.length === 0) return true;
  if (matcher instanceof RegExp) {
    const pattern = stateless(matcher);
    return pattern.test(source) || (line.script !== null && pattern.test(line.script)) ||
      all.some((words) =>
        pattern.test(joinWords(words)) || pattern.test(words.map((word) => word.text).join(" "))
      );
  }
  try {
    return all.some((words) => matcher(words.map((word) => word.text), request) !== false);
  } catch {
    return true;
  }
}

/** `g` and `y` make a pattern remember its last use. */
function stateless(pattern: RegExp): RegExp {
  return pattern.global || pattern.sticky
    ? new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ""))
    : pattern;
}
