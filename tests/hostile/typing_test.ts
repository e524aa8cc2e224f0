/**
 * "So that the hooks see every command": codex asks about a program when it starts, and never about what the agent types into
 * it in the same turn. What was judged is what runs only where nothing can be typed.
 */
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { join } from "node:path";
import { PolicyError, testing } from "../../mod.ts";
import { codexes } from "../_codex.ts";
import { test } from "../_harness.ts";
import { seen } from "../_limit.ts";
import { type Place, warnings, words, type World, world } from "../real/_safety_world.ts";

const { customToolCall, exec, inPrompt, toolCall } = testing.script;
const NAMESPACE = "multi_agent_v1";

/** A model that starts a shell at a terminal and types into it, itself or by an agent of its own. */
function typist({ text, toolOutputs }: testing.ModelRequest): testing.ModelTurn {
  const [first, second] = toolOutputs;
  if (text === "delegate") {
    if (first === undefined) {
      return toolCall("spawn_agent", { message: "type" }, { namespace: NAMESPACE });
    }
    const id = /"agent_id":"([^"]+)"/.exec(first.text)?.[1];
    if (id === undefined || second !== undefined) return "done";
    const wait = { targets: [id], timeout_ms: 60_000 };
    return toolCall("wait_agent", wait, { namespace: NAMESPACE });
  }
  if (text !== "type") return "done";
  const shell = { cmd: "sh", tty: true, yield_time_ms: 500, login: false };
  if (first === undefined) return toolCall("exec_command", shell);
  const session = toolOutputs.flatMap(({ text }) => /session ID (\d+)/.exec(text)?.[1] ?? [])[0];
  // Where it is offered no terminal it tries without, and types all the same.
  if (second === undefined && session === undefined) return exec("sh");
  if (toolOutputs.length > 2) return "done";
  const line = { chars: "touch typed\n", yield_time_ms: 1_000 };
  return toolCall("write_stdin", { session_id: Number(session ?? 1), ...line });
}

async function typed(place: Place, prompt: string): Promise<boolean> {
  place.events = [];
  await place.session.ask(prompt, {
    timeoutMs: 60_000,
    onEvent: (event) => place.events.push(event),
  });
  return place.has("typed");
}

for (const version of codexes("0.169.0", "0.145.0", "0.125.0", "0.104.0")) {
  test(`an accepted program gets no orders that nobody saw, codex ${version}`, async (t) => {
    const w: World = await world(version, {
      script: typist,
      flags: { "features.multi_agent": true },
    });
    await using _ = w;
    const accept = () => ({ decision: "accept" as const });

    await t.step("of the agent", async () => {
      const place = await w.session({ approvals: accept });
      assert.equal(await typed(place, "type"), false);
      assert.ok(words(place).includes("accept handler"), words(place).join());
      assert.deepEqual(warnings(place).filter((text) => /types into|not confirmed/.test(text)), []);
    });
    await t.step("nor of an agent that it starts", async () => {
      // Older codex has no such agents, or others.
      if (version < "0.14") return;
      const place = await w.session({ approvals: accept });
      assert.equal(await typed(place, "delegate"), false);
      assert.ok(words(place).includes("accept handler"), words(place).join());
    });
    await t.step("where nobody is asked it may type, and later guards are told so", async () => {
      const place = await w.session({ approvalPolicy: "never" });
      assert.equal(await typed(place, "type"), true);
      await place.session.ask("x", {
        onEvent: (event) => place.events.push(event),
        hooks: {
          pre: [{ name: "h", phases: ["preToolUse"], call: () => ({ type: "continue" }) }],
        },
      });
      assert.equal(warnings(place).filter((text) => /types into/.test(text)).length, 1);
    });
  });
}

for (const version of codexes("0.169.0", "0.145.0", "0.150.0", "0.104.0")) {
  test(`what a prompt left running takes no orders from one that may do less, codex ${version}`, async () => {
    await using w = await world(version);
    const wide = { sandbox: "workspace-write", approvalPolicy: "never" } as const;
    const place = await w.session({ approvalPolicy: "never", sandbox: "read-only" });
    const shell = { cmd: "sh", tty: true, yield_time_ms: 500, login: false };
    const begin = () =>
      place.session.ask(inPrompt([toolCall("exec_command", shell), "begun"]), wide);
    const running = () =>
      Number(/session ID (\d+)/.exec(w.model.requests.at(-1)?.toolOutputs.at(-1)?.text ?? "")?.[1]);
    const type = (id: number, name: string) =>
      inPrompt([
        toolCall("write_stdin", { session_id: id, chars: `touch ${name}\n`, yield_time_ms: 1_000 }),
        "typed",
      ]);

    // 0.104 ends what an interrupted turn has begun.
    const stopped = new AbortController();
    const asleep = exec("touch sleeping; sleep 71", { yield_time_ms: 30_000 });
    const sleep = inPrompt([toolCall("exec_command", shell), asleep, "slept"]);
    const slept = assert.rejects(
      place.session.ask(sleep, { ...wide, signal: stopped.signal }),
      (reason) => reason === "enough",
    );
    await seen("the sleep", place.cwd, () => Promise.resolve(place.has("sleeping")));
    stopped.abort("enough");
    await slept;
    assert.ok(running() > 0, "no terminal");
    await place.session.ask(type(running(), "cut"));
    assert.equal(place.has("cut"), false);

    // What one that could do less has left is no more than any other may do.
    await place.session.ask(inPrompt([toolCall("exec_command", shell), "begun"]));
    await place.session.ask("wide", wide);
    await place.session.ask("less again");

    await begin();
    const id = running();
    assert.ok(id > 0, "no terminal");
    if (version === "0.104.0") {
      // Nothing ends it there but the end of its thread.
      await place.session.compact();
      await assert.rejects(place.session.ask(type(id, "less")), PolicyError);
      await place.session.ask("more", wide);
      await assert.rejects(place.session.ask(type(id, "less")), PolicyError);
    } else await place.session.ask(type(id, "less"));
    await begin();
    const last = running();
    await place.session.ask(type(last, "same"), wide);
    // It was not the prompt just before this one that has left it.
    const later = place.session.ask(type(last, "later"));
    if (version === "0.104.0") await assert.rejects(later, PolicyError);
    else await later;
    assert.equal(place.has("less"), false);
    assert.equal(place.has("same"), true);
    assert.equal(place.has("later"), false);
    if (version === "0.104.0") return;

    // The script of a model that calls tools in code ends with its turn where that is stopped.
    const model = "gpt-5.6-sol";
    const loop = `for (;;) {
  await tools.exec_command({ cmd: "echo x >> script" }).catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, 10));
}`;
    const written = () => statSync(join(place.cwd, "script")).size;
    const work = ["1", "2", "3"].map((word) => exec(`echo ${word}`));
    const cut = new AbortController();
    const asked = { ...wide, model, signal: cut.signal };
    const cutOff = assert.rejects(
      place.session.ask(inPrompt([customToolCall("exec", loop), "never"]), asked),
      (reason) => reason === "cut",
    );
    await seen("the script", place.cwd, () => Promise.resolve(place.has("script")));
    cut.abort("cut");
    await cutOff;
    await place.session.ask("what was done?", { ...wide, model });
    const untilCut = written();
    await place.session.ask(inPrompt([...work, "worked"]), { ...wide, model });
    assert.equal(written(), untilCut);
    if (version !== "0.169.0") return;

    // Where its turn has ended by itself it goes on with the next one, as a part of that, in the sandbox of its own.
    const code = customToolCall("exec", `yield_control();\n${loop}`);
    await place.session.ask(inPrompt([code, "begun"]), { ...wide, model });
    const worked = await place.session.ask(inPrompt([...work, "worked"]), { ...wide, model });
    assert.ok(written() > untilCut + 2, "no script");
    const commands = worked.items.filter(({ type }) => type === "commandExecution");
    assert.ok(commands.length > work.length, `${commands.length} commands`);
    // What it was just doing may end now, and is the last.
    await place.session.ask("less", { model });
    const before = written();
    await place.session.ask(inPrompt([...work, "worked"]), { model });
    assert.equal(written(), before);
    assert.equal(
      (await place.session.ask("more", { ...wide, model })).assistantText,
      "You said: more",
    );
  });
}
