/** What of a user's own configuration reaches a codex with `isolation: "hermetic"`, on the real codex: the login alone. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { Buffer } from "node:buffer";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import {
  type ClientConfig,
  InvalidArgumentError,
  MemoryThreadStore,
  PermissionDeniedError,
  PolicyError,
  quickRun,
  runtime,
  testing,
  UnsupportedError,
  Workflow,
} from "../../mod.ts";
import { bunPath, CODEX_VERSIONS, codexes, NEWEST_CODEX, nodePath } from "../_codex.ts";
import { onDeno, test } from "../_harness.ts";
import { inWorld, rejection, type World } from "../real/_session_world.ts";

const { exec } = testing.script;
const SCRIPT = fileURLToPath(new URL("../real/_hermetic_script.ts", import.meta.url));
const KEY = "sk-users-own-key-of-the-test-0123456789";

const homes = (world: World): { codex: string; home: string } => {
  const { CODEX_HOME = "", HOME = "" } = world.config().env?.set ?? {};
  return { codex: CODEX_HOME, home: HOME };
};
const marks = (world: World): string => join(dirname(world.cwd), "marks");
const left = (world: World): string[] => {
  const base = join(homes(world).codex, "hermetic");
  return existsSync(base) ? readdirSync(base) : [];
};

/** Everything that a user's home may hold, each of which leaves a mark when it is used. */
async function hostileUser(world: World): Promise<void> {
  const { codex, home } = homes(world);
  await mkdir(marks(world), { recursive: true });
  const touch = (name: string) => `["-c", "touch ${join(marks(world), name)}"]`;
  const write = async (path: string, text: string) => {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text, { mode: 0o600 });
  };
  await write(
    join(codex, "config.toml"),
    `notify = ["sh", "-c", "touch ${join(marks(world), "notify")}"]
developer_instructions = "MARKDEV"

[mcp_servers.evil]
command = "sh"
args = ${touch("mcp")}

[shell_environment_policy.set]
USERS = "MARKENV"

[projects."${world.cwd}"]
trust_level = "trusted"
`,
  );
  await write(join(codex, "AGENTS.md"), "MARKAGENTS");
  await write(
    join(codex, "rules", "default.rules"),
    'prefix_rule(pattern=["true"], decision="allow")\n',
  );
  await write(join(codex, ".env"), "USERS_DOTENV=MARKDOTENV\n");
  await write(join(codex, "auth.json"), JSON.stringify({ OPENAI_API_KEY: KEY }));
  for (
    const [folder, name] of [[join(codex, "skills"), "MARKSKILL"], [
      join(home, ".agents", "skills"),
      "MARKHOMESKILL",
    ]]
  ) {
    await write(
      join(folder!, "evil", "SKILL.md"),
      `---\nname: evil-${name}\ndescription: ${name}\n---\nDo it.\n`,
    );
  }
  await write(
    join(world.cwd, ".codex", "config.toml"),
    `[mcp_servers.repo]\ncommand = "sh"\nargs = ${touch("repo")}\n`,
  );
}

/** What the model was told of the user's, and what ran. */
function reached(world: World): string[] {
  const told = JSON.stringify(world.model.requests.map(({ body }) => body));
  return [...new Set(told.match(/MARK[A-Z]+/g) ?? []), ...readdirSync(marks(world))].sort();
}

for (const version of codexes(...CODEX_VERSIONS, "0.145.0")) {
  test(`a hermetic codex has the user's login and nothing else of the user's [${version}]`, () =>
    inWorld(version, async (world) => {
      await hostileUser(world);
      const { codex, home } = homes(world);
      const before = readdirSync(codex).sort();

      // It is hostile: without isolation all of this is used.
      const look = world.prompt([[exec("echo $HOME; echo $USERS; touch done.txt")], "done"]);
      const configOverrides = {
        ...world.config().configOverrides,
        "model_providers.scripted.requires_openai_auth": true,
      };
      const client = await world.connect({ isolation: "hermetic", configOverrides });
      const hermeticHome = client.server.codexHome ??
        join(codex, "hermetic", left(world).find((name) => !name.endsWith(".json"))!, "codex");
      assert.notEqual(hermeticHome, codex);
      assert.equal(dirname(dirname(dirname(hermeticHome))), codex);
      assert.equal(readlinkSync(join(hermeticHome, "auth.json")), join(codex, "auth.json"));
      assert.equal(lstatSync(dirname(hermeticHome)).mode & 0o777, 0o700);
      assert.equal((await client.account())?.type, "apiKey");
      const session = await client.startSession({
        cwd: world.cwd,
        sandbox: "workspace-write",
        allowPrivilegedEscalation: true,
      });
      assert.deepEqual(session.policy.rulesFiles, []);
      const { items } = await session.ask(look);
      const [command] = items.filter((item) => item.type === "commandExecution");
      assert.match(JSON.stringify(command), new RegExp(`${home}\\\\n\\\\n`));
      assert.ok(existsSync(join(world.cwd, "done.txt")));
      assert.deepEqual(reached(world), []);
      assert.equal(world.model.requests.at(-1)!.headers["authorization"], `Bearer ${KEY}`);

      // What would lose or change something of the user's is refused.
      assert.ok(
        (await rejection(client.login({ type: "apiKey", apiKey: "sk-other" }))) instanceof
          PolicyError,
      );
      assert.ok((await rejection(client.logout())) instanceof PolicyError);
      assert.ok(
        (await rejection(client.startSession({ cwd: world.cwd, checkpoints: true }))) instanceof
          InvalidArgumentError,
      );
      const foreign = "0199a213-81c0-7800-8aa1-bbab2a035a53";
      const opening = [
        () => client.resumeSession(foreign),
        () => client.forkSession(foreign, { cwd: world.cwd }),
      ];
      for (const open of opening) {
        assert.ok((await rejection(open())) instanceof UnsupportedError);
      }

      // A store carries a thread from one hermetic run into the next; without one it goes with its home.
      const store = new MemoryThreadStore();
      const carried = await client.startSession({ cwd: world.cwd, store });
      await carried.ask("one");
      await client.shutdown();
      assert.deepEqual(left(world), []);
      const next = await world.connect({ isolation: "hermetic" });
      assert.ok(
        (await rejection(next.resumeSession(session.threadId))) instanceof UnsupportedError,
      );
      await (await next.resumeSession(carried.threadId, { cwd: world.cwd, store })).ask("two");
      assert.deepEqual(
        world.model.requests.at(-1)!.userTexts.filter((text) => /^(?:one|two)$/.test(text)),
        ["one", "two"],
      );
      await next.shutdown();

      const client2 = { ...world.config(), isolation: "hermetic" } as const;
      assert.match((await quickRun(world.cwd, "hi", { client: client2 })).assistantText, /hi/);
      await using workflow = await Workflow.connect({ cwd: world.cwd, client: client2 });
      assert.match((await workflow.run("ho")).assistantText, /ho/);
      await workflow.shutdown();
      assert.deepEqual(reached(world), []);

      const { hermetic, problems } = await runtime.diagnose(client2);
      assert.deepEqual(problems, []);
      assert.equal(hermetic?.login, "user");
      const told = new Map(hermetic?.leftOut.map(({ path, holds }) => [path, holds]));
      const names = [...told.keys()].filter((name) =>
        !/^(\w+\.sqlite|installation_id|\.\w+_migration)/.test(name)
      );
      assert.deepEqual(names.sort(), [
        ".env",
        "AGENTS.md",
        "config.toml",
        "rules",
        "skills",
        "~/.agents/skills",
      ]);
      assert.deepEqual(told.get("config.toml"), [
        "developer_instructions",
        "mcp_servers.evil",
        "notify",
        `projects."${world.cwd}"`,
        "shell_environment_policy.set",
      ]);
      assert.deepEqual([told.get("rules"), told.get("skills"), told.get("~/.agents/skills")], [
        ["default.rules"],
        ["evil"],
        ["evil"],
      ]);
      assert.deepEqual(left(world), []);
      assert.deepEqual(readdirSync(codex).filter((name) => name !== "hermetic").sort(), before);
      assert.equal(JSON.parse(readFileSync(join(codex, "auth.json"), "utf8")).OPENAI_API_KEY, KEY);

      // The same user without isolation, which shows that the marks can be left.
      if (version !== NEWEST_CODEX) return;
      const open = await world.connect();
      await (await open.startSession({ cwd: world.cwd, allowRulesFiles: true })).ask("open");
      const seen = reached(world);
      for (const mark of ["MARKAGENTS", "MARKHOMESKILL", "MARKSKILL", "mcp"]) {
        assert.ok(seen.includes(mark), `${mark} of ${seen}`);
      }
    }));
}

const text = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
const token = (name: string, exp = 4e9): string => {
  const account = { chatgpt_plan_type: "pro", chatgpt_account_id: "account" };
  const claims = { exp, name, email: "a@b.c", "https://api.openai.com/auth": account };
  return `${text({ alg: "none" })}.${text(claims)}.${text("signature")}`;
};

for (const version of codexes(...CODEX_VERSIONS, "0.145.0")) {
  test(`tokens that a hermetic codex refreshed are the user's [${version}]`, () =>
    inWorld(version, async (world) => {
      const refreshed = {
        id_token: token("new"),
        access_token: token("new access"),
        refresh_token: "the-next-one",
      };
      const server = createServer((_request, response) => response.end(JSON.stringify(refreshed)));
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      try {
        const login = join(homes(world).codex, "auth.json");
        const tokens = {
          id_token: token("old"),
          access_token: token("old access", 1000),
          refresh_token: "used-up-after-this",
          account_id: "account",
        };
        const stored = { OPENAI_API_KEY: null, tokens, last_refresh: "2020-01-01T00:00:00Z" };
        await writeFile(login, JSON.stringify(stored), { mode: 0o600 });
        const { port } = server.address() as { port: number };
        const env = { CODEX_REFRESH_TOKEN_URL_OVERRIDE: `http://127.0.0.1:${port}/oauth/token` };
        const client = await world.connect({ isolation: "hermetic" }, { env });
        const consent = { allowPrivilegedEscalation: true };
        // 0.169 goes on to ask ChatGPT about the account, which is not there.
        await client.runtime.request("account/read", { refreshToken: true }, consent).catch(
          () => {},
        );
        await client.shutdown();
        assert.match(readFileSync(login, "utf8"), /the-next-one/);
        assert.equal(lstatSync(login).mode & 0o777, 0o600);
        assert.deepEqual(left(world), []);
      } finally {
        await new Promise((resolve) => server.close(resolve));
      }
    }));
}

/** A script that has a hermetic client, on each runtime that this one starts. */
const runtimes: [name: string, command: () => Promise<string[]>][] = onDeno
  ? [
    ["deno", () => Promise.resolve([process.execPath, "run", "-A", "--no-check", "--no-prompt"])],
    ["node", async () => [await nodePath(), "--no-warnings"]],
  ]
  : [["bun", async () => [await bunPath()]]];

async function start(world: World, command: string[], how: string) {
  const [program, ...args] = command;
  const settings = JSON.stringify({ config: world.config(), cwd: world.cwd });
  const child = spawn(program!, [...args, SCRIPT, how, settings], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const closed = new Promise((resolve) => child.once("close", resolve));
  const home = await new Promise<string>((resolve) => {
    let said = "";
    child.stdout.on("data", (chunk) => {
      said += String(chunk);
      const path = /home (.*)\n/.exec(said)?.[1];
      if (path !== undefined) resolve(path);
    });
    child.once("close", () => resolve(""));
  });
  return { child, closed, home: dirname(home) };
}

for (const [name, command] of runtimes) {
  test(`what a killed ${name} script left goes at the next start, what a living one has stays`, () =>
    inWorld(NEWEST_CODEX, async (world) => {
      const [killed, living] = [
        await start(world, await command(), "waits"),
        await start(world, await command(), "waits"),
      ];
      assert.ok(existsSync(killed.home) && existsSync(living.home));
      killed.child.kill("SIGKILL");
      await killed.closed;
      assert.ok(existsSync(killed.home));
      const base = dirname(living.home);
      // Names of other homes that lead elsewhere: only the links go.
      const precious = join(world.cwd, "precious");
      await mkdir(precious);
      await writeFile(join(precious, "file"), "kept");
      const id = "00000000-0000-4000-8000-000000000000";
      await symlink(precious, join(base, id));
      const record = JSON.parse(readFileSync(`${killed.home}.json`, "utf8"));
      await writeFile(join(base, `${id}.json`), JSON.stringify({ ...record, locked: false }));
      await symlink(`${living.home}.json`, join(base, `${id.replace("0", "1")}.json`));
      await symlink(precious, join(base, id.replace("0", "1")));

      const forgotten = await start(world, await command(), "ends");
      assert.equal(await forgotten.closed, 0);
      assert.ok(!existsSync(forgotten.home), "removed when its script ended by itself");
      assert.ok(!existsSync(killed.home));
      assert.ok(
        existsSync(join(living.home, "codex", "sessions")) ||
          existsSync(join(living.home, "codex")),
      );
      assert.equal(readFileSync(join(precious, "file"), "utf8"), "kept");
      assert.ok(!existsSync(join(base, id)));
      assert.ok(
        existsSync(join(base, id.replace("0", "1"))),
        "a record that is a link is nobody's",
      );
      living.child.kill("SIGKILL");
      await living.closed;
    }));
}

test("what a hermetic codex can't have is told at the door", () =>
  inWorld(NEWEST_CODEX, async (world) => {
    const { codex } = homes(world);
    const spawnIt = (config: ClientConfig) =>
      rejection(runtime.Runtime.spawn({ ...world.config(), ...config, isolation: "hermetic" }));
    const elsewhere = await rejection(
      runtime.Runtime.spawn({
        isolation: "hermetic",
        transport: { type: "unix", path: "/nowhere" },
      }),
    );
    assert.ok(elsewhere instanceof InvalidArgumentError);
    assert.throws(
      () => testing.Cassette.record({ ...world.config(), isolation: "hermetic" }),
      InvalidArgumentError,
    );
    await writeFile(join(codex, "config.toml"), 'cli_auth_credentials_store = "keyring"\n');
    const keyring = await spawnIt({});
    assert.ok(keyring instanceof PolicyError);
    assert.match(keyring.message, /keyring/);
    await writeFile(join(codex, "config.toml"), "");
    await symlink(world.cwd, join(codex, "hermetic"));
    const link = await spawnIt({});
    assert.ok(link instanceof PolicyError, String(link));
    assert.deepEqual(readdirSync(world.cwd), []);
  }));

test("a script with scoped permissions learns which flags a hermetic codex needs", {
  permissions: { env: true, read: true, write: ["/nowhere"], run: true, net: true, sys: true },
}, async () => {
  const config: ClientConfig = {
    isolation: "hermetic",
    env: { set: { CODEX_HOME: "/nowhere/codex", HOME: "/nowhere" } },
  };
  const first = await rejection(
    runtime.Runtime.spawn({ ...config, env: { set: { CODEX_HOME: "/usr", HOME: "/usr" } } }),
  );
  assert.ok(first instanceof PermissionDeniedError, String(first));
  assert.deepEqual(first.missing, ["--allow-write=/usr/hermetic"]);
});

test("the flags that are told are enough, under Deno", {
  timeoutMs: 120_000,
  denoOnly: "they are Deno's",
}, () =>
  inWorld(NEWEST_CODEX, async (world) => {
    const { codex } = homes(world);
    const { codexPath = "" } = world.config();
    const started = async (...flags: string[]) => {
      const always = ["--no-prompt", "--no-check", "--allow-env", `--allow-run=${codexPath}`];
      const made = await start(world, [process.execPath, "run", ...always, ...flags], "ends");
      return [await made.closed, made.home !== "."];
    };
    const scoped = [`--allow-read=${codex},${world.cwd}`, `--allow-write=${codex}/hermetic`];
    assert.deepEqual(await started(...scoped), [0, true], "there is no login to link");
    await writeFile(join(codex, "auth.json"), JSON.stringify({ OPENAI_API_KEY: KEY }));
    assert.deepEqual(await started("--allow-read", "--allow-write"), [0, true]);
    assert.deepEqual(left(world), []);
  }));
