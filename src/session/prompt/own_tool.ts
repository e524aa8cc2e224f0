/**
 * Whether a call comes from within a session's own tool. A prompt asked there would wait for its turn, which waits for
 * the tool.
 * @module
 */
import { sharedBuiltin } from "../../platform/mod.ts";

/** The part of Node's `AsyncLocalStorage` that is used; Deno and Bun have it as well. */
interface Storage {
  run<T>(value: ReadonlySet<object>, call: () => T): T;
  getStore(): ReadonlySet<object> | undefined;
}

let storage: Storage | null | undefined;

/** Runs a session's tool, so that {@linkcode isInTool} tells what it calls. */
export function inTool<T>(session: object, call: () => T): T {
  storage ??= makeStorage();
  if (storage === null) return call();
  // Through the tool of another session as well: that one waits, too.
  return storage.run(new Set(storage.getStore() ?? []).add(session), call);
}

/** Whether a tool of this session is waiting for what is being called; `false` where the runtime can't tell. */
export function isInTool(session: object): boolean {
  return storage?.getStore()?.has(session) ?? false;
}

function makeStorage(): Storage | null {
  const hooks = sharedBuiltin<{ AsyncLocalStorage: new () => Storage }>("async_hooks");
  return hooks === null ? null : new hooks.AsyncLocalStorage();
}
