/** Conversations on the real codex: order, steering, interrupts, attachments, schemas, tools, tokens, tries. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  AttachmentNotFoundError,
  InvalidArgumentError,
  OutputValidationError,
  SessionClosedError,
  TurnFailedError,
  TurnInterruptedError,
} from "../../src/errors/mod.ts";
import type { StandardSchemaV1 } from "../../src/session/output/standard_schema.ts";
import type { TurnEvent } from "../../src/session/turn/turn_event.ts";
import { script } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS, type CodexVersion, tries } from "../_codex.ts";
import { test } from "../_harness.ts";
import { inWorld, rejection, SOON_MS, within, type World } from "./_session_world.ts";

function versions(name: string, act: (world: World, version: CodexVersion) => Promise<void>): void {
  for (const version of CODEX_VERSIONS) {
    test(`${name} [${version}]`, () => inWorld(version, (world) => act(world, version)));
  }
}

versions(
  "turns of a session remember each other, and what was said to the thread",
  async (world, version) => {
    const client = await world.connect();
    const session = await client.startSession({
      cwd: world.cwd,
      developerInstructions: "Speak softly.",
    });
    await session.ask(world.prompt(["I will."], "Remember seven."));
    await session.ask(world.prompt(["Seven."], "What was it?"));
    const { userTexts, instructions } = world.model.requests.at(-1)!;
    assert.ok(userTexts.some((text) => text.startsWith("Remember seven.")));
    assert.match(instructions, /Speak softly/);

    // A copy and a thread that is resumed are told other ones, once; 0.104 repeats them by itself.
    const told = async (asked: Pick<typeof session, "ask">, words: string) => {
      await asked.ask("And now?");
      return JSON.stringify(world.model.requests.at(-1)!.body).split(words).length - 1;
    };
    const copy = await session.fork({ developerInstructions: "Speak up." });
    assert.equal(await told(copy, "Speak up."), 1);
    await copy.release();
    const resume = async (developerInstructions: string) =>
      await client.resumeSession(copy.threadId, { cwd: world.cwd, developerInstructions });
    const same = await resume("Speak up.");
    assert.equal(await told(same, "Speak up."), version === "0.104.0" ? 2 : 1);
    await same.release();
    assert.equal(await told(await resume("Whisper."), "Whisper."), 1);
  },
);

versions(
  "many prompts asked at once are answered one by one, in order, each with its own answer",
  async (world, version) => {
    const many = version === "0.169.0" ? tries(100, 40) : tries(40, 20);
    const client = await world.connect();
    const session = await client.startSession({ cwd: world.cwd, ephemeral: true });
    const order: number[] = [];
    const answers = await Promise.all(Array.from({ length: many }, async (_, i) => {
      const { assistantText } = await session.ask(world.prompt([`answer ${i}`]));
      order.push(i);
      return assistantText;
    }));
    assert.deepEqual(answers, Array.from({ length: many }, (_, i) => `answer ${i}`));
    assert.deepEqual(order, Array.from({ length: many }, (_, i) => i));
    assert.equal(session.usage.totalTokens, 13 * many);
  },
);

versions("a prompt in line can be given up; the others keep their places", async (world) => {
  const client = await world.connect();
  const session = await client.startSession({ cwd: world.cwd });
  const gate = Promise.withResolvers<void>();
  const [stop, reason] = [new AbortController(), new Error("enough")];
  const first = session.ask(world.prompt([[script.gate(gate.promise), "one"]]));
  const second = session.ask(world.prompt(["two"]), { signal: stop.signal });
  const third = session.ask(world.prompt(["three"]));
  await world.model.nextRequest();
  const given = rejection(second);
  stop.abort(reason);
  assert.equal(await within(SOON_MS, "the abort in line", given), reason);
  gate.resolve();
  assert.equal((await first).assistantText, "one");
  assert.equal((await third).assistantText, "three");
  assert.equal(world.model.requests.length, 2);
});

versions(
  "close() sends waiting prompts away, interrupts the running one and archives",
  async (world) => {
    const client = await world.connect();
    const session = await client.startSession({ cwd: world.cwd });
    const running = rejection(
      session.ask(world.prompt([[script.say("Half", { open: true }), script.hang()]])),
    );
    const waiting = rejection(session.ask("waits"));
    await world.model.nextRequest();
    const closing = session.close();
    assert.ok(await within(SOON_MS, "the waiting one", waiting) instanceof SessionClosedError);
    const error = await within(SOON_MS, "the running one", running);
    assert.ok(error instanceof TurnInterruptedError, `${error}`);
    await closing;
    const archived: string[] = [];
    for await (const { threadId } of client.threads({ archived: true })) archived.push(threadId);
    assert.deepEqual(archived, [session.threadId]);
  },
);

versions(
  "steer() adds to the running turn; a turn that has ended can't be steered",
  async (world) => {
    const client = await world.connect();
    const session = await client.startSession({ cwd: world.cwd });
    const gate = Promise.withResolvers<void>();
    const prompt = world.prompt((request) =>
      request.text.includes("as well")
        ? "Both done."
        : [script.gate(gate.promise), script.exec("true")]
    );
    const name = /\[.*\]/.exec(prompt)![0];
    const stream = await session.askStream(prompt);
    await world.model.nextRequest();
    await stream.steer(`This as well ${name}`);
    assert.ok(await rejection(stream.steer(" ")) instanceof InvalidArgumentError);
    gate.resolve();
    const result = await stream.finish();
    assert.equal(result.assistantText, "Both done.");
    assert.equal(result.turnId, stream.turnId);
    const said = result.items.filter(({ type }) => type === "userMessage");
    assert.equal(said.length, 2);
    assert.ok(await rejection(stream.steer("too late")) instanceof SessionClosedError);
  },
);

versions(
  "interrupt() ends the running turn with what there was, and the next one is a new one",
  async (world) => {
    const client = await world.connect();
    const session = await client.startSession({ cwd: world.cwd });
    await session.interrupt();
    for (let i = 0; i < 3; i++) {
      const began = Promise.withResolvers<void>();
      const ask = session.ask(
        world.prompt([[script.say("Half of it", { open: true }), script.hang()]]),
        { onEvent: ({ type }) => type === "assistantMessageDelta" && began.resolve() },
      );
      const failed = rejection(ask);
      await began.promise;
      await within(SOON_MS, "the interrupt", session.interrupt());
      const error = await within(SOON_MS, "the ask", failed);
      assert.ok(error instanceof TurnInterruptedError, `${error}`);
      assert.equal(error.partialText, "Half of it");
      const next = await session.ask(world.prompt([`round ${i}`]));
      assert.equal(next.assistantText, `round ${i}`);
      assert.notEqual(next.turnId, error.turnId);
    }
  },
);

versions("an interrupt right after the start reaches the turn", async (world) => {
  const client = await world.connect();
  const session = await client.startSession({ cwd: world.cwd });
  for (let i = 0; i < 5; i++) {
    const stream = await session.askStream(world.prompt([[script.hang()]]));
    await within(SOON_MS, "the interrupt", stream.interrupt());
    assert.ok(await rejection(stream.finish()) instanceof TurnInterruptedError);
  }
  // Without a turn yet, it is the prompt that is given up.
  const ask = rejection(session.ask(world.prompt([[script.hang()]])));
  await session.interrupt();
  assert.ok(await within(SOON_MS, "the ask", ask) instanceof TurnInterruptedError);
  assert.equal((await session.ask(world.prompt(["fine"]))).assistantText, "fine");
});

versions("attachments reach the model by their real paths", async (world, version) => {
  await writeFile(join(world.cwd, "notes.md"), "notes");
  const pixel =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
  await writeFile(join(world.cwd, "dot.png"), Uint8Array.from(atob(pixel), (c) => c.charCodeAt(0)));
  // Codex takes only skills that it knows, and looks for them when a thread starts.
  const skill = join(world.config().env!.set!["CODEX_HOME"]!, "skills", "tidy", "SKILL.md");
  await mkdir(dirname(skill), { recursive: true });
  await writeFile(
    skill,
    "---\nname: tidy\ndescription: Tidies.\n---\nAlways tidy up.\n",
  );
  const client = await world.connect();
  const session = await client.startSession({ cwd: world.cwd });
  const result = await session.ask({
    text: world.prompt(["seen"], "Grüße, look"),
    attachments: [
      "notes.md",
      { type: "image", url: `data:image/png;base64,${pixel}` },
      { type: "localImage", path: "dot.png" },
      { type: "skill", name: "tidy", path: skill },
      { type: "mention", name: "notes", path: "notes.md" },
    ],
  });
  const said = result.items.find(({ type }) => type === "userMessage") as unknown as {
    content: { type: string }[];
  };
  assert.deepEqual(
    said.content.map(({ type }) => type),
    ["text", "image", "localImage", "skill", "mention"],
  );
  const body = JSON.stringify(world.model.requests.at(-1)!.body);
  assert.ok(body.includes(join(world.cwd, "notes.md")));
  assert.equal(body.split("data:image/png;base64,").length - 1, 2);
  assert.ok(body.includes("Always tidy up."));
  const missing = await rejection(session.ask({ text: "x", attachments: ["gone.md"] }));
  assert.ok(missing instanceof AttachmentNotFoundError, `${missing}`);
  assert.equal(missing.path, join(world.cwd, "gone.md"));
  const remote = {
    text: world.prompt(["x"]),
    attachments: [{ type: "image" as const, url: "https://127.0.0.1:9/x.png" }],
  };
  if (version === "0.104.0") await session.ask(remote);
  else assert.ok(await rejection(session.ask(remote)) instanceof InvalidArgumentError);
});

const SCHEMA = {
  type: "object",
  properties: { ok: { type: "boolean" }, note: { type: ["string", "null"] } },
  required: ["ok", "note"],
  additionalProperties: false,
};

versions(
  "an answer with a schema is parsed and checked, and repaired once on request",
  async (world) => {
    const client = await world.connect();
    const session = await client.startSession({ cwd: world.cwd });
    const good = await session.ask(world.prompt(['{"ok":true,"note":null}']), {
      outputSchema: SCHEMA,
    });
    assert.deepEqual(good.output, { ok: true, note: null });
    const { text } = world.model.requests.at(-1)!.body as {
      text?: { format?: { schema?: unknown } };
    };
    assert.deepEqual(text?.format?.schema, SCHEMA);

    const bad = await rejection(
      session.ask(world.prompt(['{"ok":"yes"}']), { outputSchema: SCHEMA }),
    );
    assert.ok(bad instanceof OutputValidationError, `${bad}`);
    assert.equal(bad.text, '{"ok":"yes"}');
    assert.ok(bad.issues.some(({ path }) => path === "$.ok"));

    let tries = 0;
    const prompt = world.prompt(() => `try ${++tries}`);
    const before = world.model.requests.length;
    const unrepaired = await rejection(session.ask(prompt, { outputSchema: SCHEMA, repair: true }));
    assert.ok(unrepaired instanceof OutputValidationError);
    assert.equal(world.model.requests.length, before + 2);
    assert.match(world.model.requests.at(-1)!.text, /does not fit the required output schema/);

    const output: StandardSchemaV1<unknown, { n: number }> = {
      "~standard": {
        version: 1,
        vendor: "test",
        validate: (value) =>
          typeof (value as { n?: unknown }).n === "number"
            ? { value: value as { n: number } }
            : { issues: [{ message: "expected a number", path: ["n"] }] },
        jsonSchema: {
          input: () => ({
            type: "object",
            properties: { n: { type: "number" } },
            required: ["n"],
            additionalProperties: false,
          }),
          output: () => ({}),
        },
      },
    };
    const typed = await session.ask(world.prompt(['{"n":7}']), { output });
    const n: number = typed.output.n;
    assert.equal(n, 7);
    const loose = await rejection(
      session.ask("x", { outputSchema: { type: "object", properties: { a: {} } } }),
    );
    assert.ok(loose instanceof InvalidArgumentError, `${loose}`);
  },
);

versions(
  "tools of this process run side by side, and a failing one tells the model",
  async (world, version) => {
    const client = await world.connect();
    const both = Promise.withResolvers<void>();
    let running = 0;
    const warnings: string[] = [];
    const session = await client.startSession({
      cwd: world.cwd,
      tools: {
        wait: {
          description: "Waits for its twin.",
          inputSchema: { type: "object", properties: { n: { type: "number" } } },
          run: async ({ n }: { n: number }, { threadId, callId }) => {
            assert.ok(threadId !== "" && callId !== "");
            // The old server calls one after the other.
            if (++running === 2 || version === "0.104.0") both.resolve();
            await both.promise;
            return { n };
          },
        },
        fail: {
          description: "Fails.",
          inputSchema: { type: "object", properties: {} },
          run: () => {
            throw new Error("no disk");
          },
        },
      },
    });
    const prompt = world.prompt([
      [script.toolCall("wait", { n: 1 }), script.toolCall("wait", { n: 2 })],
      [script.toolCall("fail", {})],
      "All called.",
    ]);
    const result = await session.ask(prompt, {
      onEvent: (event) => event.type === "warning" && warnings.push(event.message),
    });
    assert.equal(result.assistantText, "All called.");
    const { tools, toolOutputs } = world.model.requests.at(-1)!;
    assert.ok(tools.includes("wait") && tools.includes("fail"), `${tools}`);
    const outputs = toolOutputs.map(({ text }) => text).join("|");
    for (const words of [/"n":1/, /"n":2/, /no disk/]) assert.match(outputs, words);
    assert.ok(warnings.some((message) => /The tool fail failed: no disk/.test(message)));
  },
);

versions("a tool is told when its turn is interrupted", async (world) => {
  const client = await world.connect();
  const called = Promise.withResolvers<void>();
  const told = Promise.withResolvers<void>();
  const session = await client.startSession({
    cwd: world.cwd,
    tools: {
      slow: {
        description: "Never ends by itself.",
        inputSchema: { type: "object", properties: {} },
        run: (_args, { signal }) =>
          new Promise((_, reject) => {
            called.resolve();
            signal.addEventListener("abort", () => {
              told.resolve();
              reject(signal.reason);
            });
          }),
      },
    },
  });
  const ask = rejection(session.ask(world.prompt([[script.toolCall("slow", {})]])));
  await called.promise;
  await session.interrupt();
  await within(SOON_MS, "the tool's signal", told.promise);
  assert.ok(await ask instanceof TurnInterruptedError);
});

versions(
  "tokens of several calls add up; turns, sessions and the client have their sums",
  async (world) => {
    const client = await world.connect();
    const usage = { inputTokens: 100, cachedInputTokens: 60, outputTokens: 10, reasoningTokens: 4 };
    const turn = () =>
      world.prompt([[script.exec("true"), script.usage(usage)], ["Done.", script.usage(usage)]]);
    const [a, b] = await Promise.all([
      client.startSession({ cwd: world.cwd }),
      client.startSession({ cwd: world.cwd }),
    ]);
    const first = await a.ask(turn());
    const second = await a.ask(turn());
    await b.ask(turn());
    for (const result of [first, second]) {
      assert.equal(result.usage!.inputTokens, 200);
      assert.equal(result.usage!.cachedInputTokens, 120);
      assert.equal(result.usage!.outputTokens, 20);
      assert.equal(result.usage!.reasoningOutputTokens, 8);
      assert.equal(result.usage!.totalTokens, 220);
    }
    assert.equal(first.usage!.thread.totalTokens, 220);
    assert.equal(second.usage!.thread.totalTokens, 440);
    assert.equal(a.usage.totalTokens, 440);
    assert.equal(b.usage.totalTokens, 220);
    assert.equal(client.usage.totalTokens, 660);
    assert.equal(client.usage.cachedInputTokens, 360);
  },
);

versions(
  "a failure that may pass is tried again on request, and its text is not told twice",
  async (world) => {
    const client = await world.connect();
    const session = await client.startSession({ cwd: world.cwd });
    const events: TurnEvent[] = [];
    const overloaded = script.httpError(429, { error: { message: "slow down" } });
    const cut = [script.say("Some wo", { open: true }), script.cut()];
    const result = await session.ask(world.prompt([overloaded, cut, "Some words."]), {
      retry: { attempts: 2, baseDelayMs: 10 },
      onEvent: (event) => events.push(event),
    });
    assert.equal(result.assistantText, "Some words.");
    assert.equal(events.filter((e) => e.type === "retrying" && e.by === "client").length, 2);
    assert.equal(events.filter(({ type }) => type === "turnCompleted").length, 3);

    const before = world.model.requests.length;
    const hopeless = await rejection(
      session.ask(world.prompt(() => overloaded), { retry: { attempts: 1, baseDelayMs: 10 } }),
    );
    assert.ok(hopeless instanceof TurnFailedError && hopeless.kind === "rateLimit");
    assert.equal(world.model.requests.length, before + 2);
    const auth = await rejection(
      session.ask(world.prompt([script.httpError(401)]), { retry: {} }),
    );
    assert.ok(auth instanceof TurnFailedError && auth.kind === "auth");
    assert.equal(world.model.requests.length, before + 3);
  },
);

versions(
  "a prompt that waits for another try can be given up, interrupted and closed",
  async (world) => {
    const client = await world.connect();
    const session = await client.startSession({ cwd: world.cwd });
    const overloaded = script.httpError(429, { error: { message: "slow down" } });
    /** Settles when the prompt waits, with the promise of its failure. */
    const waiting = async (options: { signal?: AbortSignal } = {}) => {
      const retrying = Promise.withResolvers<void>();
      const failed = rejection(session.ask(world.prompt(() => overloaded), {
        ...options,
        retry: { attempts: 5, baseDelayMs: 60_000 },
        onEvent: ({ type }) => type === "retrying" && retrying.resolve(),
      }));
      await retrying.promise;
      return { failed };
    };
    const [stop, reason] = [new AbortController(), new Error("enough")];
    const aborted = await waiting({ signal: stop.signal });
    stop.abort(reason);
    assert.equal(await within(SOON_MS, "the abort", aborted.failed), reason);
    const interrupted = await waiting();
    await session.interrupt();
    const error = await within(SOON_MS, "the interrupt", interrupted.failed);
    assert.ok(error instanceof TurnInterruptedError, `${error}`);
    const closed = await waiting();
    const closing = session.close();
    assert.ok(await within(SOON_MS, "the close", closed.failed) instanceof SessionClosedError);
    await closing;
  },
);

versions("a failed turn leaves the thread usable", async (world) => {
  const client = await world.connect();
  const session = await client.startSession({ cwd: world.cwd });
  for (const turn of [script.httpError(500), [script.say("x", { open: true }), script.cut()]]) {
    assert.ok(await rejection(session.ask(world.prompt([turn]))) instanceof TurnFailedError);
    assert.equal((await session.ask(world.prompt(["fine"]))).assistantText, "fine");
  }
});

versions("settings of one turn hold for that turn only", async (world) => {
  const client = await world.connect();
  const session = await client.startSession({ cwd: world.cwd, model: "model-a", effort: "low" });
  await session.ask(world.prompt(["one"]), { model: "model-b" });
  await session.askWithProfile(world.prompt(["two"]), { model: "model-c" }, { effort: "high" });
  await session.ask(world.prompt(["three"]));
  assert.deepEqual(world.model.requests.map(({ model }) => model), [
    "model-b",
    "model-c",
    "model-a",
  ]);
  const error = await rejection(session.ask("x", { model: 7 as unknown as string }));
  assert.ok(error instanceof InvalidArgumentError, `${error}`);
});
