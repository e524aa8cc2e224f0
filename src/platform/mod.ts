/**
 * What other rooms may use of `platform`.
 *
 * @module
 */
export { endWithScript } from "./exit_hook.ts";
export {
  isInside,
  isSamePath,
  looseFold,
  type PlainPath,
  plainPath,
  relation,
  strictFold,
} from "./path_relation.ts";
export {
  baseName,
  isAbsolutePath,
  isWindowsPath,
  parentPath,
  type PathRules,
  pathRules,
  resolvePath,
} from "./paths.ts";
export { spawnProcess } from "./process.ts";
export type { ChildProcess, ProcessSpec } from "./process_types.ts";
export { mergeEnv, nameInEnv } from "./child_env.ts";
export { descendants, killEntries, processEntry } from "./process_tree.ts";
export { type ByteSocket, connectUnix, ownUid, socketOwner } from "./unix_socket.ts";
export { windowsSystemProgram } from "./windows/programs.ts";
export { killWindowsTree } from "./windows/tree.ts";
export {
  archName,
  builtin,
  canConnect,
  canRead,
  canReadEnv,
  canRun,
  canSpawn,
  currentDirectory,
  entryKind,
  isExecutable,
  isGranted,
  listDirectory,
  nodeProcess,
  type PathKind,
  pathKind,
  platformName,
  readEnv,
  readTextFile,
  realPath,
  removeFile,
  type RuntimeName,
  runtimeName,
  scriptPath,
  sharedBuiltin,
  signalProcess,
  unrefTimer,
  writeTextFile,
} from "./runtime.ts";
