/**
 * What other rooms may use of `platform`.
 *
 * @module
 */
export { endWithScript } from "./exit_hook.ts";
export { type PathRules, pathRules } from "./paths.ts";
export { spawnProcess } from "./process.ts";
export type { ChildProcess, ProcessSpec } from "./process_types.ts";
export { descendants, killEntries, processEntry } from "./process_tree.ts";
export {
  archName,
  builtin,
  canConnect,
  canRead,
  canReadEnv,
  canRun,
  canSpawn,
  currentDirectory,
  isExecutable,
  isGranted,
  nodeProcess,
  type PathKind,
  pathKind,
  platformName,
  readEnv,
  readLink,
  readTextFile,
  realPath,
  removeFile,
  type RuntimeName,
  runtimeName,
  scriptPath,
  signalProcess,
  unrefTimer,
  writeTextFile,
} from "./runtime.ts";
