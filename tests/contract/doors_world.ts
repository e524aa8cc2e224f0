/** Every public entry that takes options, with the shape that it declares: the tests of all of them go through this list. */
import {
  AppServer,
  artifact,
  automation,
  Client,
  HookMatcher,
  quickRun,
  quickRunWithProfile,
  runtime,
  ShellCommandHook,
  testing,
  tool,
  web,
  Workflow,
} from "../../mod.ts";
import { MANAGER_OPTIONS, TASK } from "../../src/artifact/options_shape.ts";
import { type Shape, shape } from "../../src/check/mod.ts";
import { QUICK_RUN_OPTIONS } from "../../src/session/client/quick_options.ts";
import { EVENT_FILTER, RUNTIME_CONFIG } from "../../src/runtime/config_shape.ts";
import {
  ASK_OPTIONS,
  FORK_CONFIG,
  GOAL_OPTIONS,
  ITEMS_OPTIONS,
  READ_THREAD_OPTIONS,
  RESUME_CONFIG,
  REVIEW_OPTIONS,
  RUN_OPTIONS,
  RUN_PROFILE,
  SAMPLE_OPTIONS,
  SEARCH_OPTIONS,
  SESSION_CONFIG,
  SESSION_EVENTS,
  SETTINGS,
  THREAD_FILTER,
  TURNS_OPTIONS,
  WAIT_OPTIONS,
} from "../../src/session/profile_shape.ts";
import { TOOL } from "../../src/session/prompt/tools.ts";
import { BRIDGE_OPTIONS, WEB_ADAPTER_OPTIONS } from "../../src/web/options_shape.ts";
import { WORKFLOW_CONFIG } from "../../src/workflow.ts";
import type { FakeWorld } from "./session_world.ts";

/** One public entry. */
export interface Door {
  /** What callers call. */
  name: string;
  /** What it declares; `null` where that is private to its file, and only its refusals tell. */
  shape: Shape | null;
  /** Options that are accepted, for the fields that may not be left out. */
  base: Record<string, unknown>;
  /** Calls it. */
  call: (options: never) => unknown;
}

/** A database that nobody asks. */
const nobody = () => Promise.reject(new Error("asked"));
const NO_KV = { get: nobody, list: nobody, atomic: nobody } as never;

/** Everything that takes options, on one client and one session. */
export function doors({ client, session, cwd }: FakeWorld): Door[] {
  const list: Door[] = [];
  const door = (
    name: string,
    shape: Shape | null,
    call: (options: never) => unknown,
    base: Record<string, unknown> = {},
  ) => list.push({ name, shape, base, call });
  door("Client.connect", RUNTIME_CONFIG, (o) => Client.connect(o));
  door("Client.prewarm", RUNTIME_CONFIG, (o) => Client.prewarm(o));
  door("Runtime.spawn", RUNTIME_CONFIG, (o) => runtime.Runtime.spawn(o));
  door("AppServer.connect", RUNTIME_CONFIG, (o) => AppServer.connect(o));
  door("diagnose", RUNTIME_CONFIG, (o) => runtime.diagnose(o));
  door("quickRun", QUICK_RUN_OPTIONS, (o) => quickRun(cwd, "p", o));
  door("quickRunWithProfile", RUN_PROFILE, (o) => quickRunWithProfile(cwd, "p", o));
  door("Workflow.connect", WORKFLOW_CONFIG, (o) => Workflow.connect(o), { cwd });
  door("startSession", SESSION_CONFIG, (o) => client.startSession(o), { cwd });
  door("resumeSession", RESUME_CONFIG, (o) => client.resumeSession("t", o));
  door("forkSession", SESSION_CONFIG, (o) => client.forkSession("t", o), { cwd });
  door("client.run", RUN_OPTIONS, (o) => client.run(cwd, "p", o));
  door("client.runWithProfile", RUN_PROFILE, (o) => client.runWithProfile(cwd, "p", o));
  door("client.runWithProfile", RUN_OPTIONS, (o) => client.runWithProfile(cwd, "p", {}, o));
  door("threads", THREAD_FILTER, (o) => client.threads(o));
  door("readThread", READ_THREAD_OPTIONS, (o) => client.readThread("t", o));
  door("archiveThread", WAIT_OPTIONS, (o) => client.archiveThread("t", o));
  door("unarchiveThread", WAIT_OPTIONS, (o) => client.unarchiveThread("t", o));
  door("renameThread", WAIT_OPTIONS, (o) => client.renameThread("t", "n", o));
  door("deleteThread", WAIT_OPTIONS, (o) => client.deleteThread("t", o));
  door("searchThreads", SEARCH_OPTIONS, (o) => client.searchThreads("t", o));
  door("findInThread", WAIT_OPTIONS, (o) => client.findInThread("t", "w", o));
  door("turns", TURNS_OPTIONS, (o) => client.turns("t", o));
  door("items", ITEMS_OPTIONS, (o) => client.items("t", o));
  door("models", WAIT_OPTIONS, (o) => client.models(o));
  door("account", WAIT_OPTIONS, (o) => client.account(o));
  door("rateLimits", WAIT_OPTIONS, (o) => client.rateLimits(o));
  door("ask", ASK_OPTIONS, (o) => session.ask("p", o));
  door("askStream", ASK_OPTIONS, (o) => session.askStream("p", o));
  door("askWait", ASK_OPTIONS, (o) => session.askWait("p", o));
  door("askWithProfile", RUN_PROFILE, (o) => session.askWithProfile("p", o));
  door("askWithProfile", ASK_OPTIONS, (o) => session.askWithProfile("p", {}, o));
  door("startGoal", GOAL_OPTIONS, (o) => session.startGoal("g", o));
  door("compact", WAIT_OPTIONS, (o) => session.compact(o));
  door("review", REVIEW_OPTIONS, (o) => session.review({ type: "uncommitted" }, o));
  door("sample", SAMPLE_OPTIONS, (o) => session.sample("p", o));
  door("fork", FORK_CONFIG, (o) => session.fork(o));
  door("inject", WAIT_OPTIONS, (o) => session.inject([], o));
  door("rename", WAIT_OPTIONS, (o) => session.rename("n", o));
  door("update", SETTINGS, (o) => session.update(o));
  door("nextTurn", WAIT_OPTIONS, (o) => session.nextTurn(o));
  door("session.events", SESSION_EVENTS, (o) => session.events(o));
  door("runtime.request", null, (o) => client.runtime.request("m", {}, o));
  door("runtime.events", EVENT_FILTER, (o) => client.runtime.events(o));
  door("automation.spawn", null, (o) => automation.spawn(session, o), {
    prompt: "p",
    every: 1000,
  });
  const bridge = { client, cwd, authorize: () => null };
  door("createBridge", BRIDGE_OPTIONS, (o) => web.createBridge(o), bridge);
  door("WebAdapter", WEB_ADAPTER_OPTIONS, (o) => new web.WebAdapter(o), { client, cwd });
  door(
    "ArtifactSessionManager",
    MANAGER_OPTIONS,
    (o) => new artifact.ArtifactSessionManager(client, o),
    { cwd },
  );
  const documents = new artifact.ArtifactSessionManager(client, { cwd });
  door(
    "runTask",
    shape(TASK),
    (o: object) => documents.runTask({ type: "docEdit", ...o } as never),
    { artifactId: "a", userGoal: "g" },
  );
  door("JsonlFileSink", null, (o) => new runtime.JsonlFileSink("x.jsonl", o));
  door("tool", TOOL, (o) => tool(o), {
    description: "d",
    inputSchema: {},
    run: () => 1,
  });
  const rules = (rule: unknown) => ({ rules: [rule] });
  door(
    "approvals",
    null,
    (o) => client.startSession({ cwd, approvals: rules(o) } as never),
    { effect: "deny" },
  );
  door(
    "MemoryServer.nextRequest",
    null,
    (o) => testing.memoryTransport().server.nextRequest("m", o),
  );
  door("KvSessionStore", null, (o) => new web.KvSessionStore(NO_KV, o));
  door("KvSessionOwners", null, (o) => new web.KvSessionOwners(NO_KV, o));
  door("KvArtifactStore", null, (o) => new artifact.KvArtifactStore(NO_KV, o));
  const store = new artifact.MemoryArtifactStore();
  door("store.load", null, (o) => store.load("a", o));
  door("store.save", null, (o) => store.save("a", o), { text: "t", expectedRevision: "r" });
  const adapter = web.WebAdapter.prototype;
  door("subscribeEvents", null, (o) => adapter.subscribeEvents.call({} as never, "t", "s", o));
  door("HookMatcher", null, (o) => new HookMatcher(o));
  door("ShellCommandHook", null, (o) => new ShellCommandHook("n", "true", o));
  door("ScriptedModel.start", null, (o) => testing.ScriptedModel.start([], o));
  const model = testing.ScriptedModel.prototype;
  door("clientConfig", null, (o) => model.clientConfig.call({} as never, o));
  door("memoryTransport", null, (o) => testing.memoryTransport(o));
  door("Cassette.record", null, (o) => testing.Cassette.record({}, o));
  const cassette = testing.Cassette.prototype;
  door("replay", null, (o) => cassette.replay.call({ messages: [] } as never, o));
  return list;
}

/** Calls a door, and gives what it throws or rejects with; `undefined` when it does neither. */
export async function refusalOf(call: () => unknown): Promise<unknown> {
  try {
    await call();
    return undefined;
  } catch (error) {
    return error;
  }
}
