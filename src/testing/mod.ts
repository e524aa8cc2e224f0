/**
 * Tools to test programs that use codex: a scripted model for the real `codex app-server`, recordings of it that play
 * back without it, and a connection whose other end is the test.
 *
 * ```ts ignore
 * import { quickRun, testing } from "@codex/runtime";
 *
 * await using model = await testing.ScriptedModel.start(["Hello."]);
 * const result = await quickRun(cwd, "Say hello", { client: model.clientConfig() });
 * ```
 * @module
 */
export {
  type ScriptedClientConfig,
  type ScriptedClientOptions,
  ScriptedModel,
  type ScriptedModelOptions,
  type WaitForRequestOptions,
} from "./model/scripted_model.ts";
export type { ModelRequest, RecordedRequest, ToolOutput } from "./model/model_request.ts";
export type {
  ModelStep,
  ModelTurn,
  SayOptions,
  Script,
  ToolCallOptions,
  Usage,
} from "./model/script.ts";
/** The words of a model script: `say`, `exec`, `httpError`, `hang` and more. */
export * as script from "./model/script.ts";
export {
  type MemoryHandler,
  type MemoryNotification,
  type MemoryRequest,
  type MemoryServer,
  type MemoryTransport,
  memoryTransport,
  type MemoryTransportOptions,
  type MemoryWaitOptions,
} from "./memory_transport.ts";
export { Cassette, type CassetteClosed, type CassetteMessage } from "./cassette/cassette.ts";
export { CassetteDivergenceError } from "./cassette/cassette_divergence_error.ts";
export type { CassetteRecorder, CassetteRecordOptions } from "./cassette/cassette_recorder.ts";
export type {
  CassetteAnswers,
  CassetteReplay,
  CassetteReplayOptions,
} from "./cassette/cassette_replay.ts";
