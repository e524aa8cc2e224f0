/**
 * Every error this library throws, each with a stable `code`.
 *
 * Messages say what failed, what was received and what to do. They never hold prompts, answers or secrets.
 * @module
 */
export {
  type ArgumentProblem,
  CheckpointError,
  CodexError,
  type CodexErrorOptions,
  HookBlockedError,
  InvalidArgumentError,
  messageOf,
  MessageTooLargeError,
  type PartialTurn,
  PermissionDeniedError,
  PolicyError,
  type PolicyMismatch,
  PolicyMismatchError,
  RpcError,
  type RpcErrorOptions,
  type RpcRefusal,
  RpcValidationError,
  shorten,
  unnamedTurn,
  UnsupportedError,
} from "./codex_error.ts";
export {
  ConnectionClosedError,
  type ConnectionClosedErrorOptions,
  explainStderr,
  IncompatibleVersionError,
  LoginError,
  type ProcessExit,
  RequestTimeoutError,
  type RequestTimeoutErrorOptions,
  SessionClosedError,
  SpawnError,
} from "./connection_errors.ts";
export * from "./turn_errors.ts";
