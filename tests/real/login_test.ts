/** Logging in and out of the real codex, and a key that is for one process alone. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { inspect } from "node:util";
import {
  ConnectionClosedError,
  InvalidArgumentError,
  LoginError,
  UnsupportedError,
} from "../../src/errors/mod.ts";
import { JsonlFileSink } from "../../src/runtime/namespace.ts";
import { Client } from "../../src/session/namespace.ts";
import { Cassette, script } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS } from "../_codex.ts";
import { test } from "../_harness.ts";
import { inWorld, rejection, type World } from "./_session_world.ts";

// Put together, so that no program's text has the whole of it.
const KEY = ["sk", "proj", "only", "for", "this", "process", "4711"].join("-");
const encoded = (value: unknown) => btoa(JSON.stringify(value)).replace(/=+$/, "");
/** A token as OpenAI's server makes them, but for the signature. */
const token = (claims: object) => `${encoded({ alg: "none" })}.${encoded(claims)}.c2lnbmVk`;
const CHATGPT = "https://api.openai.com/auth";
/** A login by ChatGPT that is good for a long time. */
const STORED = {
  auth_mode: "chatgpt",
  OPENAI_API_KEY: null,
  tokens: {
    id_token: token({ email: "a@b.c", exp: 4e9, [CHATGPT]: { chatgpt_account_id: "acc" } }),
    access_token: token({ exp: 4e9 }),
    refresh_token: "only-for-the-user",
    account_id: "acc",
  },
  last_refresh: new Date().toISOString(),
};
const OWN_LOGIN = { configOverrides: { "model_providers.scripted.requires_openai_auth": true } };

/** The files below a directory that hold a text. */
function filesWith(root: string, text: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => {
      try {
        return readFileSync(path).includes(text);
      } catch (error) {
        // Locks and drafts of codex come and go meanwhile.
        if ((error as { code?: string }).code === "ENOENT") return false;
        throw error;
      }
    });
}

const homeOf = (world: World) => world.config().env!.set!["CODEX_HOME"]!;

/** What the system tells every user, or the commands of the agent, of the codex processes. */
function toldByProc(pids: number[]): string {
  const read = (pid: number, name: string) => readFileSync(`/proc/${pid}/${name}`, "latin1");
  return pids.map((pid) => read(pid, "cmdline") + read(pid, "environ")).join("\n");
}

for (const version of CODEX_VERSIONS) {
  test(`apiKey reaches the model's provider and nothing else [${version}]`, () =>
    inWorld(version, async (world) => {
      const home = homeOf(world);
      const auth = join(home, "auth.json");
      await mkdir(home, { recursive: true });
      await writeFile(auth, JSON.stringify(STORED));
      const out = join(world.cwd, "..", "out");
      await mkdir(out);
      const stderr: string[] = [];
      const recorder = Cassette.record({
        // Keys of other programs that lie about.
        ...world.config({
          ...OWN_LOGIN,
          env: { OPENAI_API_KEY: "sk-of-others-1", CODEX_API_KEY: "sk-of-others-2" },
        }),
        apiKey: KEY,
        onStderr: (text: string) => stderr.push(text),
      });
      const written: string[] = [];
      const client = await world.connect({
        ...recorder.clientConfig(),
        eventLog: [new JsonlFileSink(join(out, "log.jsonl")), {
          write: (envelope) => void written.push(JSON.stringify(envelope)),
        }],
      });
      const session = await client.startSession({ cwd: world.cwd });
      const prompt = world.prompt([[script.exec("env; cat /proc/$PPID/cmdline")], "done"]);
      const { items } = await session.ask(prompt);
      const request = world.model.requests.at(-1)!;
      assert.equal(request.headers["authorization"], `Bearer ${KEY}`);
      assert.equal((await client.account())?.type, "apiKey");
      assert.ok(items.some(({ type }) => type === "commandExecution"));
      assert.ok(!JSON.stringify(items).includes(KEY), "what the agent's commands see");
      assert.ok(!JSON.stringify(request.body).includes(KEY), "what the model is told");
      assert.ok(!toldByProc(world.running()).includes(KEY), "command lines and environments");
      assert.ok(!readFileSync(`/proc/${process.pid}/environ`, "latin1").includes(KEY));

      await session.release();
      assert.deepEqual(filesWith(home, KEY), []);

      // A failure says what to do, not what the key is, even where the provider repeats it (codex records its words).
      const refuse = () => script.httpError(401, { error: { message: `Bad key: ${KEY}` } });
      const error = await rejection(client.run(world.cwd, world.prompt(refuse)));
      assert.match(String(error), /refused/);
      assert.ok(!`${error} ${JSON.stringify(error)}`.includes(KEY), `${error}`);
      assert.ok(!inspect(client, { depth: Infinity, showHidden: true }).includes(KEY));
      const heard: string[] = [];
      const listening = (async () => {
        for await (const event of client.runtime.events({ after: 0 })) {
          heard.push(JSON.stringify(event));
        }
      })();
      await client.logout();
      assert.equal(await client.account(), null);
      await client.shutdown();
      await listening;
      for (const texts of [heard, written]) {
        assert.match(texts.join("\n"), /account\/login\/start.*"apiKey":"\[redacted\]"/);
        // What the provider repeats is as it came here; the sink of this library takes it out.
        const repeated = texts.filter((text) => text.includes(KEY));
        assert.deepEqual(repeated.filter((text) => !text.includes("Bad key")), []);
      }
      // Whoever may not use keys at all is told so, and no codex is left.
      const forced = { ...OWN_LOGIN.configOverrides, forced_login_method: "chatgpt" };
      const refused = await rejection(
        Client.connect({ ...world.config({ configOverrides: forced }), apiKey: KEY }),
      );
      assert.match(String(refused), /API key login is disabled/);
      assert.ok(!inspect(refused, { depth: Infinity, showHidden: true }).includes(KEY));
      assert.deepEqual(world.running(), []);
      await writeFile(join(out, "cassette.jsonl"), recorder.toString());
      await writeFile(join(out, "stderr"), stderr.join(""));
      assert.deepEqual(filesWith(join(world.cwd, ".."), KEY), []);
      assert.deepEqual(JSON.parse(await readFile(auth, "utf8")), STORED);
    }));

  test(`login() and logout() change the user's login, cancel() and others end one [${version}]`, () =>
    inWorld(version, async (world) => {
      const client = await world.connect({}, OWN_LOGIN);
      assert.equal(await client.account(), null);
      const stored = await client.login({ type: "apiKey", apiKey: KEY });
      assert.equal((await stored.done).type, "apiKey");
      await stored.cancel();
      assert.deepEqual(filesWith(homeOf(world), KEY).map((path) => path.split("/").at(-1)), [
        "auth.json",
      ]);
      await client.run(world.cwd, "Hello");
      assert.equal(world.model.requests.at(-1)!.headers["authorization"], `Bearer ${KEY}`);
      await client.logout();
      assert.equal(await client.account(), null);
      assert.deepEqual(filesWith(homeOf(world), KEY), []);

      const first = await client.login({ type: "chatgpt" });
      assert.match(first.verificationUrl!, /^https:\/\//);
      assert.equal(first.userCode, undefined);
      // There is one at a time: the next one takes its place.
      const second = await client.login({ type: "chatgpt" });
      assert.ok(await rejection(first.done) instanceof LoginError);
      await second.cancel();
      await second.cancel();
      const cancelled = await rejection(second.done);
      assert.ok(cancelled instanceof LoginError, `${cancelled}`);
      assert.match(cancelled.message, /cancelled/);

      const reason = new Error("enough");
      const stop = new AbortController();
      const third = await client.login({ type: "chatgpt" }, { signal: stop.signal });
      stop.abort(reason);
      assert.equal(await rejection(third.done), reason);
      const late = await client.login({ type: "chatgpt" }, { timeoutMs: 1 });
      assert.match(String(await rejection(late.done)), /Nobody finished the login within 1 ms/);

      if (version === "0.104.0") {
        const old = await rejection(client.login({ type: "deviceCode" }));
        assert.ok(old instanceof UnsupportedError, `${old}`);
      }
      // Codex takes them all, and sends no key then.
      for (const apiKey of ["", "sk one", `${KEY}\n`, "\0", "sk-\u00fc"]) {
        const wrong = await rejection(client.login({ type: "apiKey", apiKey }));
        assert.ok(wrong instanceof InvalidArgumentError, `${wrong}`);
        assert.ok(!wrong.message.includes(KEY), wrong.message);
      }

      const pending = await client.login({ type: "chatgpt" });
      process.kill(client.runtime.pid!, "SIGKILL");
      const lost = await rejection(pending.done);
      assert.ok(lost instanceof ConnectionClosedError, `${lost}`);
      assert.ok(
        await rejection(client.login({ type: "chatgpt" })) instanceof ConnectionClosedError,
      );
    }));
}

test("a key for one process is refused where it would be stored, and where it can't be one", () =>
  inWorld("0.169.0", async (world) => {
    const { configOverrides, ...config } = world.config();
    const stores = { ...configOverrides, cli_auth_credentials_store: "file" };
    // A connection of the caller's own making: its codex was started without the setting.
    const recorder = Cassette.record({ ...config, configOverrides: stores });
    const foreign = { ...recorder.clientConfig(), apiKey: KEY };
    assert.match(String(await rejection(Client.connect(foreign))), /was not given to this codex/);
    assert.deepEqual(filesWith(homeOf(world), KEY), []);
    for (const apiKey of ["", "sk one", "sk-\n", 7]) {
      const error = await rejection(Client.connect({ apiKey } as never));
      assert.ok(error instanceof InvalidArgumentError, `${error}`);
      assert.ok(apiKey === "" || !error.message.includes(String(apiKey)), error.message);
    }
    const attached = { transport: { type: "unix" as const, path: "/nowhere" }, apiKey: KEY };
    const ignored = await rejection(Client.connect(attached));
    assert.ok(ignored instanceof InvalidArgumentError, `${ignored}`);
    assert.ok(!ignored.message.includes(KEY));
    assert.deepEqual(world.running(), []);
  }));
