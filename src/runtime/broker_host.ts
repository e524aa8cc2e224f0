/**
 * What the connection itself knows about the server's questions: the threads that no session has, and what this script
 * may do.
 */
import { isRemote } from "./defaults.ts";
import { type BrokerHost, type ThreadGate, toolFacts } from "../approvals/mod.ts";
import type { JsonObject } from "../json.ts";
import { hostProbe, loadAcceptanceGuard, realPathOf } from "../permissions/mod.ts";
import { hasToolHooks, HookRun, type Hooks, mergeHooks } from "../plugin/mod.ts";
import type { RuntimeConfig } from "./config.ts";
import type { RuntimeState } from "./state/state_types.ts";

/** The broker's view of its connection. */
export async function brokerHost(
  config: RuntimeConfig,
  seen: () => RuntimeState,
): Promise<BrokerHost> {
  const { guardAcceptance } = await loadAcceptanceGuard();
  let hooks: Required<Hooks> | undefined;
  return {
    realPath: isRemote(config) ? undefined : realPathOf,
    gateFor: (threadId) => {
      if (threadId === null) return undefined;
      // A throw refuses: hooks that can't work together must not be left out.
      hooks ??= mergeHooks(config.hooks);
      return clientGate(hooks, seen, threadId);
    },
    guard: (grant, _request, contained) => {
      // A remote server works on another machine: this script's permissions say nothing about it.
      if (isRemote(config)) return null;
      return guardAcceptance(grant, hostProbe(), realPathOf, contained)?.message ?? null;
    },
  };
}

/** For a thread without a session: the connection's own hooks, and what it has seen of the thread. */
function clientGate(
  hooks: Required<Hooks>,
  seen: () => RuntimeState,
  threadId: string,
): ThreadGate {
  const item = (id: string) => seenItem(seen(), threadId, id);
  if (!hasToolHooks(hooks)) return { item };
  return {
    item,
    preToolUse: async (request, { signal }) => {
      const about = request.itemId === null ? undefined : item(request.itemId);
      return await new HookRun(hooks).toolPre(await toolFacts(request, about), { signal });
    },
  };
}

/** An item as the server last described it; one whose texts were cut is not known. */
function seenItem(
  { threads }: RuntimeState,
  threadId: string,
  itemId: string,
): JsonObject | undefined {
  for (const turn of threads[threadId]?.turns ?? []) {
    const found = turn.items.find(({ id }) => id === itemId);
    if (found !== undefined && !found.truncated) return { ...found } as JsonObject;
  }
  return undefined;
}
