/**
 * Whether a call comes from within a session's own tool, hook or handler. A prompt asked there would wait for its turn, which
 * waits for them.
 * @module
 */
import { InvalidArgumentError } from "../../errors/mod.ts";
import { sharedBuiltin } from "../../platform/mod.ts";

/** A call that a session waits for. */
interface Scope {
  session: object;
  open: boolean;
}

/** The part of Node's `AsyncLocalStorage` that is used; Deno and Bun have it as well. */
interface Storage {
  /** Not every edge has `snapshot`. */
  constructor: { snapshot?(): Context };
  run<T>(value: readonly Scope[], call: () => T): T;
  getStore(): readonly Scope[] | undefined;
}

/** Does a call in some asynchronous context. */
export type Context = <T>(call: () => T) => T;

let storage: Storage | null | undefined;

/**
 * The asynchronous context of who calls this, for what is `called` later on its behalf; without that Deno need not load the module
 * that tells it.
 */
export function contextHere(called: unknown): Context {
  if (called) storage ??= makeStorage();
  return (called ? storage?.constructor.snapshot?.() : null) ?? ((call) => call());
}

/** Runs what a session waits for, so that {@linkcode assertNotWaitedFor} knows what that calls. */
export async function whileWaiting<T>(session: object, call: () => T | Promise<T>): Promise<T> {
  storage ??= makeStorage();
  if (!storage) return await call();
  const scope = { session, open: true };
  try {
    // Through what another session waits for as well: that one waits, too.
    return await storage.run([...storage.getStore() ?? [], scope], call);
  } finally {
    // What was begun there and goes on later is waited for by nobody.
    scope.open = false;
  }
}

/** Throws when this session waits for what is being called, as far as the runtime can tell: each would wait for the other. */
export function assertNotWaitedFor(session: object): void {
  const scopes = storage?.getStore() ?? [];
  if (!scopes.some((scope) => scope.open && scope.session === session)) return;
  throw new InvalidArgumentError("ask", {
    argument: "session",
    received: "itself",
    accepts: "another",
    sentence: "a tool, hook or handler asked its session",
  }, { data: { reason: "askInOwnTool" } });
}

function makeStorage(): Storage | null {
  const hooks = sharedBuiltin<{ AsyncLocalStorage: new () => Storage }>("async_hooks");
  return hooks && new hooks.AsyncLocalStorage();
}
