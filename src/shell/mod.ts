/**
 * What other rooms may use of `shell`.
 *
 * @module
 */
export type { CommandAnalysis, CommandLine, ShellWord } from "./command_builder.ts";
export { analyzeCommand, joinWords, mayBegin, mayRun, parseCommandLine } from "./command_line.ts";
