/**
 * Options are checked at the door: made from the shapes that the entries declare, so that no option is left out.
 */
import assert from "node:assert/strict";
import type { Kind } from "../../src/check/mod.ts";
import { typeOf } from "../../src/check/mod.ts";
import { CodexError, InvalidArgumentError } from "../../src/errors/mod.ts";
import { Workflow } from "../../src/workflow.ts";
import { test } from "../_harness.ts";
import { type Door, doors, refusalOf } from "./doors_world.ts";
import { onFake } from "./session_world.ts";

/** A value of each type that JavaScript has, and of some objects that are no options. */
const VALUES: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  NaN,
  "",
  "some text",
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

/** Values whose type may fit and which are wrong all the same; by what is accepted. */
function wrong(kind: Kind): unknown[] {
  return VALUES.filter((value) =>
    !kind.takes(typeOf(value)) ||
    (kind.accepts().startsWith("a positive number") && [0, -1, NaN].includes(value as number)) ||
    (kind.accepts().includes("not empty") && value === "") ||
    (kind.accepts().startsWith("an AbortSignal")) ||
    (kind.accepts().startsWith('"') && !kind.accepts().includes(", or ") &&
      typeof value === "string")
  );
}

/** Of a type that no option has. */
const NEVER: readonly unknown[] = [7n, Symbol("s")];

/** The options of a door and their kinds, as far as they are declared where this test can see. */
async function optionsOf({ name, shape, base, call }: Door): Promise<[string, Kind | null][]> {
  if (shape !== null) return Object.entries(shape.options);
  const error = await refusalOf(() => call({ ...base, zzz: 1 } as never));
  assert.ok(error instanceof InvalidArgumentError, `${name}: ${error}`);
  const names = error.accepted.split(", ");
  return names.map((option): [string, null] => [option, null]);
}

test("every option of every entry refuses every wrong kind, by name, and nothing is sent", async () => {
  await onFake({}, async (world) => {
    const sent = world.server().received.length;
    let cases = 0;
    for (const door of doors(world)) {
      const { name, base, call } = door;
      for (const [option, kind] of await optionsOf(door)) {
        const values = kind === null ? NEVER : wrong(kind);
        assert.ok(values.length >= 2, `${name} ${option}`);
        for (const value of values) {
          const error = await refusalOf(() => call({ ...base, [option]: value } as never));
          const what = `${name}({ ${option}: ${String(value)} as ${typeOf(value)} })`;
          assert.ok(error instanceof InvalidArgumentError, `${what} → ${error}`);
          const named = new RegExp(`^(spec\\.|save\\.|approvals\\.rules\\[0\\]\\.)?${option}\\b`);
          assert.match(error.argument, named, what);
          assert.ok(error.message.includes(`\`${error.argument}\``), error.message);
          assert.ok(error.message.includes(error.accepted), error.message);
          assert.doesNotMatch(error.message, /some text|received a undefined/);
          cases++;
        }
        if (kind?.required === true || Object.hasOwn(base, option)) {
          const { [option]: _, ...rest } = base;
          const error = await refusalOf(() => call(rest as never));
          assert.ok(error instanceof InvalidArgumentError, `${name} without ${option}: ${error}`);
          assert.equal(error.received, "undefined");
        }
      }
    }
    assert.ok(cases > 2_000, `${cases} cases`);
    assert.equal(world.server().received.length, sent, "nothing was sent");
  });
});

test("every entry refuses options that are none, and names the nearest of a misspelt one", async () => {
  await onFake({}, async (world) => {
    const sent = world.server().received.length;
    for (const door of doors(world)) {
      const { name, base, call } = door;
      const options = (await optionsOf(door)).map(([option]) => option);
      for (const value of VALUES) {
        // An object without options is fine where none is needed; so is a task's, which gets its type here.
        if (typeOf(value) === "object" && Object.getPrototypeOf(value) === Object.prototype) {
          continue;
        }
        if (name === "runTask") continue;
        const error = await refusalOf(() => call(value as never));
        assert.ok(error instanceof InvalidArgumentError, `${name}(${typeOf(value)}) → ${error}`);
        assert.match(error.message, /must be an object \{/);
      }
      for (const option of options) {
        const misspelt = option.length < 4
          ? `${option}x`
          : option.slice(0, -2) + option.slice(-1) + option.at(-2);
        if (options.includes(misspelt) || misspelt === option) continue;
        const error = await refusalOf(() => call({ ...base, [misspelt]: 1 } as never));
        assert.ok(error instanceof InvalidArgumentError, `${name} ${misspelt} → ${error}`);
        const words = new RegExp(
          `there is no option \`(spec\\.|save\\.|approvals\\.rules\\[0\\]\\.)?${misspelt}\`.*Did you mean`,
        );
        assert.match(error.message, words, name);
      }
      const foreign = await refusalOf(() => call({ ...base, completelyUnknownOption: 1 } as never));
      assert.ok(foreign instanceof InvalidArgumentError, `${name}: ${foreign}`);
      assert.ok(!foreign.message.includes("Did you mean"), foreign.message);
      for (const word of ["systemPrompt", "timeout", "canUseTool", "workingDirectory"]) {
        const { message } = await refusalOf(() => call({ ...base, [word]: 1 } as never)) as Error;
        assert.match(message, new RegExp(`no option \\S*${word}`), name);
        assert.doesNotMatch(message, /\. \w+$/, "a word alone says nothing");
      }
    }
    assert.equal(world.server().received.length, sent, "nothing was sent");
  });
});

test("the mistakes of people who come from elsewhere are told what was meant", async () => {
  const zod = {
    "~standard": { version: 1, vendor: "zod", validate: (value: unknown) => ({ value }) },
    def: {},
  };
  const jsonSchema = { type: "object", properties: {} };
  const run = () => 1;
  await onFake({}, async ({ client, session, cwd, server }) => {
    const sent = server().received.length;
    const ask = (prompt: unknown, options?: unknown) => () =>
      session.ask(prompt as never, options as never);
    const start = (options: unknown) => () =>
      client.startSession({ cwd, ...options as object } as never);
    const table: [() => unknown, RegExp][] = [
      [
        ask([{ type: "text", text: "hi" }]),
        /`prompt` must be a string, or an object .*received an array.*\{ text, attachments \}/,
      ],
      [ask({ prompt: "hi" }), /`prompt\.prompt`.*Did you mean `text`\?/],
      [ask(undefined), /`prompt` must be .*received undefined\.$/],
      [
        () => client.run("hi" as never, undefined as never),
        /directory comes first: `\(cwd, prompt\)`/,
      ],
      [() => client.run(cwd, 5 as never), /received a number\.$/],
      [ask(new URL("https://x.y")), /received a URL\b/],
      [() => Workflow.connect({ cwd, apiKey: "k" } as never), /write `client: \{ … \}`/],
      [
        ask({ text: "x", attachments: "a.png" }),
        /`prompt\.attachments` must be a list.*attachments: \["…"\]/,
      ],
      [
        ask({ text: "x", attachments: [{ type: "local_image", path: "a" }] }),
        /attachments\[0\]\.type.*Did you mean `type: "localImage"`/,
      ],
      [
        ask({ text: "x", attachments: [{ type: "localImage", localPath: "a" }] }),
        /attachments\[0\]\.localPath.*Did you mean `path`/,
      ],
      [
        ask({ text: "x", attachments: [{ type: "path" }] }),
        /attachments\[0\]\.path.*received undefined/,
      ],
      [
        ask({ text: "x", attachments: [{ type: "text", text: "y" }] }),
        /Text goes into the prompt itself/,
      ],
      [ask({ text: "x", attachments: [null] }), /attachments\[0\].*received null/],
      [ask("x", { output: jsonSchema }), /`output` must be a Standard Schema.*`outputSchema`/],
      [ask("x", { outputSchema: zod }), /`outputSchema` must be a JSON Schema.*as `output`/],
      [
        ask("x", { signal: new AbortController() }),
        /`signal` must be an AbortSignal; received an AbortController\. Give the controller's `signal`/,
      ],
      [ask("x", new AbortController().signal), /received an AbortSignal\. Write `\{ signal \}`/],
      [
        ask("x", { retry: 3 }),
        /`retry` must be .*received a number\. Write `retry: \{ attempts: … \}`/,
      ],
      [ask("x", { retry: true }), /Write `retry/],
      [ask("x", { onEvent: "x" }), /`onEvent` must be a function; received a string/],
      [ask("x", { sandBox: "read-only" }), /Did you mean `sandbox`/],
      [
        ask("x", { tools: {} }),
        /no option `tools`.*It belongs to the whole thread: give it to `startSession`/,
      ],
      [ask("x", { schema: zod }), /as `output`/],
      [
        ask("x", { systemPrompt: "Be brief" }),
        /It is called `developerInstructions`\. It belongs to the whole thread: give it to `startSession`\. The/,
      ],
      [() => session.update({ canUseTool: 1 } as never), /`approvals`\. It belongs to the client/],
      [ask("x", { timeoutMs: -1 }), /positive number of milliseconds; received a negative number/],
      [ask("x", { timeoutMs: NaN }), /received NaN/],
      [start({ sandbox: { type: "read-only" } }), /Did you mean `sandbox: "read-only"`/],
      [
        start({ sandbox: { mode: "workspace-write" } }),
        /Did you mean `sandbox: "workspace-write"`/,
      ],
      [start({ sandbox: "readonly" }), /Did you mean "read-only"/],
      [
        start({ sandbox: { type: "workspaceWrite", writable_roots: [] } }),
        /Did you mean `writableRoots`/,
      ],
      [
        start({ hooks: { preToolUse: run } }),
        /no option `hooks\.preToolUse`.*hooks: \{ pre: \[\{ name, phases: \["preToolUse"\], call \}\] \}/,
      ],
      [
        start({ hooks: { PreToolUse: [{ matcher: "Bash", hooks: [run] }] } }),
        /phases: \["preToolUse"\]/,
      ],
      [start({ hooks: [run] }), /Write `hooks: \{ pre/],
      [start({ hooks: { pre: [run] } }), /`hooks\.pre\[0\]` must be a hook/],
      [start({ tools: { t: null } }), /`tools\.t` must be .*received null/],
      [
        start({ tools: { t: { description: "d", inputSchema: {} } } }),
        /`tools\.t\.run` must be a function; received undefined/,
      ],
      [
        start({ tools: { t: { description: "d", inputSchema: {}, execute: run } } }),
        /no option `tools\.t\.execute`.*Did you mean `run`/,
      ],
      [
        start({ tools: { t: { description: "d", parameters: {}, run } } }),
        /Did you mean `inputSchema`/,
      ],
      [
        start({ tools: [{ name: "t", description: "d", inputSchema: {}, run }] }),
        /Write `tools: \{ name: \{/,
      ],
      [
        start({ tools: { exec_command: { description: "d", inputSchema: {}, run } } }),
        /the name of a tool that codex has itself/,
      ],
      [start({ tools: { "a b": { description: "d", inputSchema: {}, run } } }), /letters, digits/],
      [start({ config: "a=b" }), /`config` must be .*Write `\{ key: value \}`/],
      [start({ config: { a: { b: NaN } } }), /`config\.a\.b` must be .*received NaN/],
      [start({ approvals: [] }), /Write `approvals: \{ rules/],
      [start({ approvals: { allow: ["ls"] } }), /Write `approvals: \{ rules/],
      [start({ permissionMode: "plan" }), /`approvalPolicy` for when to ask/],
      [start({ workingDirectory: "/" }), /Did you mean `cwd`/],
      [start({ networkAccessEnabled: true }), /`networkAccess`/],
      [start({ additional_directories: ["/x"] }), /`additionalDirectories`/],
      [start({ apiKey: "k" }), /It belongs to the client: `Client\.connect/],
      [ask("x", { codexPath: "/x" }), /It belongs to the client/],
      [start({ threadId: "t" }), /Call `client\.resumeSession/],
      [start({ max_turns: 3 }), /limits: \{ modelCalls/],
      [start({ sandbox_policy: "read-only" }), /Did you mean `sandbox`/],
      [start({ sandbox: { type: "workspaceWrite", writable_roots: [] } }), /`writableRoots`/],
      [ask("x", { reasoning: { effort: "high" } }), /Did you mean `effort`/],
      [ask("x", { response_format: {} }), /as `outputSchema`/],
      [ask("x", { stream: true }), /askStream/],
      [start({ mcp_servers: {} }), /Did you mean `mcpServers`/],
      [start({ allowedTools: ["Bash"] }), /Write `approvals: \{ rules/],
      [start({ resume: "x" }), /Call `client\.resumeSession/],
      [start({ env: {} }), /Client\.connect\(\{ env/],
      [start({ settingSources: [] }), /isolation: "hermetic"/],
      [ask("x", { images: ["a.png"] }), /attachments: \[\{ type: "localImage"/],
      [ask("x", { outputFormat: {} }), /as `outputSchema`/],
      [ask("x", { includePartialMessages: true }), /askStream/],
      [() => Client.connect({ apiKey: "sk one" } as never), /an API key, without spaces/],
      [() => Client.connect({ model: "m" } as never), /startSession\(\{ cwd, model/],
      [() => Client.connect({ sandbox: "read-only" } as never), /startSession\(\{ cwd, sandbox/],
      [() => Client.connect({ onEvent: run } as never), /ask\(prompt, \{ onEvent/],
      [
        () => Client.connect({ codexPaht: "x" } as never),
        /no option `codexPaht`\. Did you mean `codexPath`\? The options are codexPath, /,
      ],
      [
        () => (client.forkSession as (id: string) => unknown).call(client, "t"),
        /`options` must be an object \{ cwd, … \}; received undefined\.$/,
      ],
      [
        () => (client.startSession as () => unknown)(),
        /`options` must be an object \{.*received undefined/,
      ],
      [() => client.startSession("/srv" as never), /received a string/],
      [() => client.resumeSession(undefined as never, { cwd }), /`threadId` must be a string/],
      [() => client.run(cwd, undefined as never), /`prompt` must be/],
      [() => (client.run as (cwd: string) => unknown).call(client, cwd), /`prompt` must be/],
    ];
    const { Client, AppServer, FilteredPreHook, HookMatcher, ShellCommandHook, testing } =
      await import("../../mod.ts");
    const model = testing.ScriptedModel.prototype;
    table.push(
      [() => new HookMatcher("git" as never), /HookMatcher: `options` must be an object/],
      [() => new HookMatcher({ tool: "git" } as never), /Did you mean `toolName`/],
      [
        () => new (ShellCommandHook as new (name: string) => unknown)("./guard.sh"),
        /`command` must be .*received undefined/,
      ],
      [
        () => new FilteredPreHook({ name: "x" } as never, {}),
        /`hook` must be a hook .*received an object/,
      ],
      [() => (session.update as () => unknown).call(session), /`settings` must be an object/],
      [() => session.events({ subagents: true } as never), /Did you mean `subAgents`/],
      [() => model.waitForRequest.call(model, 3 as never), /`predicate` must be a function/],
      [() => Client.connect(null as never), /must be an object/],
      [() => Client.connect("codex" as never), /must be an object/],
      [() => Client.connect({ requestTimeoutMs: NaN }), /`requestTimeoutMs`.*NaN/],
      [() => Client.connect({ approvalTimeoutMs: 0 }), /`approvalTimeoutMs`.*received 0/],
      [() => Client.connect({ maxMessageBytes: NaN }), /`maxMessageBytes`/],
      [
        () => Client.connect({ transport: "ws://x" as never }),
        /transport: \{ type: "websocket", url \}/,
      ],
      [
        () => Client.connect({ env: { MY_TOKEN: "x" } as never }),
        /env: \{ set: \{ NAME: value \} \}/,
      ],
      [() => Client.connect({ restart: true as never }), /restart: \{ type: "onCrash" \}/],
      [() => AppServer.connect({ cwd: "/" } as never), /The directory belongs to a session/],
      [() => Client.connect({ codexPathOverride: "x" } as never), /Did you mean `codexPath`/],
    );
    for (const [call, words] of table) {
      const error = await refusalOf(call);
      assert.ok(error instanceof InvalidArgumentError, `${words} ← ${error}`);
      assert.ok(error instanceof CodexError && error.code === "invalidArgument");
      assert.match(error.message, words);
    }
    assert.equal(server().received.length, sent, "nothing was sent");
  });
});

test("a class that is made by a function of its own says so to who calls it with new", async () => {
  const { AppServer, Client, runtime } = await import("../../mod.ts");
  const makers: [new () => unknown, string][] = [
    [Client as never, "Client.connect"],
    [Workflow as never, "Workflow.connect"],
    [AppServer as never, "AppServer.connect"],
    [runtime.Runtime as never, "Runtime.spawn"],
  ];
  for (const [Class, maker] of makers) {
    for (const given of [[], [{ cwd: "/w" }]]) {
      const error = await refusalOf(() => Reflect.construct(Class, given));
      assert.ok(error instanceof InvalidArgumentError, String(error));
      assert.equal(error.message, `new: write \`await ${maker}(…)\`.`);
    }
  }
});

test("every id and text that is none is refused by its name, and nothing is sent", async () => {
  await onFake({}, async ({ client, session, server, cwd }) => {
    const doors: [name: string, argument: string, call: (value: never) => unknown][] = [
      ["resumeSession", "threadId", (id) => client.resumeSession(id)],
      ["forkSession", "threadId", (id) => client.forkSession(id, { cwd })],
      ["turns", "threadId", (id) => client.turns(id)],
      ["items", "threadId", (id) => client.items(id)],
      ["findInThread", "threadId", (id) => client.findInThread(id, "x")],
      ["findInThread", "text", (text) => client.findInThread("t", text)],
      ["searchThreads", "text", (text) => client.searchThreads(text)],
      ["readThread", "threadId", (id) => client.readThread(id)],
      ["archiveThread", "threadId", (id) => client.archiveThread(id)],
      ["unarchiveThread", "threadId", (id) => client.unarchiveThread(id)],
      ["deleteThread", "threadId", (id) => client.deleteThread(id)],
      ["renameThread", "threadId", (id) => client.renameThread(id, "n")],
      ["renameThread", "name", (name) => client.renameThread("t", name)],
      ["run", "prompt", (prompt) => client.run(cwd, prompt)],
      ["rename", "name", (name) => session.rename(name)],
      ["startGoal", "objective", (goal) => session.startGoal(goal)],
      ["inject", "items", (items) => session.inject(items)],
      ["review", "target", (target) => session.review(target)],
      ["mcp.call", "server", (name) => session.mcp.call(name, "t")],
      ["mcp.call", "tool", (name) => session.mcp.call("s", name)],
      ["mcp.read", "server", (name) => session.mcp.read(name, "u")],
      ["mcp.read", "uri", (uri) => session.mcp.read("s", uri)],
    ];
    const sent = server().received.length;
    for (const [name, argument, call] of doors) {
      for (const value of [undefined, null, 7, {}, "", [7]]) {
        // Of a run's prompt the server says what it makes of nothing.
        if (name === "run" && value === "") continue;
        const error = await refusalOf(() => call(value as never));
        assert.ok(error instanceof InvalidArgumentError, `${name} ${argument} ${value} ← ${error}`);
        assert.match(error.message, new RegExp(`${name}: \`${argument}\\b`), `${name} ${value}`);
      }
    }
    assert.equal(server().received.length, sent, "nothing was sent");
  });
});
