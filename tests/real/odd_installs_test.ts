/** Installations and days that are not as they should be: what works all the same, and what the errors say. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFile, mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { ConnectionClosedError, RequestTimeoutError, SpawnError } from "../../src/errors/mod.ts";
import type { RuntimeConfig } from "../../src/runtime/config.ts";
import { diagnose, Runtime } from "../../src/runtime/namespace.ts";
import { Client } from "../../src/session/client/client.ts";
import { ScriptedModel } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS, codexLauncherPath, codexPath, NEWEST_CODEX } from "../_codex.ts";
import { onDeno, test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { listen } from "./websocket_world.ts";

/** A program in `directory` that is started as codex. */
async function program(directory: string, text: string, mode = 0o755): Promise<string> {
  const path = join(directory, "codex");
  await writeFile(path, text, { mode });
  return path;
}

async function fails(config: RuntimeConfig): Promise<Error> {
  try {
    await (await Runtime.spawn(config)).shutdown();
  } catch (error) {
    return error as Error;
  }
  throw new Error("codex could be started");
}

for (const version of CODEX_VERSIONS) {
  test(`words of a launcher before the first message swallow no answer of codex ${version}`, async (t) => {
    const codex = await codexPath(version);
    const noises: [string, string][] = [
      ["an escape sequence", "\\033[?2004h"],
      ["words without a newline", "Loading {codex} "],
      ["a byte order mark", "\\357\\273\\277"],
      ["a banner and a prompt", "Welcome!\\n> "],
      ["another program's JSON", '{"level":"info"} '],
    ];
    for (const [name, noise] of noises) {
      await t.step(name, async () => {
        await using dir = await tempDir();
        const path = await program(
          dir.path,
          `#!/bin/sh\nprintf '${noise}'\nexec "${codex}" "$@"\n`,
        );
        const runtime = await Runtime.spawn({
          codexPath: path,
          env: { set: { CODEX_HOME: dir.path } },
          requestTimeoutMs: 20_000,
        });
        assert.equal(runtime.server.version, version);
        await runtime.shutdown();
      });
    }
  });
}

test("a program that is not codex is told by its own words", async (t) => {
  await using dir = await tempDir();
  await t.step("it says something and waits", async () => {
    const path = await program(
      dir.path,
      "#!/bin/sh\nprintf 'Password for sk-abcdefghijklmnopqrstuvwx: '\ncat >/dev/null\n",
    );
    const error = await fails({ codexPath: path, requestTimeoutMs: 500 });
    assert.ok(error instanceof RequestTimeoutError);
    assert.equal(error.retryable, false);
    assert.match(
      error.message,
      /No answer to initialize within 500 ms\. .*it begins with "Password for.*It has to be codex, and/,
    );
    assert.doesNotMatch(error.message, /sk-abc/);
  });
  await t.step("it complains and waits", async () => {
    const path = await program(
      dir.path,
      "#!/bin/sh\necho 'Error: no home, api_key=hunter2hunter2' >&2\ncat >/dev/null\n",
    );
    const error = await fails({ codexPath: path, requestTimeoutMs: 500 });
    assert.ok(error instanceof RequestTimeoutError);
    assert.equal(error.retryable, true);
    assert.match(error.message, /within 500 ms\. Its stderr says: Error: no home/);
    assert.doesNotMatch(error.message, /hunter2/);
  });
  await t.step(
    "it says more than a message may hold, and then the answer on the same line",
    async () => {
      const flood = "printf 'Loading '; head -c 200000 /dev/zero | tr '\\0' .";
      const path = await program(
        dir.path,
        `#!/bin/sh\n${flood}\nexec "${await codexPath()}" "$@"\n`,
      );
      const env = { set: { CODEX_HOME: dir.path } };
      const limits = { requestTimeoutMs: 3_000, maxMessageBytes: 100_000 };
      const error = await fails({ codexPath: path, env, ...limits });
      assert.ok(error instanceof RequestTimeoutError, String(error));
      assert.match(
        error.message,
        /1 line of its output was no message; it begins with "Loading \.\./,
      );
    },
  );
  await t.step("it says something and ends well", async () => {
    const path = await program(dir.path, "#!/bin/sh\necho Please log in first\n");
    const error = await fails({ codexPath: path });
    assert.ok(error instanceof ConnectionClosedError);
    assert.equal(error.retryable, false);
    assert.match(
      error.message,
      /ended before it had answered\. .*begins with "Please log in first".*exited with code 0/,
    );
  });
});

test("npm's launcher without its native package says which one, here and in diagnose()", async () => {
  await using dir = await tempDir();
  const root = join(dir.path, "node_modules", "@openai", "codex");
  const from = join(await codexLauncherPath(), "..", "..", "@openai", "codex");
  await mkdir(join(root, "bin"), { recursive: true });
  await copyFile(join(from, "package.json"), join(root, "package.json"));
  await copyFile(join(from, "bin", "codex.js"), join(root, "bin", "codex.js"));
  const bin = join(dir.path, "bin");
  await mkdir(bin);
  const launcher = join(bin, "codex");
  await symlink(join(root, "bin", "codex.js"), launcher);
  await import("node:fs/promises").then((fs) => fs.chmod(join(root, "bin", "codex.js"), 0o755));
  const config = { codexPath: launcher, env: { set: { CODEX_HOME: dir.path } } };
  const error = await fails(config);
  assert.ok(error instanceof ConnectionClosedError);
  assert.equal(error.retryable, false);
  assert.match(error.message, /stderr says: Error: Missing optional dependency @openai\/codex-/);
  assert.doesNotMatch(error.message, /at async|Node\.js v/);
  const { problems } = await diagnose(config);
  assert.equal(problems[0]?.code, "nativeMissing");
  assert.match(problems[0]?.message ?? "", /@openai\/codex-\w+-\w+, which holds codex itself/);
});

test(
  "a start that fails as it will always fail is not retryable",
  async () => {
    await using dir = await tempDir();
    const file = join(dir.path, "file");
    await writeFile(file, "");
    for (const home of [join(dir.path, "missing"), file]) {
      const error = await fails({
        codexPath: await codexPath(),
        env: { set: { CODEX_HOME: home } },
      });
      assert.ok(error instanceof ConnectionClosedError);
      assert.equal(error.retryable, false);
    }
  },
);

test("a program whose interpreter is gone is told as that, and not as missing", async () => {
  await using dir = await tempDir();
  const path = await program(dir.path, "#!/no/such/interpreter\n");
  const error = await fails({ codexPath: path });
  assert.ok(error instanceof SpawnError);
  assert.match(error.message, /codex exists, but what it needs to start does not/);
});

test("a codex in PATH that can't be executed does not hide the next one", async () => {
  await using dir = await tempDir();
  const plain = join(dir.path, "plain");
  const good = join(dir.path, "good");
  await mkdir(plain);
  await mkdir(good);
  await program(plain, "not a program", 0o644);
  await symlink(await codexPath(), join(good, "codex"));
  const { PATH } = process.env;
  const { CODEX_PATH } = process.env;
  delete process.env["CODEX_PATH"];
  process.env["PATH"] = `${plain}:${good}`;
  try {
    const runtime = await Runtime.spawn({ env: { set: { CODEX_HOME: dir.path } } });
    await runtime.shutdown();
  } finally {
    process.env["PATH"] = PATH;
    if (CODEX_PATH !== undefined) process.env["CODEX_PATH"] = CODEX_PATH;
  }
});

test(
  "a script whose working directory was removed still starts codex, and says so of relative paths",
  async () => {
    await using dir = await tempDir();
    await using model = await ScriptedModel.start(["first", "second"]);
    const before = process.cwd();
    const gone = join(dir.path, "release-1");
    await mkdir(gone);
    process.chdir(gone);
    await rm(gone, { recursive: true });
    try {
      const client = await Client.connect({
        ...model.clientConfig({ codexPath: await codexPath() }),
        restart: { type: "onCrash", baseDelayMs: 1 },
      });
      try {
        const session = await client.startSession({ cwd: dir.path });
        assert.equal((await session.ask("hello")).assistantText, "first");
        process.kill(client.runtime.pid!, "SIGKILL");
        for await (const event of client.runtime.events({ after: 0 })) {
          const { state, generation } = event.message as { state?: string; generation?: number };
          if (state === "running" && generation === 2) break;
        }
        assert.equal((await session.ask("again")).assistantText, "second");
        await assert.rejects(
          client.startSession({ cwd: "sub" }),
          /own working directory does not exist/,
        );
      } finally {
        await client.shutdown();
      }
    } finally {
      process.chdir(before);
    }
  },
);

test("codex's stderr is to be had while it lives, and a listener that throws costs nothing", async () => {
  await using dir = await tempDir();
  const path = await program(
    dir.path,
    `#!/bin/sh\necho a word on stderr >&2\nexec "${await codexPath()}" "$@"\n`,
  );
  let heard = "";
  const told = Promise.withResolvers<void>();
  const runtime = await Runtime.spawn({
    codexPath: path,
    env: { set: { CODEX_HOME: dir.path } },
    onStderr(text) {
      heard += text;
      if (heard.includes("a word on stderr")) told.resolve();
      throw new Error("mine");
    },
  });
  await told.promise;
  assert.ok(runtime.metrics().sinkErrors > 0);
  await runtime.shutdown();
  // The type takes an async function, too: what it rejects with belongs to nobody.
  const other = await Runtime.spawn({
    codexPath: path,
    env: { set: { CODEX_HOME: dir.path } },
    onStderr: () => Promise.reject(new Error("mine")),
  });
  await other.shutdown();
  assert.ok(other.metrics().sinkErrors > 0);
});

test("a codex of a relative PATH is the one that was found, wherever it is started", async () => {
  await using dir = await tempDir();
  await mkdir(join(dir.path, "elsewhere", "bin"), { recursive: true });
  await mkdir(join(dir.path, "bin"));
  await symlink(await codexPath(), join(dir.path, "bin", "codex"));
  // What lies under the same name where the process is started is another program.
  await program(join(dir.path, "elsewhere", "bin"), "#!/bin/sh\nexit 7\n");
  const script = join(dir.path, "script.ts");
  const library = new URL("../../src/runtime/runtime.ts", import.meta.url).href;
  await writeFile(
    script,
    `import { Runtime } from ${JSON.stringify(library)};
const runtime = await Runtime.spawn({ processCwd: ${JSON.stringify(join(dir.path, "elsewhere"))} });
console.log(runtime.server.version);
await runtime.shutdown();
`,
  );
  const { CODEX_PATH: _, ...env } = process.env;
  const args = onDeno ? ["run", "-A", "--no-check", script] : [script];
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    cwd: dir.path,
    env: { ...env, PATH: "bin", CODEX_HOME: dir.path },
  });
  assert.equal(stdout.trim(), NEWEST_CODEX);
});

test("options that a running server can't take are refused, and those for threads are not", async () => {
  const transport = { type: "websocket", url: "ws://127.0.0.1:9" } as const;
  const refused: [RuntimeConfig, string][] = [
    [{ codexPath: "/x/codex" }, "codexPath"],
    [{ configOverrides: { model: "other" } }, "configOverrides"],
    [{ env: { inherit: "minimal" } }, "env.inherit"],
    [{ env: { set: { A: "b" } } }, "env.set"],
    [{ processCwd: "/" }, "processCwd"],
    [{ onStderr() {} }, "onStderr"],
  ];
  for (const [config, name] of refused) {
    const error = await fails({ transport, ...config });
    assert.match(
      error.message,
      new RegExp(`^connect: ${name}: with .*"websocket".* codex runs already`),
    );
  }
  await using dir = await tempDir();
  await using model = await ScriptedModel.start([]);
  const server = await listen(model, dir.path, { open: true });
  const config = { configOverrides: {}, env: { commands: "codexDefault" } } as const;
  const runtime = await Runtime.spawn({
    transport: { type: "websocket", url: server.url },
    ...config,
  });
  await runtime.shutdown();
  await server.close();
});

test(
  "a thread that another codex process writes to is told as that",
  async () => {
    await using dir = await tempDir();
    await using model = await ScriptedModel.start(() => "done");
    const config = model.clientConfig({ codexPath: await codexPath() });
    const first = await Client.connect(config);
    const second = await Client.connect(config);
    try {
      const session = await first.startSession({ cwd: dir.path });
      await session.ask("hello");
      await assert.rejects(second.resumeSession(session.threadId, { cwd: dir.path }), (error) => {
        const { code, retryable, message } = error as {
          code: string;
          retryable: boolean;
          message: string;
        };
        assert.deepEqual([code, retryable], ["threadInUse", true]);
        assert.match(message, /also after a session there was released/);
        return true;
      });
      await session.release();
      const resumed = await freed(() => second.resumeSession(session.threadId, { cwd: dir.path }));
      assert.equal((await resumed.ask("again")).assistantText, "done");
    } finally {
      await Promise.all([first.shutdown(), second.shutdown()]);
    }
  },
);

/** Tries for as long as the thread is held: codex lets a released one go in about a tenth of a second. */
async function freed<T>(resume: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await resume();
    } catch (error) {
      if ((error as { code?: string }).code !== "threadInUse") throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

test("the codex that a linked script brings is taken before that of the working directory", async () => {
  await using dir = await tempDir();
  const at = (...names: string[]) => join(dir.path, ...names);
  const codexIn = async (place: string) => {
    const root = at(place, "node_modules", "@openai", "codex");
    await mkdir(join(root, "bin"), { recursive: true });
    await writeFile(join(root, "package.json"), "{}");
    await writeFile(join(root, "bin", "codex.js"), "", { mode: 0o755 });
    return join(root, "bin", "codex.js");
  };
  const [brought, found] = [await codexIn("tool"), await codexIn("repository")];
  const from = JSON.stringify(new URL("../../src/launch/locate_codex.ts", import.meta.url));
  await mkdir(at("bin"));
  await writeFile(
    at("tool", "main.mjs"),
    `import { locateCodex } from ${from};\nconsole.log(locateCodex().command);\n`,
  );
  await symlink(at("tool", "main.mjs"), at("bin", "tool"));
  await copyFile(at("tool", "main.mjs"), at("bin", "other.mjs"));
  const take = async (script: string) => {
    const args = [...(onDeno ? ["run", "-A", "--no-check"] : []), at("bin", script)];
    const options = {
      cwd: at("repository"),
      env: { ...process.env, CODEX_PATH: "", PATH: at("bin") },
    };
    const { stdout } = await promisify(execFile)(process.execPath, args, options);
    return stdout.trim();
  };
  assert.deepEqual([await take("tool"), await take("other.mjs")], [brought, found]);
});

test("the launcher's text is read for the test above", async () => {
  const launcher = join(
    await codexLauncherPath(),
    "..",
    "..",
    "@openai",
    "codex",
    "bin",
    "codex.js",
  );
  assert.match(await readFile(launcher, "utf8"), /Missing optional dependency/);
});
