/** Each step of a model script, seen through the real codex and without this library's own runtime. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { type ModelTurn, script, ScriptedModel } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS, codexPath, type CodexVersion, NEWEST_CODEX } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { type Message, RawCodex, type TurnLog } from "./_raw_codex.ts";

const { say, exec } = script;

/** A codex, its model and a thread that may do anything in a directory of its own. */
interface Stage {
  model: ScriptedModel;
  codex: RawCodex;
  threadId: string;
  cwd: string;
  /** Runs one turn in which the model plays `turns`. */
  play(turns: ModelTurn[], params?: Message): Promise<TurnLog>;
  /** Sets what the model plays next. */
  next(turns: ModelTurn[]): void;
}

async function onStage(
  version: CodexVersion,
  act: (stage: Stage) => Promise<void>,
  thread: Message = {},
): Promise<void> {
  await using directory = await tempDir();
  let turns: ModelTurn[] = [];
  await using model = await ScriptedModel.start((request) =>
    turns.shift() ?? script.httpError(400, `no turn for ${request.text}`)
  );
  const config = model.clientConfig({ codexPath: await codexPath(version) });
  await using codex = new RawCodex({ codexPath: "", ...config });
  await codex.initialize();
  const started = await codex.request("thread/start", {
    cwd: directory.path,
    approvalPolicy: "never",
    sandbox: "danger-full-access",
    ...thread,
  });
  const threadId = started.thread.id;
  const next = (script: ModelTurn[]) => void (turns = [...script]);
  await act({
    model,
    codex,
    threadId,
    cwd: directory.path,
    next,
    play: (script, params) => {
      next(script);
      return codex.turn(threadId, "go", params);
    },
  });
}

const items = (log: TurnLog, type: string) => log.items.filter((item) => item.type === type);
const texts = (log: TurnLog) => items(log, "agentMessage").map((item) => item.text);
const params = (log: TurnLog, method: string) =>
  log.messages.filter((m) => m.method === method).map((m) => m.params);

for (const version of CODEX_VERSIONS) {
  const newest = version === NEWEST_CODEX;

  test(
    `script steps become the items of a turn on codex ${version}`,
    async (t) => {
      await onStage(version, async ({ play, model, codex, threadId, cwd }) => {
        await t.step("say() streams its chunks and completes with the whole text", async () => {
          const log = await play([say("Hellö wörld", { chunkSize: 4, phase: "final_answer" })]);
          assert.equal(log.turn.status, "completed");
          assert.deepEqual(log.deltas, ["Hell", "ö wö", "rld"]);
          assert.deepEqual(texts(log), ["Hellö wörld"]);
          if (newest) assert.equal(items(log, "agentMessage")[0].phase, "final_answer");
        });

        await t.step("usage() becomes the turn's token counts", async () => {
          const counts = {
            inputTokens: 100,
            cachedInputTokens: 40,
            outputTokens: 20,
            reasoningTokens: 7,
          };
          const log = await play([[script.usage(counts), "ok"]]);
          const { last } = params(log, "thread/tokenUsage/updated").at(-1).tokenUsage;
          assert.equal(last.inputTokens, 100);
          assert.equal(last.cachedInputTokens, 40);
          assert.equal(last.outputTokens, 20);
          assert.equal(last.reasoningOutputTokens, 7);
          assert.equal(last.totalTokens, 120);
        });

        await t.step("reason() becomes a reasoning item with its summary", async () => {
          const log = await play([[script.reason("Planning", "raw thought"), "ok"]]);
          const [item] = items(log, "reasoning");
          assert.deepEqual(item.summary, ["Planning"]);
          assert.deepEqual(item.content, ["raw thought"]);
        });

        await t.step("exec() runs a command, and the model sees its output", async () => {
          const log = await play([exec("echo one; exit 3"), "ok"]);
          const [item] = items(log, "commandExecution");
          assert.equal(item.exitCode, 3);
          assert.match(item.command, /echo one; exit 3/);
          const [output] = model.requests.at(-1)!.toolOutputs;
          assert.match(output!.text, /one/);
          assert.equal(model.requests.at(-1)!.text, "go");
          assert.equal(model.requests.at(-1)!.threadId, threadId);
        });

        await t.step("several exec() in one turn are parallel calls", async () => {
          const log = await play([[exec("echo a"), exec("echo b")], "ok"]);
          assert.equal(items(log, "commandExecution").length, 2);
          assert.equal(model.requests.at(-1)!.toolOutputs.length, 2);
        });

        await t.step("applyPatch() becomes a file change", async () => {
          const log = await play([
            script.applyPatch("*** Begin Patch\n*** Add File: new.txt\n+hi\n*** End Patch\n"),
            "ok",
          ]);
          const [item] = items(log, "fileChange");
          assert.equal(item.status, "completed");
          assert.equal(await readFile(join(cwd, "new.txt"), "utf8"), "hi\n");
        });

        await t.step("flood() streams every delta", async () => {
          const log = await play([script.flood(3000, 10)]);
          assert.equal(log.deltas.length, 3000);
          assert.equal(texts(log)[0].length, 30_000);
        });

        await t.step("headers() carry rate limits", async () => {
          await play([[
            script.headers({
              "x-codex-primary-used-percent": "42.6",
              "x-codex-primary-window-minutes": "300",
            }),
            "ok",
          ]]);
          const updated = await codex.waitFor((m) =>
            m.method === "account/rateLimits/updated" && m.params.rateLimits.primary !== null
          );
          assert.equal(updated.params.rateLimits.primary.windowDurationMins, 300);
        });

        await t.step("event() and raw() reach codex as they are", async () => {
          const message = {
            type: "message",
            role: "assistant",
            id: "m1",
            content: [{ type: "output_text", text: "by hand" }],
          };
          const log = await play([[
            script.raw(": a comment\n\ndata: not json\n\n"),
            script.event({ type: "response.output_item.done", output_index: 0, item: message }),
          ]]);
          assert.deepEqual(texts(log), ["by hand"]);
        });
      });
    },
  );

  test(
    `failing script steps fail the turn on codex ${version}`,
    async (t) => {
      await onStage(version, async ({ play, next, model, codex, threadId }) => {
        const cases: [string, ModelTurn, RegExp, unknown][] = [
          ["httpError(400) with its body", script.httpError(400, "no good"), /no good/, "other"],
          [
            "httpError(401)",
            script.httpError(401),
            /401/,
            newest ? { httpConnectionFailed: { httpStatusCode: 401 } } : "other",
          ],
          ["httpError(429)", script.httpError(429), /429/, {
            responseTooManyFailedAttempts: { httpStatusCode: 429 },
          }],
          ["httpError(500)", script.httpError(500), /./, "internalServerError"],
          ["incomplete()", [say("half"), script.incomplete()], /max_output_tokens/i, "other"],
          ["end()", [say("half"), script.end()], /stream closed|disconnected/, "other"],
          ["cut()", [say("half"), script.cut()], /disconnected/, "other"],
        ];
        for (const [name, turn, message, info] of cases) {
          await t.step(name, async () => {
            const { turn: { status, error } } = await play([turn]);
            // 0.104 names the verdict only in turn/completed, as 0.169 does.
            assert.equal(status, "failed");
            assert.match(error.message, message);
            assert.deepEqual(error.codexErrorInfo, info);
          });
        }

        await t.step("say({ open: true }) leaves the message unfinished", async () => {
          const log = await play([[say("half a sen", { open: true }), script.cut()]]);
          assert.deepEqual(log.deltas, ["half a sen"]);
          assert.deepEqual(texts(log), []);
        });

        await t.step("hang() waits until codex goes away", async () => {
          next([[say("thinking", { open: true }), script.hang()]]);
          const { turn } = await codex.request("turn/start", {
            threadId,
            input: [{ type: "text", text: "hang" }],
          });
          await codex.waitFor((m) =>
            m.method === "item/agentMessage/delta" && m.params.turnId === turn.id
          );
          await codex.request("turn/interrupt", { threadId, turnId: turn.id });
          assert.equal((await codex.turnEnd(turn.id)).turn.status, "interrupted");
          // 0.104 leaves the request open.
          if (newest) await aborted(model.requests.at(-1)!.signal);
        });

        await t.step("gate() holds the turn until it opens", async () => {
          const gate = Promise.withResolvers<void>();
          next([[say("before"), script.gate(gate.promise), say("after")]]);
          const { turn } = await codex.request("turn/start", {
            threadId,
            input: [{ type: "text", text: "gate" }],
          });
          const message = (text: string) => (m: Message) =>
            m.method === "item/completed" && m.params.turnId === turn.id &&
            m.params.item.text === text;
          await codex.waitFor(message("before"));
          assert.equal(codex.wire.some(({ m }) => message("after")(m)), false);
          gate.resolve();
          assert.deepEqual(texts(await codex.turnEnd(turn.id)), ["before", "after"]);
        });

        await t.step("failed() with its code", async () => {
          const code = "context_length_exceeded";
          const { turn } = await play([script.failed(code, "too long")]);
          assert.equal(turn.status, "failed");
          assert.equal(turn.error.codexErrorInfo, "contextWindowExceeded");
          // Codex now takes the context for full, and asks for a summary before the next answer.
          const log = await play(["a summary", "after it"]);
          assert.deepEqual(texts(log), ["after it"]);
          assert.match(model.requests.at(-2)!.text, /CONTEXT CHECKPOINT COMPACTION/);
        });

        await t.step("close() drops the open response", async () => {
          next([[say("thinking", { open: true }), script.hang()]]);
          const { turn } = await codex.request("turn/start", {
            threadId,
            input: [{ type: "text", text: "close" }],
          });
          await codex.waitFor((m) =>
            m.method === "item/agentMessage/delta" && m.params.turnId === turn.id
          );
          const end = codex.turnEnd(turn.id);
          await Promise.all([model.close(), end]);
          assert.equal((await end).turn.status, "failed");
        });
      });
    },
  );

  test(`toolCall() calls a dynamic tool on codex ${version}`, async () => {
    const lookup = { name: "lookup", description: "Looks up", inputSchema: { type: "object" } };
    await onStage(version, async ({ play, codex, model }) => {
      codex.onRequest = (request) =>
        request.method === "item/tool/call"
          ? {
            contentItems: [{ type: "inputText", text: `got ${request.params.arguments.id}` }],
            success: true,
          }
          : undefined;
      const log = await play([script.toolCall("lookup", { id: "T-1" }), "ok"]);
      assert.equal(log.turn.status, "completed");
      assert.ok(model.requests[0]!.tools.includes("lookup"));
      assert.match(model.requests.at(-1)!.toolOutputs[0]!.text, /got T-1/);
    }, { dynamicTools: [lookup] });
  });

  test(`a model without a script plays the prompt's turns or repeats it on codex ${version}`, async () => {
    // Of a name that begins like one of its own codex has data, and warns of nothing.
    await using model = await ScriptedModel.start(undefined, { model: "gpt-5.5-scripted" });
    const config = model.clientConfig({ codexPath: await codexPath(version) });
    await using codex = new RawCodex({ codexPath: "", ...config });
    await codex.initialize();
    const start = async () =>
      (await codex.request("thread/start", { cwd: "/", sandbox: "read-only" })).thread.id;
    const [a, b] = [await start(), await start()];
    const turns = (name: string) => script.inPrompt([[script.reason("hm"), exec("true")], name]);
    const [one, two, echo] = await Promise.all([
      codex.turn(a, turns("one")),
      codex.turn(b, turns("two")),
      codex.turn(await start(), "hello"),
    ]);
    assert.deepEqual([texts(one), texts(two)], [["one"], ["two"]]);
    assert.deepEqual(texts(echo), ["You said: hello"]);
    assert.doesNotMatch(JSON.stringify(codex.wire), /Model metadata/);
    assert.match(codex.stderr, /^((?!WARNING: proceeding).)*$/s, "the homes are to codex's taste");
  });

  test(`a prompt's turns go on behind a warning that codex ${version} makes itself`, async () => {
    await using directory = await tempDir();
    await using model = await ScriptedModel.start();
    const config = model.clientConfig({ codexPath: await codexPath(version) });
    await using codex = new RawCodex({ codexPath: "", ...config });
    await codex.initialize();
    const { thread } = await codex.request("thread/start", {
      cwd: directory.path,
      approvalPolicy: "never",
      sandbox: "workspace-write",
    });
    const patch = "apply_patch <<'EOF'\n*** Begin Patch\n*** Add File: a\n+a\n*** End Patch\nEOF";
    const turns = [[exec(patch)], [exec("echo second")], "done"];
    assert.deepEqual(texts(await codex.turn(thread.id, script.inPrompt(turns))), ["done"]);
    assert.equal(model.requests.length, 3);
    assert.deepEqual(texts(await codex.turn(thread.id, "and?")), ["You said: and?"]);
  });

  test(`a list that is used up fails the turn with what was asked on codex ${version}`, async () => {
    // Whoever asks for something on the network comes by here.
    let asked = 0;
    const proxy = createServer((socket) => (asked++, socket.destroy()));
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    await using model = await ScriptedModel.start(["only one"]);
    const { port } = proxy.address() as { port: number };
    const config = model.clientConfig({
      codexPath: await codexPath(version),
      env: { https_proxy: `http://127.0.0.1:${port}`, http_proxy: `http://127.0.0.1:${port}` },
    });
    await using codex = new RawCodex({ codexPath: "", ...config });
    await codex.initialize();
    const { thread } = await codex.request("thread/start", { cwd: "/", sandbox: "read-only" });
    assert.deepEqual(texts(await codex.turn(thread.id, "first")), ["only one"]);
    const { turn } = await codex.turn(thread.id, "second");
    assert.equal(turn.status, "failed");
    assert.match(turn.error.message, /1 turn\(s\).*request 2.*second.*add a turn/s);
    await codex[Symbol.asyncDispose]();
    await new Promise((resolve) => proxy.close(resolve));
    assert.equal(asked, 0, "codex asks nobody on the network");
  });
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
