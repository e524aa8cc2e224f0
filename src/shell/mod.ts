/**
 * What other rooms may use of `shell`.
 *
 * @module
 */
export { programName, type ShellWord } from "../shell_script.ts";
export type { CommandAnalysis, CommandLine } from "./command_builder.ts";
export { analyzeCommand, mayBegin, mayRun, mayStart, parseCommandLine } from "./command_line.ts";
export { joinWords } from "./wrappers.ts";
