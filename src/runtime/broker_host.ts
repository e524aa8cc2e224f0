/**
 * What the connection itself knows about the server's questions: the threads that no session has, and what this script
 * may do.
 */
import { isAttached, isRemote } from "./defaults.ts";
import { type BrokerHost, type ThreadGate, toolFacts } from "../approvals/mod.ts";
import type { JsonObject, JsonValue } from "../json.ts";
import { hostProbe, loadAcceptanceGuard, realPathOf } from "../permissions/mod.ts";
import { hasToolHooks, HookRun, type Hooks, mergeHooks } from "../plugin/mod.ts";
import { supports } from "../protocol/mod.ts";
import type { RuntimeConfig } from "./config.ts";
import type { RuntimeState } from "./state/state_types.ts";

/** The server, to be asked about a question of its. */
interface ServerVoice {
  readonly server: { version: string | null };
  callNow(
    method: string,
    params: JsonValue,
    options: { signal: AbortSignal },
  ): Promise<JsonValue>;
}

/** The broker's view of its connection. */
export async function brokerHost(
  config: RuntimeConfig,
  seen: () => RuntimeState,
  core?: ServerVoice,
): Promise<BrokerHost> {
  const { guardAcceptance } = await loadAcceptanceGuard();
  let hooks: Required<Hooks> | undefined;
  return {
    repeats: isAttached(config),
    realPath: isRemote(config) ? undefined : realPathOf,
    gateFor: (threadId) => {
      if (threadId === null) return undefined;
      // A throw refuses: hooks that can't work together must not be left out.
      hooks ??= mergeHooks(config.hooks);
      return clientGate(hooks, seen, threadId);
    },
    conceals: async ({ threadId, itemId, changes }, signal) => {
      if (core === undefined || supports(core.server.version, "tellsWholePatches")) return null;
      // What is not known at all is not accepted by rules, and shown as such.
      if (threadId === null || itemId === null || changes === null) return null;
      const { concealed } = await import("./diagnose/written_patch.ts");
      return await concealed({ threadId, callId: itemId, told: changes.length }, {
        path: seen().threads[threadId]?.path ?? null,
        local: !isRemote(config),
        call: (method, params) => core.callNow(method, params, { signal }),
        signal,
      });
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
