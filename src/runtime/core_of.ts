/**
 * The way to the core inside a runtime.
 * @module
 */
import { kindOf } from "../json.ts";
import { InvalidArgumentError } from "../errors/mod.ts";
import type { RuntimeCore } from "./core.ts";

const cores: WeakMap<object, RuntimeCore> = new WeakMap();

/** Lets the rooms above reach the core of a runtime without showing it to users. */
export function coreOf(runtime: object): RuntimeCore {
  const core = cores.get(runtime);
  if (core === undefined) {
    throw new InvalidArgumentError("Runtime", {
      argument: "this",
      received: kindOf(runtime),
      accepts: "a Runtime that `Runtime.spawn` made",
    });
  }
  return core;
}

/** Remembers the core of a runtime. */
export function setCore(runtime: object, core: RuntimeCore): void {
  cores.set(runtime, core);
}
