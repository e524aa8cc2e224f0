/**
 * Tools to test programs that use codex: a scripted model for the real `codex app-server`, recordings of it that play
 * back without it, and a connection whose other end is the test.
 *
 * @module
 */
export * from "./model/scripted_model.ts";
export type * from "./model/model_request_types.ts";
export type {
  ModelStep,
  ModelTurn,
  SayOptions,
  Script,
  ToolCallOptions,
  Usage,
} from "./model/script.ts";
/**
 * The words of a model script: `say`, `exec`, `httpError`, `hang` and more.
 *
 * ```ts ignore
 * const { script } = testing;
 * const turns: testing.Script = [[script.reason("I look first."), script.exec("ls")], "Done."];
 * ```
 */
export * as script from "./model/script.ts";
export * from "./memory_transport.ts";
export * from "./cassette/cassette.ts";
export * from "./cassette/cassette_divergence_error.ts";
