import assert from "node:assert/strict";
import { access } from "node:fs/promises";
import { tmpdir } from "node:os";
import { CodexError, InvalidArgumentError } from "../../../src/errors/mod.ts";
import { script, ScriptedModel } from "../../../src/testing/mod.ts";
import { test } from "../../_harness.ts";

function ask(model: ScriptedModel, prompt: string, init: RequestInit = {}): Promise<Response> {
  return fetch(`${model.url}/responses`, {
    method: "POST",
    body: JSON.stringify({
      model: "m",
      prompt_cache_key: "thread-1",
      input: [{ type: "message", role: "user", content: [{ type: "input_text", text: prompt }] }],
    }),
    ...init,
  });
}

/** The events of a stream, and whether it ended properly. */
async function events(response: Response): Promise<string[]> {
  const body = await response.text();
  return [...body.matchAll(/^event: (.*)$/gm)].map((match) => match[1]!);
}

test("each request consumes the next turn of a list", async () => {
  await using model = await ScriptedModel.start(["one", script.say(["t", "wo"])]);
  assert.match(await (await ask(model, "a")).text(), /"delta":"one"/);
  assert.match(await (await ask(model, "b")).text(), /"delta":"t"[\s\S]*"delta":"wo"[\s\S]*"two"/);
  assert.deepEqual(model.requests.map((r) => [r.index, r.text, r.threadId]), [
    [0, "a", "thread-1"],
    [1, "b", "thread-1"],
  ]);
});

test("a request beyond the list is answered 400 and names what was asked", async () => {
  await using model = await ScriptedModel.start([]);
  const response = await ask(model, "how are you?");
  assert.equal(response.status, 400);
  const { error } = await response.json();
  assert.match(error.message, /0 turn\(s\).*request 1.*thread-1.*how are you\?.*add a turn/);
});

test("a function sees the request and serves any number of them", async () => {
  await using model = await ScriptedModel.start((request) => `#${request.index} ${request.text}`);
  const texts = await Promise.all(["a", "b", "c"].map(async (p) => (await ask(model, p)).text()));
  for (const prompt of ["a", "b", "c"]) {
    assert.ok(texts.some((text) => new RegExp(`#\\d ${prompt}`).test(text)));
  }
});

test("a function that throws is answered 400 with its message", async () => {
  await using model = await ScriptedModel.start(() => {
    throw new Error("my script is wrong");
  });
  const response = await ask(model, "x");
  assert.equal(response.status, 400);
  assert.match(await response.text(), /my script is wrong/);
});

test("a turn whose steps cannot be in this order is answered 400", async () => {
  await using model = await ScriptedModel.start([["hello", script.httpError(500)]]);
  const response = await ask(model, "x");
  assert.equal(response.status, 400);
  assert.match(await response.text(), /\\"http\\" must come before/);
});

test("httpError() sends status, headers and body", async () => {
  await using model = await ScriptedModel.start([
    script.httpError(429, { error: { code: "slow" } }, { "retry-after": "7" }),
    script.httpError(502, "<html>"),
  ]);
  const limited = await ask(model, "x");
  assert.equal(limited.status, 429);
  assert.equal(limited.headers.get("retry-after"), "7");
  assert.deepEqual(await limited.json(), { error: { code: "slow" } });
  const html = await ask(model, "x");
  assert.equal(html.headers.get("content-type"), "text/plain");
  assert.equal(await html.text(), "<html>");
});

test("a stream ends as its script says", async () => {
  const cases: [Parameters<typeof ScriptedModel.start>[0], string | undefined][] = [
    [["hi"], "response.completed"],
    [[script.failed("a", "b")], "response.failed"],
    [[script.incomplete()], "response.incomplete"],
    [[script.end()], "response.created"],
    [[[script.usage({ inputTokens: 1 })]], "response.completed"],
  ];
  for (const [turns, last] of cases) {
    await using model = await ScriptedModel.start(turns);
    assert.equal((await events(await ask(model, "x"))).at(-1), last);
  }
});

test("cut() breaks the body after what was said", async () => {
  // Bun drops what its reader has not taken when the connection breaks.
  const taken = Promise.withResolvers<void>();
  await using model = await ScriptedModel.start([[
    "half",
    script.gate(taken.promise),
    script.cut(),
  ]]);
  const response = await ask(model, "x");
  const reader = response.body!.getReader();
  let text = "";
  const decoder = new TextDecoder();
  await assert.rejects(async () => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += decoder.decode(value);
      if (text.includes('"half"')) taken.resolve();
    }
  });
  assert.match(text, /"half"/);
});

test("a gate that rejects breaks the stream and nothing else", async () => {
  await using model = await ScriptedModel.start([
    ["before", script.gate(Promise.reject(new Error("no")))],
    "still here",
  ]);
  await assert.rejects(async () => void await (await ask(model, "x")).text());
  assert.match(await (await ask(model, "y")).text(), /still here/);
});

test("the request's signal aborts when the client goes away, before or within the answer", async () => {
  const never = new Promise(() => {});
  for (const turn of [[script.gate(never)], ["hi", script.hang()]]) {
    await using model = await ScriptedModel.start([turn]);
    const client = new AbortController();
    const answer = ask(model, "x", { signal: client.signal }).then((r) => r.text());
    const { signal } = await model.nextRequest();
    const gone = new Promise<void>((resolve) =>
      signal.addEventListener("abort", () => resolve(), { once: true })
    );
    client.abort();
    await assert.rejects(answer);
    await gone;
  }
});

test("close() drops hanging responses, and again does nothing", async () => {
  const model = await ScriptedModel.start([["hi", script.hang()], script.hang()]);
  const open = [ask(model, "a"), ask(model, "b")].map((r) => r.then((r) => r.text()));
  await model.waitForRequest((r) => r.index === 1);
  const outcomes = Promise.allSettled(open);
  await Promise.all([model.close(), model.close()]);
  assert.deepEqual((await outcomes).map((o) => o.status), ["rejected", "rejected"]);
  await model.close();
});

test("nextRequest() returns each request once, in order, also when called first", async () => {
  await using model = await ScriptedModel.start();
  const early = model.nextRequest();
  await (await ask(model, "one")).text();
  await (await ask(model, "two")).text();
  assert.equal((await early).text, "one");
  assert.equal((await model.nextRequest()).text, "two");
});

test("waitForRequest() rejects after its time, on abort and on close", async () => {
  const model = await ScriptedModel.start();
  const never = () => false;
  await assert.rejects(
    model.waitForRequest(never, { timeoutMs: 10 }),
    (error) => error instanceof CodexError && /within 10 ms; 0 request/.test(error.message),
  );
  const reason = new Error("stop");
  await assert.rejects(
    model.waitForRequest(never, { signal: AbortSignal.abort(reason) }),
    (e) => e === reason,
  );
  const waiting = assert.rejects(model.waitForRequest(never), /before the model was closed/);
  await model.close();
  await waiting;
});

test("other methods and paths are refused as codex expects", async () => {
  await using model = await ScriptedModel.start();
  const status = async (path: string, init?: RequestInit) => {
    const response = await fetch(model.url + path, init);
    await response.text();
    return response.status;
  };
  assert.equal(await status("/responses"), 405);
  assert.equal(await status("/models"), 200);
  assert.equal(await status("/elsewhere", { method: "POST", body: "x" }), 404);
  assert.deepEqual(model.requests, []);
});

test("clientConfig() names the provider and private homes outside the temp directory", async () => {
  const model = await ScriptedModel.start([], { model: "a" });
  const config = model.clientConfig({
    codexPath: "/bin/codex",
    env: { EXTRA: "1" },
    configOverrides: { "features.x": true },
  });
  const { CODEX_HOME, HOME, TMPDIR, EXTRA } = config.env.set;
  assert.equal(EXTRA, "1");
  for (const directory of [CODEX_HOME!, HOME!, TMPDIR!]) {
    await access(directory);
    assert.ok(!directory.startsWith(tmpdir() + "/"), directory);
  }
  assert.equal(config.codexPath, "/bin/codex");
  assert.equal(config.env.inherit, "minimal");
  assert.deepEqual(config.configOverrides, {
    "model": "a",
    "model_provider": "scripted",
    "model_providers.scripted.name": "Scripted",
    "model_providers.scripted.base_url": model.url,
    "model_providers.scripted.wire_api": "responses",
    "model_providers.scripted.request_max_retries": 0,
    "model_providers.scripted.stream_max_retries": 0,
    "features.unbounded_connection_retries": false,
    "features.plugins": false,
    "skills.bundled.enabled": false,
    "features.x": true,
  });
  assert.equal(model.clientConfig({ model: "b" }).configOverrides["model"], "b");
  assert.equal(model.clientConfig({ home: "/kept" }).env.set["CODEX_HOME"], "/kept");
  await model.close();
  await assert.rejects(access(HOME!));
});

test("a script in the prompt is counted per thread and prompt", async () => {
  await using model = await ScriptedModel.start();
  const prompt = script.inPrompt(["first", "second"], "Do it. ");
  assert.match(await (await ask(model, prompt)).text(), /"first"/);
  assert.match(await (await ask(model, prompt)).text(), /"second"/);
  const beyond = await ask(model, prompt);
  assert.match(await beyond.text(), /2 turn\(s\).*request 3/);
  const another = script.inPrompt(["third"], "After a rewind. ");
  assert.match(await (await ask(model, another)).text(), /"third"/);
  const broken = await ask(model, "<<model:[oops>>");
  assert.equal(broken.status, 400);
  await broken.body?.cancel();
});

test("a model can be loaded and closed without ever being asked", async () => {
  await using _model = await ScriptedModel.start();
});

test("options that no step could play are refused where the script is written", () => {
  const odd: Record<string, unknown>[] = [
    { chunkSize: 0 },
    { chunkSize: NaN },
    { delayMs: -1 },
    { chunksize: 3 },
    { open: "yes" },
  ];
  for (const options of odd) {
    assert.throws(() => script.say("abc", options), InvalidArgumentError, JSON.stringify(options));
  }
  const call: Record<string, unknown> = { callID: "c" };
  for (
    const step of [
      () => script.toolCall("look", {}, call),
      () => script.exec("ls", {}, call),
      () => script.customToolCall("look", "", call),
    ]
  ) assert.throws(step, /Did you mean/);
  const named = script.toolCall("look", {}, { namespace: "mcp__docs", callId: "c" });
  assert.deepEqual(named, {
    ...{ type: "toolCall", name: "look", args: {} },
    ...{ namespace: "mcp__docs", callId: "c" },
  });
  assert.equal("open" in script.say("abc", { open: true }), true);
});

test("a script in a prompt with what is no step is answered 400, and ends", async () => {
  await using model = await ScriptedModel.start();
  const prompt =
    '<<model:[[{"type":"sya","text":"x"}],[{"type":"message","text":"whole","chunkSize":0}]]>>';
  const unknown = await ask(model, prompt);
  assert.equal(unknown.status, 400);
  assert.match(await unknown.text(), /there is no script step.*sya/);
  assert.match(await (await ask(model, prompt)).text(), /"delta":"whole"/);
});
