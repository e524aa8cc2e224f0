/**
 * Every function, constructor and method that can be imported, found in the module itself: whatever it is given, it throws
 * nothing but a `CodexError`, and a call whose arguments were refused has sent nothing.
 */
import assert from "node:assert/strict";
import "./_seed.ts";
import fc from "npm:fast-check@4.10.2";
import * as library from "../../mod.ts";
import { CodexError, InvalidArgumentError, RpcValidationError } from "../../src/errors/mod.ts";
import type { KvDatabase } from "../../src/kv.ts";
import { anything } from "./_anything.ts";
import { type FakeWorld, onFake } from "../contract/session_world.ts";
import { FakeServer, fakeTransport } from "../_fake_server.ts";
import { tempDir } from "../_temp.ts";
import { tries } from "../_codex.ts";
import { test } from "../_harness.ts";

type Class = abstract new (...args: never[]) => object;
type Call = (...args: unknown[]) => unknown;

/** What is not called with anything, and why. */
const EXCEPTIONS: readonly [names: RegExp, reason: string][] = [
  [/Error(#|$)/, "errors are made by the library; they are exported for `instanceof`"],
  [
    /^new (Client|AppServer|Workflow|Session|GoalRun|PromptRunStream|(runtime\.)?Runtime|automation\.AutomationHandle|web\.EventSubscription|web\.Feed|testing\.(Cassette|CassetteRecorder|CassetteReplay|MemoryServer|ScriptedModel))$/,
    "made by the function that its documentation names",
  ],
  [
    /#(shutdown|close|release|interrupt|stop|Symbol\(.*\))$/,
    "takes nothing, and ends what the others need",
  ],
  [/^GoalRun#/, "its methods take nothing; `cancel` takes a reason, which may be anything"],
  [/^web\.(EventSubscription|Feed)#/, "its methods take nothing"],
  [
    /^testing\.(Cassette|CassetteRecorder|CassetteReplay)#/,
    "take nothing, or options that the table of doors has",
  ],
  [
    /^Client\.prewarm$|^(runtime\.)?Runtime\.spawn$|^runtime\.diagnose$|\.connect$|\.record$/,
    "start codex when they are given nothing; the table of doors has their options",
  ],
];

/** Calls that wait for something which does not happen here. */
const WAITS = /#(nextTurn|nextRequest|nextNotification|waitForRequest|request|wait|recv)$/;

/** An object of each class that has methods. */
async function objectsIn(world: FakeWorld, directory: string): Promise<Map<Class, () => object>> {
  const { client, session, cwd } = world;
  const { artifact, automation, plugin, runtime, testing, web, AppServer, Workflow } = library;
  const transport = () => {
    const open = fakeTransport((end) => void new FakeServer(end));
    return { type: "custom" as const, open };
  };
  const app = await AppServer.connect({ transport: transport() });
  const workflow = await Workflow.connect({
    cwd,
    client: { transport: transport() },
  });
  const stream = await session.askStream("hello");
  await stream.finish();
  const hook = { name: "n", call: () => ({ type: "continue" as const }) };
  const matcher = new plugin.HookMatcher({});
  const startAt = new Date(Date.now() + 1e9);
  const made: object[] = [
    client,
    session,
    app,
    workflow,
    stream,
    app.runtime,
    new runtime.JsonlFileSink(`${directory}/log.jsonl`),
    new artifact.ArtifactSessionManager(client, { cwd }),
    new library.MemoryThreadStore(),
    new library.FileThreadStore(`${directory}/threads`),
    new library.KvThreadStore(NO_KV),
    new artifact.MemoryArtifactStore(),
    new artifact.FileArtifactStore(`${directory}/documents`),
    new artifact.KvArtifactStore(NO_KV),
    automation.spawn(session, { prompt: "p", every: 1e9, startAt }),
    matcher,
    new plugin.FilteredPreHook(hook, matcher),
    new plugin.FilteredPostHook(hook, matcher),
    new plugin.ShellCommandHook("n", "true"),
    testing.memoryTransport().server,
    await testing.ScriptedModel.start([]),
    new web.MemoryEventTail(),
    new web.MemorySessionOwners(),
    new web.MemorySessionStore(),
    new web.KvSessionOwners(NO_KV),
    new web.KvSessionStore(NO_KV),
  ];
  const objects = new Map<Class, () => object>(
    made.map((object) => [object.constructor as Class, () => object]),
  );
  // Drained by one call, it would refuse all others for that.
  let adapter = new web.WebAdapter({ client, cwd });
  objects.set(web.WebAdapter, () => {
    if (adapter.state !== "open") {
      adapter.close();
      adapter = new web.WebAdapter({ client, cwd });
    }
    return adapter;
  });
  return objects;
}

/**
 * Objects that functions give without a class that could be found, by the interface that they are documented with. Those
 * that callers make, and those whose methods take nothing, are in {@linkcode NOT_GIVEN}; `deno doc` tells whether one is missing.
 */
async function givenIn(world: FakeWorld): Promise<Map<string, object> & AsyncDisposable> {
  const { client, session, cwd } = world;
  const { aiSdk, web, AppServer } = library;
  const answer = () =>
    Promise.resolve(Response.json({ sessionId: "s", sessions: [], approvals: [], cursor: "1" }));
  const bridge = web.connect("http://127.0.0.1:9/", { fetch: answer });
  let peer: FakeServer | undefined;
  const app = await AppServer.connect({
    transport: { type: "custom", open: fakeTransport((end) => void (peer = new FakeServer(end))) },
  });
  const requests = app.serverRequests();
  const [asked] = await Promise.all([
    requests.next(),
    void peer!.ask("item/tool/call", { threadId: "t", turnId: "u", callId: "c", tool: "x" }),
  ]);
  const given = new Map<string, object>([
    ["SessionMcp", session.mcp],
    ["PendingApprovals", client.approvals],
    ["ServerRequest", Object(asked.value)],
    ["web.Bridge", web.createBridge({ client, cwd, authorize: () => null })],
    ["web.BridgeClient", bridge],
    ["web.BridgeSession", bridge.session("s")],
    ["aiSdk.CodexModel", aiSdk.codexModel(client, { cwd })],
  ]);
  return Object.assign(given, { [Symbol.asyncDispose]: () => app.shutdown() });
}

/** Interfaces with methods of which the library gives nobody an object that takes something. */
const NOT_GIVEN: readonly [names: RegExp, reason: string][] = [
  [
    /^(EventSink|ThreadStore|Transport|TransportSink|PostHook|PreHook|PermissionProbe|DynamicTool|ToolDefinition|StandardSchemaProps|Otel\w+)$/,
    "callers make them",
  ],
  [
    /^automation\.Automation(Session|Goal)$|^web\.(WebTurnStream|WebThread|WebClient|ConnectClock|SessionOwners|EventTail|SessionStore|FeedParts)$|^aiSdk\.(TurnStream|ModelTurn|ModelSession|ModelClient)$|^artifact\.Artifact(Thread|Client|Store)$/,
    "parts of a client, a store or a clock, which callers may make; the library's own are classes",
  ],
  [/^(Login|ServerRequests)$/, "their methods take nothing"],
  [/^testing\.MemoryRequest$/, "answers what it is given: it stands for a server"],
];

/** Interfaces that have methods, as the documentation lists them. */
async function interfacesWithMethods(): Promise<string[]> {
  interface Documented {
    name: string;
    declarations: {
      kind: string;
      def?: { elements?: Documented[]; methods?: unknown[] };
    }[];
  }
  const root = new URL("../../", import.meta.url);
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--json", "mod.ts"],
    cwd: root,
    stderr: "null",
  }).output();
  const { nodes } = JSON.parse(new TextDecoder().decode(stdout));
  const found: string[] = [];
  const visit = (symbols: Documented[], prefix: string) => {
    for (const { name, declarations } of symbols) {
      for (const { kind, def } of declarations) {
        if (kind === "namespace") visit(def?.elements ?? [], `${prefix}${name}.`);
        if (kind === "interface" && (def?.methods?.length ?? 0) > 0) found.push(prefix + name);
      }
    }
  };
  visit(nodes[new URL("mod.ts", root).href].symbols, "");
  return [...new Set(found)];
}

/** A database in which nothing is. */
const NO_KV: KvDatabase = {
  get: (key) => Promise.resolve({ key, value: null, versionstamp: null }),
  async *list() {},
  atomic() {
    const atomic = {
      check: () => atomic,
      set: () => atomic,
      delete: () => atomic,
      commit: () => Promise.resolve({ ok: true }),
    };
    return atomic as unknown as ReturnType<KvDatabase["atomic"]>;
  },
};

/** Everything that can be called, by name; and classes of which there is no object. */
function callables(
  objects: ReadonlyMap<Class, () => object>,
  given: ReadonlyMap<string, object>,
): Map<string, Call> {
  const calls = new Map<string, Call>();
  const add = (name: string, call: Call) => {
    if (!EXCEPTIONS.some(([names]) => names.test(name))) calls.set(name, call);
  };
  const visit = (module: Readonly<Record<string, unknown>>, prefix: string) => {
    for (const key of Object.keys(module)) {
      const [name, value] = [prefix + key, module[key]];
      if (Object.prototype.toString.call(value) === "[object Module]") {
        visit(value as Record<string, unknown>, `${name}.`);
      } else if (typeof value === "function") {
        if (/^class\b/.test(String(value))) visitClass(name, value as unknown as Class);
        else add(name, value as Call);
      }
    }
  };
  const visitClass = (name: string, type: Class) => {
    add(`new ${name}`, (...args) => Reflect.construct(type, args));
    for (const key of Object.getOwnPropertyNames(type)) {
      const value = Reflect.get(type, key);
      if (typeof value === "function" && key !== "prototype") {
        add(`${name}.${key}`, (...args) => value.apply(type, args));
      }
    }
    for (const key of Reflect.ownKeys(type.prototype)) {
      const value = Object.getOwnPropertyDescriptor(type.prototype, key)?.value;
      if (typeof value !== "function" || key === "constructor") continue;
      add(`${name}#${String(key)}`, (...args) => {
        const object = objects.get(type);
        assert.ok(object !== undefined, `there is no ${name} to try`);
        return value.apply(object(), args);
      });
    }
  };
  visit(library as unknown as Record<string, unknown>, "");
  for (const [name, object] of given) {
    const own = object.constructor === Object ? object : Object.getPrototypeOf(object);
    for (const key of Reflect.ownKeys(own)) {
      const value = Reflect.get(object, key);
      if (typeof value !== "function" || key === "constructor") continue;
      add(`${name}#${String(key)}`, async (...args) => {
        const result = await value.apply(object, args);
        if (typeof result?.next === "function") await result.next();
      });
    }
  }
  return calls;
}

const VALUES: readonly unknown[] = [
  undefined,
  null,
  true,
  0,
  -1,
  NaN,
  "",
  "text",
  7n,
  Symbol("s"),
  () => 1,
  [],
  [1],
  {},
  new Date(NaN),
  new Map(),
  Promise.resolve(1),
  new AbortController(),
];

/** How long a call may work before it counts as one that waits; a limit for the test, not for the call. */
const PATIENCE_MS = 30_000;

/** Calls, and fails when what comes back is of nobody's making. */
async function holds({ server }: FakeWorld, name: string, call: Call, args: unknown[]) {
  const shown = `${name}(${args.map((each) => typeof each)})`;
  const sent = server().received.length;
  const outcome = (async () => void await call(...args))().then(() => null, (error) => ({ error }));
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(() => resolve("late"), WAITS.test(name) ? 0 : PATIENCE_MS);
  });
  const found = await Promise.race([outcome, late]);
  clearTimeout(timer);
  if (found === null) return;
  if (found === "late") return assert.match(name, WAITS, `${shown} waits for ever`);
  const { error } = found;
  assert.ok(
    error instanceof CodexError,
    `${shown} → ${error instanceof Error ? error.stack : String(error)}`,
  );
  // It asks the server where the thread worked; the fake tells no place. `doors_properties_test.ts` has its options.
  if (name === "Client#resumeSession") return;
  if (error instanceof InvalidArgumentError || error instanceof RpcValidationError) {
    assert.equal(server().received.length, sent, `${shown} was refused and sent something`);
  }
}

async function onAll(act: (world: FakeWorld, calls: Map<string, Call>) => Promise<void>) {
  await onFake({}, async (world) => {
    await using directory = await tempDir("calls-");
    const objects = await objectsIn(world, directory.path);
    await using given = await givenIn(world);
    try {
      await act(world, callables(objects, given));
    } finally {
      for (const object of [...[...objects.values()].map((make) => make()), ...given.values()]) {
        if (object === world.client || object === world.session) continue;
        const { shutdown, close, stop } = object as Record<string, (() => unknown) | undefined>;
        await (shutdown ?? close ?? stop)?.call(object);
      }
    }
  });
}

test(
  "no object with methods is left out",
  () =>
    onFake({}, async (world) => {
      await using given = await givenIn(world);
      const all = await interfacesWithMethods();
      assert.ok(all.length > 30, `${all.length}`);
      const missing = all.filter((name) =>
        !given.has(name) && !NOT_GIVEN.some(([names]) => names.test(name))
      );
      assert.deepEqual(missing, []);
      assert.deepEqual([...given.keys()].filter((name) => !all.includes(name)), []);
    }),
);

test("every public function answers every kind of value in every place", {
  timeoutMs: 180_000,
}, () =>
  onAll(async (world, calls) => {
    assert.ok(calls.size > 130, `${calls.size} calls`);
    // Few take three, and what there is in any place is tried below.
    const places = tries([[], ["x"], ["x", "y"]], [[], ["x"]]);
    for (const [name, call] of calls) {
      for (const value of VALUES) {
        for (const before of places) {
          await holds(world, name, call, [...before, value]);
        }
      }
    }
  }));

test(
  "every public function answers whatever there is",
  { timeoutMs: 180_000 },
  () =>
    onAll(async (world, calls) => {
      const names = [...calls.keys()];
      await fc.assert(
        fc.asyncProperty(
          fc.nat(names.length - 1),
          fc.array(anything, { maxLength: 3 }),
          (index, makes) =>
            holds(world, names[index]!, calls.get(names[index]!)!, makes.map((make) => make())),
        ),
        { numRuns: tries(2_000, 800) },
      );
    }),
);
