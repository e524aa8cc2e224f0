/**
 * What other rooms may use of `shell`.
 *
 * @module
 */
export type { ShellWord } from "./command_builder.ts";
export { analyzeCommand, joinWords, parseCommandLine } from "./command_line.ts";
export type { CommandAnalysis, CommandLine } from "./command_line_types.ts";
export { mayBegin, mayRun } from "./match_words.ts";
