/** Documents that the real codex writes and edits. */
import assert from "node:assert/strict";
import { access, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { FileArtifactStore } from "../../src/artifact/store/file_store.ts";
import { ArtifactSessionManager } from "../../src/artifact/mod.ts";
import { revisionOf } from "../../src/artifact/edits.ts";
import {
  ArtifactConflictError,
  OutputValidationError,
  TurnFailedError,
} from "../../src/errors/mod.ts";
import { isJsonObject, type JsonValue } from "../../src/json.ts";
import { Client } from "../../src/session/client/client.ts";
import { type ModelRequest, type ModelTurn, script, ScriptedModel } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS, codexPath, type CodexVersion } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { makeUsed } from "../_used_home.ts";

/** A codex with a model that answers by a function. */
interface Stage {
  cwd: string;
  home: string;
  model: ScriptedModel;
  store: FileArtifactStore;
  /** What the model does next. */
  answer: (request: ModelRequest) => ModelTurn | Promise<ModelTurn>;
  connect(): Promise<Client>;
  manager(client: Client): ArtifactSessionManager;
}

async function onStage(version: CodexVersion, act: (stage: Stage) => Promise<void>): Promise<void> {
  const directory = await tempDir("artifact-");
  const stage: { answer: Stage["answer"] } = { answer: () => "not scripted" };
  const model = await ScriptedModel.start((request) => stage.answer(request));
  try {
    const home = join(directory.path, "home");
    const cwd = join(directory.path, "work");
    await Promise.all([makeUsed(home, version), mkdir(cwd)]);
    const config = model.clientConfig({ codexPath: await codexPath(version), home });
    const store = new FileArtifactStore(join(cwd, "store"));
    await act(Object.assign(stage, {
      cwd,
      home,
      model,
      store,
      connect: () => Client.connect(config),
      manager: (client: Client) => new ArtifactSessionManager(client, { cwd, store }),
    }));
  } finally {
    await model.close();
    await directory[Symbol.asyncDispose]();
  }
}

function shown(request: ModelRequest): { revision: string; text: string } {
  return {
    revision: /^REVISION: (.*)$/m.exec(request.text)?.[1] ?? "",
    text: /CURRENT_TEXT_BEGIN\n([\s\S]*)CURRENT_TEXT_END$/.exec(request.text)?.[1] ?? "",
  };
}

function document(text: string): string {
  return JSON.stringify({ format: "markdown", title: "Guide", text });
}

function edit(
  request: ModelRequest,
  startLine: number,
  endLine: number,
  replacement: string,
): string {
  return JSON.stringify({
    format: "markdown",
    expectedRevision: shown(request).revision,
    edits: [{ startLine, endLine, replacement }],
    notes: "as asked",
  });
}

const GENERATE = { type: "docGenerate", artifactId: "guide", userGoal: "Write a guide" } as const;
const EDIT = { type: "docEdit", artifactId: "guide", userGoal: "Add a line" } as const;
const ASK = { type: "passthrough", artifactId: "guide", userGoal: "How long is it?" } as const;

for (const version of CODEX_VERSIONS) {
  test(`codex ${version} writes a document, edits it, and goes on after a restart`, () =>
    onStage(version, async (stage) => {
      const first = await stage.connect();
      let threadId: string;
      try {
        const manager = stage.manager(first);
        stage.answer = () => document("# Guide\r\n\r\nFirst line");
        const written = await manager.runTask(GENERATE);
        threadId = written.turn.threadId;
        assert.deepEqual([written.title, written.text], ["Guide", "# Guide\r\n\r\nFirst line"]);

        stage.answer = (request) => edit(request, 4, 4, "Second line\n");
        const edited = await manager.runTask(EDIT);
        assert.equal(edited.text, "# Guide\r\n\r\nFirst line\r\nSecond line");
        assert.equal(edited.turn.threadId, threadId);
        await manager.close();
      } finally {
        await first.shutdown();
      }

      const later = await stage.connect();
      try {
        const manager = stage.manager(later);
        const open = await manager.open("guide");
        assert.deepEqual([open.threadId, open.meta.title], [threadId, "Guide"]);
        stage.answer = (request) => `${shown(request).text.trimEnd().split("\n").length} lines`;
        const asked = await manager.runTask(ASK);
        assert.deepEqual([asked.output, asked.turn.threadId], ["4 lines", threadId]);
        const history = JSON.stringify(stage.model.requests.at(-1)!.body["input"]);
        assert.ok(history.includes("Write a guide"), "the thread remembers the first task");
        await manager.close();
      } finally {
        await later.shutdown();
      }

      for (const request of stage.model.requests) {
        const { revision, text } = shown(request);
        const exact = await revisionOf(text);
        const withoutNewline = await revisionOf(text.slice(0, -1));
        assert.ok(
          revision === exact || revision === withoutNewline,
          "text and revision belong together",
        );
      }
      const formats = stage.model.requests.map((r) => field(r.body["text"], "format"));
      assert.deepEqual(formats.map((f) => field(f, "strict") ?? null), [true, true, null]);
      assert.ok(JSON.stringify(formats[1]).includes("expectedRevision"));
    }));

  test(`codex ${version}: a document that changed during the turn is kept, or asked about again`, () =>
    onStage(version, async (stage) => {
      const client = await stage.connect();
      try {
        const manager = stage.manager(client);
        stage.answer = () => document("one\n");
        await manager.runTask(GENERATE);
        let humans = 0;
        stage.answer = async (request) => {
          const { revision, text } = shown(request);
          if (humans < 2) {
            await stage.store.save("guide", {
              text: `human ${++humans}\n${text}`,
              expectedRevision: revision,
            });
          }
          return edit(request, 1, 1, "model\n");
        };
        const before = await revisionOf("one\n");
        const after = await revisionOf("human 1\none\n");
        await assert.rejects(
          manager.runTask(EDIT),
          (error) =>
            error instanceof ArtifactConflictError && error.expectedRevision === before &&
            error.actualRevision === after,
        );
        const done = await manager.runTask({ ...EDIT, conflictRetries: 1 });
        assert.deepEqual([done.text, done.attempts], ["model\nhuman 2\nhuman 1\none\n", 2]);
        assert.equal((await stage.store.load("guide"))?.text, done.text);
        await manager.close();
      } finally {
        await client.shutdown();
      }
    }));

  test(`codex ${version}: what is no fit answer stores nothing, and the agent can't write files`, () =>
    onStage(version, async (stage) => {
      const client = await stage.connect();
      try {
        const manager = stage.manager(client);
        let turn: ModelTurn[] = [script.exec("echo stolen > stolen.txt"), document("one\n")];
        stage.answer = () => turn.shift() ?? "nothing more";
        await manager.runTask(GENERATE);
        await assert.rejects(access(join(stage.cwd, "stolen.txt")));

        turn = ["I'd rather not."];
        await assert.rejects(manager.runTask(EDIT), OutputValidationError);
        stage.answer = (request) => edit(request, 1, 99, "x");
        await assert.rejects(
          manager.runTask(EDIT),
          (error) =>
            error instanceof OutputValidationError &&
            error.issues[0]?.path === "$.edits[0].endLine",
        );
        stage.answer = () => script.httpError(400, "no");
        await assert.rejects(manager.runTask(EDIT), TurnFailedError);
        assert.equal((await stage.store.load("guide"))?.text, "one\n");

        // The thread is none the worse for it.
        stage.answer = (request) => edit(request, 2, 2, "two");
        assert.equal((await manager.runTask(EDIT)).text, "one\ntwo\n");
        await manager.close();
      } finally {
        await client.shutdown();
      }
    }));

  test(`codex ${version}: an aborted task interrupts the turn and stores nothing`, () =>
    onStage(version, async (stage) => {
      const client = await stage.connect();
      try {
        const manager = stage.manager(client);
        const stop = new AbortController();
        const reason = new Error("changed my mind");
        stage.answer = () => {
          stop.abort(reason);
          return [{ type: "hang" }];
        };
        await assert.rejects(manager.runTask(GENERATE, { signal: stop.signal }), reason);
        assert.equal((await stage.store.load("guide"))?.text, "");
        stage.answer = () => document("two\n");
        assert.equal((await manager.runTask(GENERATE)).text, "two\n");
        await manager.close();
      } finally {
        await client.shutdown();
      }
    }));

  test(
    `codex ${version}: two programs work on a document at once, and after its thread was damaged`,
    () =>
      onStage(version, async (stage) => {
        const clients = await Promise.all([stage.connect(), stage.connect()]);
        const [first, second] = clients as [Client, Client];
        try {
          const [a, b] = [stage.manager(first), stage.manager(second)];
          stage.answer = () => document("version 0\n");
          await a.runTask(GENERATE);
          let version = 0;
          const work = async (manager: ArtifactSessionManager): Promise<string> => {
            const text = `version ${++version}\n`;
            stage.answer = (request) => {
              assert.match(shown(request).text, new RegExp(`^version ${version - 1}\n`));
              return edit(request, 1, 2, text);
            };
            const done = await manager.runTask(EDIT);
            assert.equal(done.text, text);
            return done.turn.threadId;
          };
          // The first program's codex still has the thread open.
          await work(b);
          await work(a);
          await work(b);
          await Promise.all([a.close(), b.close()]);
          // Let go of, and the first codex may still keep it.
          const late = stage.manager(second);
          const threadId = await work(late);
          await late.close();
          await Promise.all(clients.map((client) => client.shutdown()));
          const rollout = (await readdir(stage.home, { recursive: true })).find((path) =>
            path.includes(threadId) && path.endsWith(".jsonl")
          );
          await writeFile(join(stage.home, rollout!), "");
          const third = await stage.connect();
          clients.push(third);
          const after = stage.manager(third);
          assert.notEqual(await work(after), threadId);
          await after.close();
        } finally {
          await Promise.all(clients.map((client) => client.shutdown()));
        }
      }),
  );
}

function field(value: JsonValue | undefined, name: string): JsonValue | undefined {
  return isJsonObject(value) ? value[name] : undefined;
}
