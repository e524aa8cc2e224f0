/** Each decision about commands and file changes does what it says, on the real codex: nothing refused ever happens. */
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type ApprovalRequest, type testing, TurnInterruptedError } from "../../mod.ts";
import { exec, inPrompt } from "../../src/testing/model/script.ts";
import type { ApprovalDecision, ApprovalHandler } from "../../src/approvals/mod.ts";
import { CODEX_VERSIONS, type CodexVersion } from "../_codex.ts";
import { test, type TestContext } from "../_harness.ts";
import {
  addFile,
  latch,
  type Place,
  statuses,
  within,
  words,
  type World,
  world,
} from "./_safety_world.ts";

const TIMEOUT_MS = 800;

interface Subject {
  type: "command" | "fileChange";
  item: string;
  /** A step that makes a file when it is allowed to. */
  make(file: string): testing.ModelStep;
}

const SUBJECTS: Subject[] = [
  { type: "command", item: "commandExecution", make: (file) => exec(`touch ${file}`) },
  { type: "fileChange", item: "fileChange", make: (file) => addFile(file) },
];

/** A session whose questions get the answers, in this order. */
async function answering(
  w: World,
  ...answers: (ApprovalDecision | ApprovalHandler)[]
): Promise<Place & { asked: ApprovalRequest[] }> {
  const asked: ApprovalRequest[] = [];
  const place = await w.session({
    approvals: (request, context) => {
      asked.push(request);
      const answer = answers.shift() ?? { decision: "decline" };
      return typeof answer === "function" ? answer(request, context) : answer;
    },
  });
  return Object.assign(place, { asked });
}

async function decisions(t: TestContext, w: World, subject: Subject): Promise<void> {
  const { type, item, make } = subject;
  const step = (name: string, fn: () => Promise<void>) => t.step(`${type}: ${name}`, fn);

  await step("accept lets it happen, once", async () => {
    const place = await answering(w, { decision: "accept" });
    const result = await place.act(make("a"), make("b"));
    assert.deepEqual([place.has("a"), place.has("b")], [true, false]);
    assert.equal(place.asked.length, 2);
    assert.deepEqual(words(place), ["accept handler", "decline handler"]);
    assert.deepEqual(statuses(result, item), ["completed", "declined"]);
    assert.equal(result.assistantText, "done");
    const [request] = place.asked;
    assert.equal(request?.threadId, place.session.threadId);
    assert.equal(request?.turnId, result.turnId);
    const order = place.events.map((event) => event.type)
      .filter((event) => event.startsWith("approval"));
    const once = ["approvalRequested", "approvalResolved"];
    assert.deepEqual(order, [...once, ...once]);
  });

  await step("decline leaves everything alone, and the turn goes on", async () => {
    const place = await answering(w, { decision: "decline", reason: "not today" });
    const result = await place.act(make("no"));
    assert.equal(place.has("no"), false);
    assert.deepEqual(statuses(result, item), ["declined"]);
    assert.equal(result.assistantText, "done");
    assert.deepEqual(place.audits().map(({ reason }) => reason), ["not today"]);
  });

  await step("cancel leaves everything alone and interrupts the turn", async () => {
    const place = await answering(w, { decision: "cancel" });
    await assert.rejects(place.act(make("no")), TurnInterruptedError);
    assert.equal(place.has("no"), false);
    assert.deepEqual(words(place), ["cancel handler"]);
    // The session is as good as before.
    assert.equal((await place.act()).assistantText, "done");
  });

  await step("a handler that throws declines", async () => {
    const place = await answering(w, () => {
      throw new Error("broken");
    });
    const result = await place.act(make("no"));
    assert.equal(place.has("no"), false);
    assert.equal(result.assistantText, "done");
    assert.deepEqual(place.audits().map(({ reason }) => reason), ["handlerThrew"]);
  });

  await step("a handler that never answers declines when its time is up", async () => {
    const gone = latch();
    const place = await answering(w, (_, { signal }) => {
      signal.addEventListener("abort", () => gone.resolve());
      return new Promise(() => {});
    });
    const result = await place.act(make("no"));
    assert.equal(place.has("no"), false);
    assert.equal(result.assistantText, "done");
    const [audit] = place.audits();
    assert.deepEqual([audit?.decidedBy, audit?.reason], ["failClosed", "timeout"]);
    assert.ok(audit!.durationMs >= TIMEOUT_MS - 50, `${audit!.durationMs} ms`);
    await gone.promise;
  });

  await step("an interrupt while it is asked declines, and tells the handler", async () => {
    const asked = latch<AbortSignal>();
    const place = await answering(w, (_, { signal }) => {
      asked.resolve(signal);
      return new Promise(() => {});
    });
    const turn = place.act(make("no"));
    const rejected = assert.rejects(turn, TurnInterruptedError);
    const signal = await asked.promise;
    await place.session.interrupt();
    await rejected;
    assert.equal(signal.aborted, true);
    assert.deepEqual(place.audits().map(({ reason }) => reason), ["turnEnded"]);
    assert.deepEqual(w.client.approvals.pending(), []);
    assert.equal(place.has("no"), false);
    // An accept that comes too late changes nothing.
    assert.equal((await place.act()).assistantText, "done");
    assert.equal(place.has("no"), false);
  });
}

for (const version of CODEX_VERSIONS) {
  test(`decisions on codex ${version} do what they say`, async (t) => {
    await using w = await world(version, { approvalTimeoutMs: TIMEOUT_MS });
    for (const subject of SUBJECTS) await decisions(t, w, subject);

    await t.step(
      "a command that is accepted for the session is not asked about again",
      async () => {
        const place = await answering(w, { decision: "acceptForSession" });
        await place.act(exec("echo 1 >> log"), exec("echo 1 >> log"));
        await place.act(exec("echo 1 >> log"));
        assert.equal(place.asked.length, 1);
        assert.equal(await readFile(join(place.cwd, "log"), "utf8"), "1\n1\n1\n");
        await place.act(exec("echo 2 >> log"));
        assert.equal(place.asked.length, 2);
        assert.equal(await readFile(join(place.cwd, "log"), "utf8"), "1\n1\n1\n");
      },
    );

    await t.step("a file that is accepted for the session is not asked about again", async () => {
      const place = await answering(w, { decision: "acceptForSession" });
      const update = (from: string, to: string) =>
        `apply_patch <<'EOF'\n*** Begin Patch\n*** Update File: a.txt\n@@\n-${from}\n+${to}\n*** End Patch\nEOF`;
      await place.act(addFile("a.txt", "1"));
      await place.act(exec(update("1", "2")));
      assert.equal(place.asked.length, 1);
      assert.equal(await readFile(join(place.cwd, "a.txt"), "utf8"), "2\n");
      await place.act(addFile("b.txt"));
      assert.equal(place.asked.length, 2);
      assert.equal(place.has("b.txt"), false);
    });

    await t.step("a file change is shown as the diff of what would happen", async () => {
      const place = await answering(w);
      await writeFile(join(place.cwd, "old.txt"), "one\ntwo\n");
      await place.act(exec(
        "apply_patch <<'EOF'\n*** Begin Patch\n*** Update File: old.txt\n@@\n one\n-two\n+2\n" +
          "*** Add File: new.txt\n+fresh\n*** End Patch\nEOF",
      ));
      const [request] = place.asked;
      assert.ok(request?.type === "fileChange");
      const known = request.changes?.map(({ path, kind }) => [path, kind]).sort();
      assert.deepEqual(known, [
        [join(place.cwd, "new.txt"), "add"],
        [join(place.cwd, "old.txt"), "update"],
      ]);
      assert.match(request.diff!, /^-two\n\+2$/m);
      assert.match(request.diff!, /^\+fresh$/m);
      assert.equal(await readFile(join(place.cwd, "old.txt"), "utf8"), "one\ntwo\n");
    });

    await t.step("a command is shown as it is, without the shell around it", async () => {
      const place = await answering(w);
      await place.act(exec("git  push --all && touch 'a b'"));
      const [request] = place.asked;
      assert.ok(request?.type === "command");
      assert.equal(request.script, "git  push --all && touch 'a b'");
      assert.deepEqual(request.parsed?.commands, [["git", "push", "--all"], ["touch", "a b"]]);
      assert.equal(request.cwd, place.cwd);
    });
  });

  test(
    `twenty questions at once are each answered as decided on codex ${version}`,
    () => twentyAtOnce(version),
  );
}

async function twentyAtOnce(version: CodexVersion): Promise<void> {
  await using w = await world(version);
  const all = latch();
  const waiting: string[] = [];
  const places = await Promise.all(Array.from({ length: 10 }, () =>
    w.session({
      async approvals(request) {
        assert.ok(request.type === "command");
        waiting.push(request.id);
        if (waiting.length === 20) all.resolve();
        await all.promise;
        return { decision: request.script!.includes("yes") ? "accept" : "decline" };
      },
    })));
  const turns = places.map((place) =>
    place.session.ask(inPrompt([[exec("touch yes"), exec("touch no")], "done"]))
  );
  await within(30_000, "twenty questions", all.promise);
  for (const result of await Promise.all(turns)) assert.equal(result.assistantText, "done");
  assert.equal(new Set(waiting).size, 20);
  assert.deepEqual(places.map((place) => [place.has("yes"), place.has("no")]), [
    ...Array.from({ length: 10 }, () => [true, false]),
  ]);
  assert.deepEqual(w.client.approvals.pending(), []);
}
