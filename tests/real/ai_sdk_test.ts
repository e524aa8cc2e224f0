/** The AI SDK's own functions on the real codex. */
import assert from "node:assert/strict";
import process from "node:process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { codexModel } from "../../src/adapters/ai_sdk/namespace.ts";
import { CodexError, InvalidArgumentError, TurnFailedError } from "../../src/errors/mod.ts";
import { script } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS, type CodexVersion } from "../_codex.ts";
import { test } from "../_harness.ts";
import { aiPackage, providerPackage } from "../_packages.ts";
import { inWorld, rejection, type World } from "./_session_world.ts";

Object.assign(globalThis, { AI_SDK_LOG_WARNINGS: false });

function versions(name: string, act: (world: World, version: CodexVersion) => Promise<void>): void {
  for (const version of CODEX_VERSIONS) {
    test(
      `${name} [${version}]`,
      () => inWorld(version, (world) => act(world, version)),
    );
  }
}

const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=";

versions("generateText(): tools, reasoning, usage, and a thread that goes on", async (
  world,
  version,
) => {
  const { generateText, ToolLoopAgent } = await aiPackage();
  const client = await world.connect();
  await writeFile(join(world.cwd, "a.txt"), "alpha\n");
  await using model = codexModel(client, { cwd: world.cwd });
  const asked = world.prompt([
    [
      script.say("Let me look. ", { phase: "commentary" }),
      script.reason("Thinking hard"),
      script.exec("cat a.txt"),
    ],
    script.say("It says alpha.", { phase: "final_answer" }),
  ]);
  const instructions = "Be brief.";
  const first = await generateText({ model, temperature: 0.5, instructions, prompt: asked });
  // 0.104 does not tell which messages are commentary.
  const isOld = version === "0.104.0";
  assert.equal(first.text, isOld ? "Let me look. It says alpha." : "It says alpha.");
  assert.match(first.reasoningText!, isOld ? /^Thinking hard/ : /^Let me look.*Thinking hard/s);
  const [call] = first.toolCalls;
  assert.equal(call?.toolName, "shell");
  assert.equal(call.providerExecuted, true);
  assert.match(JSON.stringify(call.input), /cat a\.txt/);
  assert.match(JSON.stringify(first.toolResults[0]?.output), /alpha\\n.*"exitCode":0/);
  assert.equal(first.finishReason, "stop");
  assert.equal(first.usage.totalTokens, 26);
  assert.equal(first.usage.inputTokenDetails.cacheReadTokens, 0);
  assert.deepEqual(
    first.warnings?.map((each) => "feature" in each ? each.feature : each.type),
    ["temperature"],
  );
  const { threadId, turnId } = first.providerMetadata!["codex"]!;
  assert.equal(first.response.id, turnId);
  assert.match(JSON.stringify(world.model.requests.at(-1)!.body), /Be brief\./);

  // The conversation goes on, on the same thread, with an image; nothing is told twice.
  const history = [{ role: "user" as const, content: asked }, ...first.response.messages];
  const image = { type: "file" as const, mediaType: "image/png", data: PIXEL };
  const next = { role: "user" as const, content: [{ type: "text" as const, text: "And?" }, image] };
  const second = await generateText({ model, instructions, messages: [...history, next] });
  assert.match(second.text, /^You said: And\?/);
  assert.equal(second.providerMetadata!["codex"]!["threadId"], threadId);
  assert.match(JSON.stringify(world.model.requests.at(-1)!.body), /data:image\/png;base64,iVBOR/);
  // Words alone name a conversation as well.
  const words = [
    { role: "user" as const, content: asked },
    { role: "assistant" as const, content: first.text },
    next,
    { role: "assistant" as const, content: second.text },
    { role: "user" as const, content: "More." },
  ];
  const third = await generateText({ model, instructions, messages: words });
  assert.equal(third.providerMetadata!["codex"]!["threadId"], threadId);
  assert.equal(third.text, "You said: More.");

  // Two that go on with the same conversation at once are on threads of their own.
  const messages = [...words, { role: "assistant" as const, content: third.text }, next];
  const both = await Promise.all([1, 2].map(() => generateText({ model, instructions, messages })));
  const used = both.map((each) => each.providerMetadata!["codex"]!["threadId"]);
  assert.equal(new Set(used).size, 2);
  assert.ok(used.includes(threadId!));

  // An agent of the SDK's, whose tools are codex's.
  const agent = new ToolLoopAgent({ model, instructions: "Be an owl." });
  assert.equal((await agent.generate({ prompt: "Who?" })).text, "You said: Who?");
  assert.match(JSON.stringify(world.model.requests.at(-1)!.body), /Be an owl\./);

  // Another history, other instructions, or another thread's: a fresh thread that is told the history.
  const forged = JSON.parse(JSON.stringify(history).replaceAll(String(threadId), "another"));
  const cases = [
    { instructions, messages: [...words.slice(0, 4), { role: "user" as const, content: "More?" }] },
    { instructions: "Be long.", messages: [...history, next] },
    { instructions, messages: [...forged, next] },
  ];
  for (const each of cases) {
    const { providerMetadata } = await generateText({ model, ...each });
    assert.notEqual(providerMetadata!["codex"]!["threadId"], threadId);
    const { userTexts } = world.model.requests.at(-1)!;
    assert.match(userTexts.at(-1)!, /What was said so far.*"role":"assistant".*alpha/s);
  }
});

versions(
  "streamText(): text as it comes, patches, abort stops the turn",
  async (world, version) => {
    const { streamText } = await aiPackage();
    const client = await world.connect();
    const model = codexModel(client, {
      cwd: world.cwd,
      sandbox: "workspace-write",
      allowPrivilegedEscalation: true,
      tools: {
        add: {
          description: "Adds.",
          inputSchema: { type: "object" },
          run: () => Promise.resolve("3"),
        },
      },
    });
    const patch = "*** Begin Patch\n*** Add File: new.txt\n+hi\n*** End Patch";
    const prompt = world.prompt([
      script.applyPatch(patch),
      script.toolCall("add", { a: 1, b: 2 }),
      script.exec("exit 3"),
      script.say(["Well ", "done."]),
    ]);
    const result = streamText({ model, prompt });
    const texts = [];
    for await (const text of result.textStream) texts.push(text);
    assert.equal(texts.join(""), "Well done.");
    const calls = await result.toolCalls;
    assert.deepEqual(
      calls.map(({ toolName }) => toolName),
      // 0.104 tells nothing of tools of this process.
      version === "0.104.0" ? ["apply_patch", "shell"] : ["apply_patch", "add", "shell"],
    );
    assert.match(JSON.stringify(calls[0]!.input), /new\.txt.*hi/);
    assert.equal((await result.toolResults).length, calls.length - 1);
    const failed = (await result.content).find(({ type }) => type === "tool-error");
    assert.match(JSON.stringify(failed), /"exitCode":3/);

    const stop = new AbortController();
    const half = world.prompt([[script.say("Half", { open: true }), script.hang()]]);
    const aborted = streamText({ model, prompt: half, abortSignal: stop.signal });
    const kinds: string[] = [];
    for await (const part of aborted.stream) {
      kinds.push(part.type);
      if (part.type === "text-delta") stop.abort();
    }
    assert.equal(kinds.at(-1), "abort");
    // Leaving the stream of the model itself stops the turn as well, and waits for its end.
    const held = await model.doStream({ prompt: [{ role: "user", content: half }] });
    const reader = held.stream.getReader();
    let turnId: string | undefined;
    for (let part = await reader.read(); part.value?.type !== "text-delta";) {
      if (part.value?.type === "response-metadata") turnId = part.value.id;
      part = await reader.read();
    }
    await reader.cancel();
    const turns = Object.values(client.runtime.state().threads).flatMap((each) => each.turns);
    assert.equal(turns.find(({ id }) => id === turnId)?.status, "interrupted");
    // Whoever aborted was told at once; that turn has ended by now, or does so in a moment.
    const ends: unknown[] = [];
    const ended = client.runtime.events({ after: 0, methods: ["turn/completed"] });
    for await (const { message } of ended) {
      ends.push((message as { params: { turn: { status: string } } }).params.turn.status);
      if (ends.length === 3) break;
    }
    assert.deepEqual(ends, ["completed", "interrupted", "interrupted"]);
    await model.close();
    await model.close();
    await assert.rejects(
      Promise.resolve(model.doGenerate({ prompt: [{ role: "user", content: "x" }] })),
      /closed/,
    );
  },
);

versions("an answer that codex begins anew is told once where it is told whole", async (world) => {
  const { generateText, jsonSchema, Output, streamText } = await aiPackage();
  const client = await world.connect({}, {
    configOverrides: { "model_providers.scripted.stream_max_retries": 2 },
  });
  await using model = codexModel(client, { cwd: world.cwd });
  const phase = "final_answer";
  const again = (first: string, whole: string) =>
    world.prompt([
      [script.say(first, { open: true, phase }), script.cut()],
      script.say(whole, { phase }),
    ]);
  const schema = jsonSchema({
    type: "object",
    properties: { a: { type: "number" } },
    required: ["a"],
    additionalProperties: false,
  });
  const prompt = again('{"a":', '{"a":1}');
  const { output } = await generateText({ model, prompt, output: Output.object({ schema }) });
  assert.deepEqual(output, { a: 1 });

  const asked = again("Hal", "Hallo");
  const whole = await generateText({ model, prompt: asked });
  assert.equal(whole.text, "Hallo");
  // What was shown can't be taken back.
  const streamed = streamText({ model, prompt: asked });
  assert.equal(await streamed.text, "Hal\n\nHallo");
  // Both go on with the thread that they began.
  for (const { response, providerMetadata } of [whole, await streamed.finalStep]) {
    const messages = [
      { role: "user" as const, content: asked },
      ...response.messages,
      { role: "user" as const, content: "More." },
    ];
    const next = await generateText({ model, messages });
    assert.equal(next.text, "You said: More.");
    const thread = (metadata: typeof providerMetadata) => metadata!["codex"]!["threadId"];
    assert.equal(thread(next.providerMetadata), thread(providerMetadata));
  }
});

versions("Output.object: by codex's own schema, as it comes and whole", async (world, version) => {
  const { generateObject, generateText, jsonSchema, Output, streamObject, streamText } =
    await aiPackage();
  const { NoContentGeneratedError } = await providerPackage();
  assert.ok(NoContentGeneratedError);
  const client = await world.connect();
  await using model = codexModel(client, { cwd: world.cwd });
  const schema = jsonSchema<{ name: string }>({
    type: "object",
    properties: { name: { type: "string" } },
    required: ["name"],
    additionalProperties: false,
  });
  const output = Output.object({ schema });
  const play = () =>
    world.prompt([
      [script.say("I will look."), script.exec("true")],
      script.say(['{"na', 'me":"fox"}'], version === "0.104.0" ? {} : { phase: "final_answer" }),
    ]);
  const whole = await generateText({ model, prompt: play(), output });
  assert.deepEqual(whole.output, { name: "fox" });
  assert.match(JSON.stringify(world.model.requests.at(-1)!.body), /"json_schema"/);
  const streamed = streamText({ model, prompt: play(), output });
  const partial: unknown[] = [];
  for await (const value of streamed.partialOutputStream) partial.push(value);
  assert.deepEqual(partial.at(-1), { name: "fox" });
  assert.deepEqual(await streamed.output, { name: "fox" });
  // The SDK's older names for it; tokens are split by where they came from.
  const counts = { inputTokens: 100, cachedInputTokens: 40, outputTokens: 20, reasoningTokens: 5 };
  const counted = world.prompt([[script.say('{"name":"owl"}'), script.usage(counts)]]);
  const { object, usage } = await generateObject({ model, schema, prompt: counted });
  assert.deepEqual(object, { name: "owl" });
  assert.equal(usage.inputTokenDetails.noCacheTokens, 60);
  assert.equal(usage.inputTokenDetails.cacheReadTokens, 40);
  assert.equal(usage.outputTokenDetails.textTokens, 15);
  assert.equal(usage.outputTokenDetails.reasoningTokens, 5);
  const objects: unknown[] = [];
  const { partialObjectStream } = streamObject({ model, schema, prompt: play() });
  for await (const value of partialObjectStream) objects.push(value);
  assert.deepEqual(objects.at(-1), { name: "fox" });
  // What does not fit is the SDK's to tell, with the text.
  const wrong = await rejection(
    generateText({ model, prompt: world.prompt([script.say("no fox")]), output }).then(
      (result) => result.output,
    ),
  );
  assert.match(String(wrong), /NoObjectGenerated/);
});

versions(
  "a turn that a crash of codex ends is not repeated, and conversations go on",
  async (world) => {
    const { generateText } = await aiPackage();
    const client = await world.connect({ restart: { type: "onCrash" } });
    await using model = codexModel(client, { cwd: world.cwd });
    await generateText({ model, prompt: "Remember." });
    const before = world.model.requests.length;
    const crash = rejection(
      generateText({
        model,
        maxRetries: 2,
        prompt: world.prompt(() => [script.exec("sleep 3175")]),
      }),
    );
    while (world.commands("sleep 3175").length === 0) {
      await new Promise((then) => setTimeout(then, 5));
    }
    process.kill(client.runtime.pid!, "SIGKILL");
    assert.equal((await crash as { isRetryable?: boolean }).isRetryable, false);
    assert.equal(world.model.requests.length - before, 1);
    const { text } = await generateText({
      model,
      messages: [
        { role: "user", content: "Remember." },
        { role: "assistant", content: "You said: Remember." },
        { role: "user", content: "What?" },
      ],
    });
    assert.match(text, /What was said so far.*Now the user says:\s+What\?/s);
  },
);

versions(
  "errors are the SDK's own kinds, and an agent that acted is not repeated",
  async (world) => {
    const { generateText, jsonSchema, streamText, tool } = await aiPackage();
    const { APICallError, AISDKError, UnsupportedFunctionalityError } = await providerPackage();
    const client = await world.connect();
    await using model = codexModel(client, { cwd: world.cwd });
    const fail = () => script.httpError(429, { message: "slow down" });

    const thought = await rejection(
      generateText({ model, maxRetries: 0, prompt: world.prompt([fail()]) }),
    );
    assert.ok(APICallError.isInstance(thought), String(thought));
    assert.ok(AISDKError.isInstance(thought));
    assert.ok(thought instanceof CodexError);
    assert.ok(thought.cause instanceof TurnFailedError);
    assert.equal(thought.statusCode, 429);
    assert.equal(thought.isRetryable, true);
    // Prompts stay out of errors.
    assert.doesNotMatch(JSON.stringify([thought.message, thought.data]), /play-/);

    const before = world.model.requests.length;
    const acted = await rejection(
      generateText({
        model,
        maxRetries: 5,
        prompt: world.prompt((_, round) => round === 0 ? script.exec("touch x") : fail()),
      }),
    );
    assert.ok(APICallError.isInstance(acted), String(acted));
    assert.equal(acted.isRetryable, false);
    assert.ok(world.model.requests.length - before <= 8, "one turn, with codex's own tries");

    // Codex 0.104 tells of a tool of this process by its call alone, and of tokens when an answer has come to its end.
    let runs = 0;
    const ran = Promise.withResolvers<void>();
    const run = () => {
      ran.resolve();
      return ++runs;
    };
    await using noting = codexModel(client, {
      cwd: world.cwd,
      tools: { note: { description: "Notes", inputSchema: { type: "object" }, run } },
    });
    const cut = [script.toolCall("note", {}), script.gate(ran.promise), script.cut()];
    const prompt = world.prompt(() => cut);
    const noted = await rejection(generateText({ model: noting, maxRetries: 2, prompt }));
    assert.ok(APICallError.isInstance(noted), String(noted));
    assert.equal(runs, 1);

    const streamed: unknown[] = [];
    const result = streamText({
      model,
      maxRetries: 0,
      prompt: world.prompt([fail()]),
      onError: ({ error }) => void streamed.push(error),
    });
    await result.consumeStream();
    assert.ok(APICallError.isInstance(streamed[0]), String(streamed[0]));

    // What can't take effect is refused before anything is sent.
    const sent = world.model.requests.length;
    const add = tool({
      inputSchema: jsonSchema({ type: "object" }),
      execute: () => Promise.resolve(3),
    });
    const refused = await rejection(generateText({ model, prompt: "x", tools: { add } }));
    assert.ok(UnsupportedFunctionalityError.isInstance(refused), String(refused));
    assert.match(refused.message, /codexModel\(client, \{ tools \}\)/);
    const pdf = { type: "file" as const, mediaType: "application/pdf", data: "AAAA" };
    const unread = await rejection(
      generateText({ model, messages: [{ role: "user", content: [pdf] }] }),
    );
    assert.ok(UnsupportedFunctionalityError.isInstance(unread), String(unread));
    assert.equal(world.model.requests.length, sent);
    assert.throws(
      () => codexModel(client, { cwd: world.cwd, ...{ temperatur: 1 } }),
      InvalidArgumentError,
    );
  },
);
