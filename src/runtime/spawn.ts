/**
 * Starts codex, or attaches to one, for a runtime or a single run. A runtime loads it when it is asked to.
 * @module
 */
import { SpawnError } from "../errors/mod.ts";
import type { RuntimeConfig } from "./config.ts";
import { transportFactory } from "./connect/connect.ts";
import { RuntimeCore } from "./core.ts";

/** What `Runtime.spawn` does with a configuration that was checked. `seen`: see {@linkcode RuntimeCore.start}. */
export async function spawnCore(config: RuntimeConfig, seen = true): Promise<RuntimeCore> {
  // Some systems still install Node 20, where this would fail later, and by its name alone.
  if (Promise.withResolvers === undefined) {
    throw new SpawnError("This JavaScript runtime is too old: Node has to be 22 or newer.");
  }
  config.signal?.throwIfAborted();
  const { onStderr } = config;
  const guarded = onStderr === undefined ? config : {
    ...config,
    onStderr: (text: string) => {
      const failed = (): void => void core.metrics.sinkErrors++;
      try {
        const told: unknown = onStderr(text);
        if (told instanceof Promise) told.catch(failed);
      } catch {
        failed();
      }
    },
  };
  const home = config.isolation === "hermetic"
    ? await (await import("./hermetic/home.ts")).openHermeticHome(guarded)
    : null;
  const inside = home?.config ?? guarded;
  let core: RuntimeCore;
  try {
    const factory = transportFactory(inside);
    core = new RuntimeCore(inside, factory, home?.remove);
  } catch (error) {
    await home?.remove();
    throw error;
  }
  await core.start(config.signal, seen);
  return core;
}
