/**
 * What other rooms may use of `platform`.
 *
 * @module
 */
export {
  atScriptEnd,
  descendants,
  endLeftSandboxes,
  endOrphans,
  endWithScript,
  killEntries,
  killWindowsTree,
  leftInSession,
  type ProcessEntry,
  processEntry,
  sessionLeader,
  withVariable,
} from "./process_tree.ts";
export type { PathRules, PlainPath } from "./paths.ts";
export {
  baseName,
  codexHomeIn,
  isAbsolutePath,
  isInside,
  isSamePath,
  isWindowsPath,
  looseFold,
  parentPath,
  pathRules,
  plainPath,
  projectFolders,
  resolvePath,
  strictFold,
} from "./paths.ts";
export type { AppendFile, FileSystem } from "./fs.ts";
export type { TreeEntry, TreeFiles } from "./tree.ts";
export { spawnProcess } from "./process_tree.ts";
export type { ChildProcess, ProcessSpec } from "./child_process.ts";
export type { HttpHead, HttpReply, HttpRequest, HttpServer, HttpStream } from "./http_server.ts";
export type { PathKind, RuntimeName } from "./runtime.ts";
export {
  archName,
  byteString,
  canConnect,
  canRead,
  canReadEnv,
  canRun,
  canSpawn,
  currentDirectory,
  entryKind,
  type FileStat,
  isEndless,
  isExecutable,
  isGranted,
  listDirectory,
  mergeEnv,
  missingForLinks,
  nameInEnv,
  nodeProcess,
  pathKind,
  platformName,
  readEnv,
  readTextFile,
  realPath,
  removePath,
  runSync,
  runtimeName,
  scriptPath,
  sharedBuiltin,
  signalProcess,
  statOf,
  unrefTimer,
  writeTextFile,
} from "./runtime.ts";
export { windowsSystemProgram } from "./windows.ts";
