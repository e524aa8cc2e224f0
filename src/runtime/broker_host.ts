/**
 * What the connection itself knows about the server's questions: the threads that no session has, and what this script
 * may do.
 */
import { codexEnv, isAttached, isRemote } from "./defaults.ts";
import { PROBE } from "./restart.ts";
import { delay } from "../async.ts";
import { RequestTimeoutError } from "../errors/mod.ts";
import { type BrokerHost, type ThreadGate, toolFacts } from "../approvals/mod.ts";
import type { JsonObject, JsonValue } from "../json.ts";
import { hostProbe, loadAcceptanceGuard, realPathOf } from "../permissions/mod.ts";
import { hasToolHooks, HookRun, type Hooks, mergeHooks } from "../plugin/mod.ts";
import { supports } from "../protocol/mod.ts";
import type { RuntimeConfig } from "./config.ts";
import type { RuntimeState } from "./state/state_types.ts";

/** How long a question waits for what was said with it: longer than this process may be blocked while the answer waits to be read. */
const ROUND_TRIP_MS = 30_000;
/** How long after the first of two questions under one id codex may ask the second: 10 ms were seen, 70 beside much other work. */
const TWIN_MS = 100;
/** The same of a model that has used an id twice: 150 ms were seen on a machine with ten times the work that it can do. */
const REPEATED_MS = 300;
/** What waiting and asking may take in excess on a machine that is not slow. */
const LATE_MS = 8;
/** How many times as much codex may be late as this process was, and at most. */
const LATE_TIMES = 10;
const MOST_LATE_MS = 500;
/** An old codex may never answer an interrupt. */
const INTERRUPT_MS = 5000;

/** The server, to be asked about a question of its. */
interface ServerVoice {
  readonly server: { version: string | null };
  readonly ended: AbortSignal;
  callNow(
    method: string,
    params: JsonValue,
    options: { signal: AbortSignal; timeoutMs?: number },
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
    ...(core === undefined ? {} : {
      heardAll: (repeats: boolean) => heardAll(core, repeats),
      interrupt: (threadId: string, turnId: string) => {
        const options = { signal: core.ended, timeoutMs: INTERRUPT_MS };
        const end = () => core.callNow("thread/backgroundTerminals/clean", { threadId }, options);
        // What nobody has judged may have begun, and would outlive the turn. 0.104 does not know that call.
        core.callNow("turn/interrupt", { threadId, turnId }, options).then(end, end).catch(
          () => {},
        );
      },
    }),
    realPath: isRemote(config) ? undefined : realPathOf,
    tmpdir: codexEnv(config, "TMPDIR"),
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

/** The server answers after what it had to say. Rejects where it does not answer in time: a busy one may say it later. */
async function heardAll(core: ServerVoice, repeats: boolean): Promise<void> {
  const { ended: signal } = core;
  try {
    for (let ms = repeats ? REPEATED_MS : TWIN_MS, more = true; ms > 0; more = false) {
      const began = performance.now();
      await delay(ms, signal);
      await core.callNow(PROBE, {}, { timeoutMs: ROUND_TRIP_MS, signal });
      ms = more ? moreTime(performance.now() - began - ms) : 0;
    }
  } catch (error) {
    if (error instanceof RequestTimeoutError) throw error;
    // The question fails with its connection, or is judged by what was heard.
  }
}

/** How much longer to wait where waiting and asking took so much longer than it should: codex has as little of the processor. */
export function moreTime(lateMs: number): number {
  return lateMs > LATE_MS ? Math.min(lateMs * LATE_TIMES, MOST_LATE_MS) : 0;
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
