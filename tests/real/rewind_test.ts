/** A session takes back turns, files and conversation together, on the real codex. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import {
  CheckpointError,
  CodexError,
  InvalidArgumentError,
  UnsupportedError,
} from "../../src/errors/mod.ts";
import { script } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS, codexes } from "../_codex.ts";
import { test } from "../_harness.ts";
import { inWorld, rejection, type World } from "./_session_world.ts";

const PROFILE = {
  sandbox: "workspace-write",
  allowPrivilegedEscalation: true,
  checkpoints: true,
} as const;

/** The prompts that the model was shown last. */
function heard(world: World): string[] {
  const { userTexts } = world.model.requests.at(-1)!;
  return userTexts.filter((text) => !text.startsWith("<") && !text.startsWith("# AGENTS"));
}

function sh(world: World, command: string, words: string): string {
  return world.prompt([[script.exec(command)], "done"], words);
}

for (const version of codexes("0.169.0", "0.152.1", "0.145.0", "0.104.0")) {
  test(`rewind() takes back files and conversation of the last turns [${version}]`, () =>
    inWorld(version, async (world) => {
      const { cwd } = world;
      const file = (name: string) => join(cwd, name);
      writeFileSync(file("a.txt"), "a0");
      writeFileSync(file("gone.txt"), "gone");
      const client = await world.connect();
      const session = await client.startSession({ cwd, ...PROFILE });
      const one = await session.ask(sh(world, "printf a1 > a.txt", "one"));
      const two = await session.ask(
        sh(world, "printf a2 > a.txt; rm gone.txt; mkdir d; printf n > d/new.txt", "two"),
      );
      const three = await session.ask(sh(world, "printf a3 > a.txt; chmod 600 a.txt", "three"));
      assert.equal(readFileSync(file("a.txt"), "utf8"), "a3");
      const used = session.usage.totalTokens;

      const plan = await session.rewind({ before: two.turnId, dryRun: true });
      assert.deepEqual(plan, {
        files: [
          { path: "a.txt", change: "restore" },
          { path: "d/", change: "delete" },
          { path: "d/new.txt", change: "delete" },
          { path: "gone.txt", change: "create" },
        ],
        turns: [two.turnId, three.turnId],
        skipped: [],
      });
      assert.equal(readFileSync(file("a.txt"), "utf8"), "a3", "a dry run does nothing");
      assert.deepEqual(await session.rewind({ before: two.turnId }), plan);
      assert.equal(readFileSync(file("a.txt"), "utf8"), "a1");
      assert.equal(readFileSync(file("gone.txt"), "utf8"), "gone");
      assert.deepEqual(readdirSync(cwd).sort(), ["a.txt", "gone.txt"]);
      assert.equal(session.usage.totalTokens, used, "what was used was used");
      assert.equal(session.context, null);
      const turns = () =>
        client.runtime.state().threads[session.threadId]!.turns.map(({ id }) => id);
      assert.deepEqual(turns(), [one.turnId]);

      const four = await session.ask(sh(world, "cat a.txt > seen.txt", "four"));
      assert.deepEqual(heard(world).map((text) => text.split(" ")[0]), ["one", "four"]);
      assert.equal(readFileSync(file("seen.txt"), "utf8"), "a1");
      assert.equal(four.usage!.totalTokens, session.usage.totalTokens - used);
      assert.deepEqual(turns(), [one.turnId, four.turnId]);
      const record = await client.readThread(session.threadId, { includeTurns: true });
      assert.deepEqual(record.turns!.map(({ turnId }) => turnId), [one.turnId, four.turnId]);

      // One of both alone; and back to the very beginning, in a session that took the thread up again.
      await session.rewind({ before: four.turnId, files: false });
      assert.equal(existsSync(file("seen.txt")), true);
      await session.release();
      const again = await client.resumeSession(session.threadId, { cwd, ...PROFILE });
      const back = await again.rewind({ before: one.turnId });
      assert.deepEqual(back.turns, [one.turnId]);
      assert.equal(readFileSync(file("a.txt"), "utf8"), "a0");
      assert.deepEqual(readdirSync(cwd).sort(), ["a.txt", "gone.txt"]);
      await again.ask("five");
      assert.deepEqual(heard(world), ["five"]);

      // What a command that runs on writes meanwhile: it is ended, and dead, before anything is taken back.
      writeFileSync(file("a.txt"), "a5");
      const loop = script.exec("while true; do echo on >> a.txt; echo > b$RANDOM; rm b*; done", {
        yield_time_ms: 250,
      });
      const left = await again.ask(world.prompt([[loop], "It runs on."], "six"));
      await again.ask("seven");
      assert.notDeepEqual(world.commands("while true"), [], "runs on");
      const beside = await again.rewind({ before: left.turnId });
      assert.deepEqual(world.commands("while true"), []);
      assert.deepEqual([beside.turns.length, beside.skipped], [2, []]);
      assert.equal(readFileSync(file("a.txt"), "utf8"), "a5");
      // Codex leaves its sandbox's own place behind.
      const stays = readdirSync(cwd).filter((name) => name !== ".git");
      assert.deepEqual(stays.sort(), ["a.txt", "gone.txt"]);

      const unknown = await rejection(again.rewind({ before: crypto.randomUUID() }));
      assert.ok(unknown instanceof InvalidArgumentError, `${unknown}`);
    }));
}

for (const version of CODEX_VERSIONS) {
  test(`files are taken back also when the conversation was before [${version}]`, () =>
    inWorld(version, async (world) => {
      const { cwd } = world;
      const session = await (await world.connect()).startSession({ cwd, ...PROFILE });
      await session.ask("hello");
      const { turnId } = await session.ask(sh(world, "printf 1 > a.txt; printf 2 > b.txt", "one"));
      // What a full disk had in the way.
      const { turns } = await session.rewind({ before: turnId, files: false });
      assert.deepEqual(turns, [turnId]);
      await session.ask(sh(world, "printf 3 > b.txt", "two"));
      const again = { before: turnId, conversation: false };
      const planned = await session.rewind({ ...again, dryRun: true });
      assert.deepEqual(planned.files.map(({ path }) => path), ["a.txt", "b.txt"]);
      assert.deepEqual((await session.rewind(again)).turns, []);
      assert.deepEqual(readdirSync(cwd).filter((name) => /txt/.test(name)), []);
      assert.ok(await rejection(session.rewind({ before: turnId })) instanceof CodexError);
      const nothing = await rejection(session.rewind({ ...again, before: "none" }));
      assert.ok(nothing instanceof CheckpointError, `${nothing}`);
    }));
}

test("rewind() is refused while a turn runs, and where there is nothing to go by", () =>
  inWorld("0.169.0", async (world) => {
    const { cwd } = world;
    const client = await world.connect();
    const session = await client.startSession({
      cwd,
      ...PROFILE,
      config: { "features.multi_agent": true },
    });
    const other = await client.startSession({ cwd: join(cwd, ".."), ...PROFILE });
    const { turnId } = await session.ask(sh(world, "printf 1 > a.txt", "one"));
    for (const busy of [session, other]) {
      world.hold = true;
      const running = await busy.askStream("wait");
      const error = await rejection(session.rewind({ before: turnId }));
      assert.ok(error instanceof CheckpointError, `${error}`);
      assert.equal(error.data?.["reason"], "inUse");
      await running.interrupt();
      await rejection(running.finish());
      world.hold = false;
    }
    await session.rewind({ before: turnId });
    assert.deepEqual(readdirSync(cwd), []);

    // One that its caller has just given up is waited for.
    const given = new AbortController();
    let cut = "";
    const hang = () => {
      queueMicrotask(() => given.abort());
      return [script.hang()];
    };
    await rejection(session.ask(world.prompt(hang), {
      signal: given.signal,
      onEvent: (event) => event.type === "turnStarted" && (cut = event.turnId),
    }));
    assert.deepEqual((await session.rewind({ before: cut })).turns, [cut]);

    // It is refused while an agent works that a turn has left behind, and it has no end of its own.
    const message = world.prompt([[script.exec("sleep 1000")], "x"], "child");
    const spawn = script.toolCall("spawn_agent", { message }, { namespace: "multi_agent_v1" });
    const parent = await session.ask(world.prompt([[spawn], "started"]));
    assert.equal(parent.assistantText, "started");
    const agentBusy = await rejection(session.rewind({ before: parent.turnId }));
    assert.equal((agentBusy as CheckpointError).data?.["reason"], "inUse", `${agentBusy}`);
    await session.interrupt();
    await session.rewind({ before: parent.turnId });

    // A program that a command has detached from everything goes on to write: it is named.
    const free = await client.startSession({
      cwd,
      ...PROFILE,
      sandbox: "danger-full-access",
      dangerouslyAllowUnattendedFullAccess: true,
    });
    const detach = script.exec(
      // Until it has a session of its own, codex ends it with the command.
      "setsid sh -c 'echo $$ > ../pid; exec sleep 1000' > /dev/null 2>&1 & until [ -s ../pid ]; do sleep 0.01; done",
    );
    const { turnId: detached } = await free.ask(world.prompt([[detach], "done"]));
    const runsOn = await rejection(free.rewind({ before: detached }));
    assert.ok(runsOn instanceof CheckpointError, `${runsOn}`);
    const pid = Number(readFileSync(join(cwd, "..", "pid"), "utf8"));
    assert.deepEqual(runsOn.data?.["pids"], [pid]);
    assert.match(runsOn.message, new RegExp(`pid ${pid}\\b`));
    process.kill(pid, "SIGKILL");
    await free.rewind({ before: detached });

    const plain = await client.startSession({ cwd });
    const said = await plain.ask("hello");
    assert.ok(
      await rejection(plain.rewind({ before: said.turnId })) instanceof InvalidArgumentError,
    );
    await plain.rewind({ before: said.turnId, files: false });

    // A session that may only read needs no records, and has nothing to take back.
    const reader = await client.startSession({ cwd, checkpoints: true });
    const read = await reader.ask("hello");
    const plan = await reader.rewind({ before: read.turnId });
    assert.deepEqual(plan, { files: [], turns: [read.turnId], skipped: [] });

    const short = await client.startSession({ cwd, ...PROFILE, ephemeral: true });
    const once = await short.ask(sh(world, "printf 1 > b.txt", "once"));
    const refused = await rejection(short.rewind({ before: once.turnId }));
    assert.ok(refused instanceof InvalidArgumentError || refused instanceof UnsupportedError);
    await short.rewind({ before: once.turnId, conversation: false });
    // What codex mounts over for a sandboxed command stays there, empty, when that is ended in the middle.
    const left = readdirSync(cwd).filter((name) => !/^\.(?:agents|aws|codex|git)$/.test(name));
    assert.deepEqual(left, []);

    // What could not take effect is told at the door: codex's home where the agent could change what is kept.
    const { codexHome } = client.server;
    const reach = await rejection(
      client.startSession({
        cwd: codexHome!,
        ...PROFILE,
        dangerouslyAllowUnattendedFullAccess: true,
      }),
    );
    assert.ok(reach instanceof InvalidArgumentError, `${reach}`);
    assert.equal(reach.argument, "checkpoints");
  }));

test("the turns of a goal and a review are recorded before they can write", () =>
  inWorld("0.169.0", async (world) => {
    const { cwd } = world;
    const client = await world.connect();
    const session = await client.startSession({ cwd, ...PROFILE });
    await session.ask(sh(world, "printf 0 > a.txt", "first"));
    const rounds = [
      [script.exec("printf 1 > a.txt")],
      "One is made.",
      [script.exec("printf 2 > a.txt")],
      [script.toolCall("update_goal", { status: "complete" })],
    ];
    const objective = world.prompt((_, round) => rounds[round] ?? "Reached.", "Reach it.");
    const goal = await session.startGoal(objective);
    const { turns } = await goal.finish();
    assert.equal(readFileSync(join(cwd, "a.txt"), "utf8"), "2");
    // The first one is recorded before it begins. A later one may have written before it is heard of: what it was recorded as
    // counts only when nothing has changed since, and here something has, within the same second.
    const later = turns[1]!.turnId;
    const plan = await session.rewind({ before: later, dryRun: true }).catch((error) => error);
    if (plan instanceof CheckpointError) assert.equal(plan.data?.["reason"], "noCheckpoint");
    else assert.deepEqual(plan.files, [{ path: "a.txt", change: "restore" }]);
    await session.rewind({ before: turns[0]!.turnId });
    assert.equal(readFileSync(join(cwd, "a.txt"), "utf8"), "0");
    await session.ask("next");
    assert.deepEqual(heard(world).map((text) => text.split(" ")[0]), ["first", "next"]);
    const { turnId } = await session.review({ type: "custom", instructions: "Look" });
    await session.compact();
    // Codex goes back to no review; the files do.
    const refused = await rejection(session.rewind({ before: turnId }));
    assert.equal((refused as CheckpointError).data?.["reason"], "noBoundary");
    const back = await session.rewind({ before: turnId, conversation: false });
    assert.deepEqual(back, { files: [], turns: [], skipped: [] });
    await session.ask("more");
    assert.equal(heard(world).at(-1), "more");
  }));

test("turns that write in a session that may only read are taken back, and no other hides them", () =>
  inWorld("0.169.0", async (world) => {
    const { cwd } = world;
    const client = await world.connect();
    const session = await client.startSession({ cwd, ...PROFILE, sandbox: "read-only" });
    const { sandbox } = PROFILE;
    const first = await session.ask("first");
    const review = (name: string, options: { sandbox?: typeof sandbox } = {}) => {
      const instructions = sh(world, `touch ${name}`, "Look.");
      return session.review({ type: "custom", instructions }, options);
    };
    const files = async (before: string) =>
      (await session.rewind({ before, conversation: false })).files;
    await review("none");
    assert.deepEqual(await files(first.turnId), []);
    const { turnId } = await review("one", { sandbox });
    assert.deepEqual(readdirSync(cwd), ["one"]);
    assert.deepEqual(await files(turnId), [{ path: "one", change: "delete" }]);
    assert.deepEqual(readdirSync(cwd), []);

    // One that something else begins has the sandbox of the last prompt.
    await session.ask("second", { sandbox });
    const { threadId } = session;
    const input = [{ type: "text", text: sh(world, "touch two", "Go."), text_elements: [] }];
    const consent = { dangerouslyAllowUnattendedFullAccess: true };
    const next = session.nextTurn();
    await client.runtime.request("turn/start", { threadId, input }, consent);
    await (await next).finish();
    assert.deepEqual(readdirSync(cwd), ["two"]);
    const told = await files((await next).turnId).catch((error) => error);
    if (told instanceof CheckpointError) assert.equal(told.data?.["reason"], "noCheckpoint");
    else assert.deepEqual(told, [{ path: "two", change: "delete" }]);

    // What its tools write is the session's as well.
    rmSync(join(cwd, "two"), { force: true });
    const run = () => writeFileSync(join(cwd, "three"), "");
    const tools = { put: { description: "Puts.", inputSchema: { type: "object" }, run } };
    const helped = await client.startSession({ cwd, checkpoints: true, tools });
    const third = await helped.ask(world.prompt([[script.toolCall("put", {})], "done"]));
    const back = await helped.rewind({ before: third.turnId });
    assert.deepEqual(back.files, [{ path: "three", change: "delete" }]);

    // No sandbox holds what its MCP servers write either.
    const mcpServers = { other: { command: join(cwd, "no-such-program") } };
    const served = await client.startSession({
      cwd,
      checkpoints: true,
      mcpServers,
      allowPrivilegedEscalation: true,
    });
    const fourth = await served.ask("fourth", {
      onEvent: ({ type }) => type === "turnStarted" && run(),
    });
    assert.deepEqual((await served.rewind({ before: fourth.turnId })).files, back.files);
  }));

test("a turn whose workspace can't be recorded is not started", () =>
  inWorld("0.104.0", async (world) => {
    const { cwd } = world;
    const client = await world.connect();
    const session = await client.startSession({ cwd, ...PROFILE });
    const home = join(world.config().env!.set!["CODEX_HOME"]!, "checkpoints");
    const [folder] = readdirSync(home);
    // The place of the contents is taken by a file.
    const objects = join(home, folder!, "objects");
    rmSync(objects, { recursive: true });
    writeFileSync(objects, "");
    writeFileSync(join(cwd, "a.txt"), "a");
    const error = await rejection(session.ask("hello"));
    assert.ok(error instanceof CheckpointError, `${error}`);
    assert.equal(world.model.requests.length, 0);
    rmSync(objects);
    mkdirSync(objects);
    await session.ask("hello");
    await session.close();
    // Whoever goes on with the thread finds what the turn began with.
    const turns = readdirSync(join(home, folder!, "turns"));
    assert.deepEqual([turns.length, existsSync(join(home, folder!, "lock"))], [1, false]);
  }));
