/**
 * Tools to test programs that use codex: a scripted model for the real `codex app-server`.
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
} from "./scripted_model.ts";
export type { ModelRequest, RecordedRequest, ToolOutput } from "./model_request.ts";
export type { ModelStep, ModelTurn, SayOptions, Script, ToolCallOptions, Usage } from "./script.ts";
/** The words of a model script: `say`, `exec`, `httpError`, `hang` and more. */
export * as script from "./script.ts";
