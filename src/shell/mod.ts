/**
 * What other rooms may use of `shell`.
 *
 * @module
 */
export {
  analyzeCommand,
  type CommandAnalysis,
  joinWords,
  parseCommandLine,
  programName,
  runsItsArguments,
} from "./command_line.ts";
export type { CommandLine } from "./command_line_types.ts";
export type { ShellWord } from "./lexer.ts";
