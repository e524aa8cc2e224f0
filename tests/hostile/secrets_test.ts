/** Secrets of the environment and of settings, against the agent's commands, the machine's other users and the errors. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import {
  Client,
  type ClientConfig,
  PolicyError,
  type RunProfile,
  runtime,
  testing,
} from "../../mod.ts";
import { CODEX_VERSIONS, codexPath, NEWEST_CODEX, OLDEST_CODEX } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { makeUsed } from "../_used_home.ts";

const { exec } = testing.script;
const NAMES =
  "MY_API_KEY DATABASE_URL DB_PASS GH_PAT JWT MYSQL_PWD NPM_AUTH SENTRY_DSN SESSION_COOKIE";
const SECRETS = Object.fromEntries(NAMES.split(" ").map((name) => [name, `leak-${name}`]));
/** What the user may have switched on: codex would show commands the whole environment again. */
const SNAPSHOTS = "[features]\nshell_snapshot = true\nshell_snapshot_v2 = true\n";
/** The same in a profile, which wins over what a thread brings. */
const CHOSEN = 'profile = "p"\n[profiles.p.features]\nshell_snapshot = true\n';

for (const version of CODEX_VERSIONS) {
  test(`no secret reaches the agent's commands, a command line or an error, ${version}`, async (t) => {
    await using dir = await tempDir("secrets-");
    await using model = await testing.ScriptedModel.start((request) =>
      request.toolOutputs.length === 0
        ? exec("env; for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $f; done 2>/dev/null")
        : "done"
    );
    const base = model.clientConfig({ codexPath: await codexPath(version) });
    const home = base.env.set["CODEX_HOME"]!;
    await makeUsed(home, version);
    await writeFile(join(home, "config.toml"), version === OLDEST_CODEX ? CHOSEN : SNAPSHOTS);
    const env = { ...base.env, set: { ...base.env.set, ...SECRETS, PLAIN: "plain" } };
    const printed = () => model.requests.at(-1)!.toolOutputs.map(({ text }) => text).join("\n");

    const configs: NonNullable<RunProfile["config"]>[] = [
      {},
      { shell_environment_policy: { set: { CI: "yes" } } },
      { shell_environment_policy: { inherit: "all", set: { CI: "yes" } } },
      {
        "shell_environment_policy.set": { CI: "yes" },
        "shell_environment_policy.exclude": ["FOO*"],
      },
      { shell_environment_policy: { exclude: [], ignore_default_excludes: true } },
      { features: { multi_agent: false } },
      { "features.multi_agent": false },
    ];
    for (const config of configs) {
      await t.step(
        `a session's config does not undo the filter: ${JSON.stringify(config)}`,
        async () => {
          await using client = await Client.connect({ ...base, env });
          await client.run(dir.path, "print", { config });
          assert.doesNotMatch(printed(), /leak-/);
          assert.match(printed(), /PLAIN=plain/);
          if (JSON.stringify(config).includes("CI")) assert.match(printed(), /CI=yes/);
        },
      );
    }
    await t.step("nor does it turn the snapshots of the shell on", async () => {
      await using client = await Client.connect({ ...base, env });
      const config = { features: { shell_snapshot: true } };
      await assert.rejects(client.run(dir.path, "print", { config }), PolicyError);
    });
    await t.step("a token among the overrides reaches the provider and nothing else", async () => {
      const secret = "hunter2-hunter2-hunter2";
      const config: ClientConfig = {
        ...base,
        env,
        configOverrides: {
          ...base.configOverrides,
          "model_providers.scripted.experimental_bearer_token": secret,
          "model_providers.scripted.http_headers": {
            "X-Api-Key": `${secret}-header`,
            "X-Plain": "p",
          },
        },
      };
      await using client = await Client.connect(config);
      if (process.platform === "linux") {
        const line = readFileSync(`/proc/${client.runtime.pid}/cmdline`, "utf8");
        assert.match(line, /env_key/);
        assert.doesNotMatch(line, /hunter2/);
      }
      await client.run(dir.path, "print");
      assert.doesNotMatch(printed(), /hunter2/);
      const { headers } = model.requests.at(-1)!;
      assert.equal(headers["authorization"], `Bearer ${secret}`);
      assert.equal(headers["x-api-key"], `${secret}-header`);
      assert.equal(headers["x-plain"], "p");
    });
    await t.step("a secret that codex reads from nowhere else is refused", async () => {
      const configOverrides = { "shell_environment_policy.set": { X_TOKEN: "hunter2-hunter2" } };
      await assert.rejects(Client.connect({ ...base, configOverrides }), (error) => {
        assert.ok(error instanceof PolicyError);
        assert.doesNotMatch(String(error), /hunter2/);
        return true;
      });
    });
    await t.step("errors do not repeat a value that codex refused", async () => {
      const wrong = { "model_providers.scripted.query_params": "hunter2-params" };
      const told = async (act: Promise<unknown>) => {
        const error = await act.then(() => null, (reason) => reason);
        assert.doesNotMatch(`${error} ${JSON.stringify(error)} ${error?.stderrTail}`, /hunter2/);
      };
      await told((async () => {
        await using client = await Client.connect({
          ...base,
          // Codex 0.104 says nothing at all then.
          requestTimeoutMs: 5_000,
          configOverrides: { ...base.configOverrides, ...wrong },
        });
        await client.run(dir.path, "print");
      })());
      await using client = await Client.connect(base);
      await told(client.run(dir.path, "print", { config: wrong }));
    });
  });
}

test("what a conversation says of secrets is in no log, no cassette, no warning and no error", async () => {
  const secret = "hunter2Hunter2hunter2";
  const told = [
    `redis-cli -a ${secret} ping`,
    `docker login -u me -p ${secret} example.org`,
    `vault token revoke ${secret}`,
    `mysql -uroot -p${secret} db`,
    `curl -su me:${secret} -b 'sid=${secret}' https://example.org`,
    `curl -H 'Cookie: sid=${secret}' -H 'Authorization: Bearer ${secret}' https://example.org`,
    `echo 'SharedAccessSignature=${secret}'`,
    `cat <<E\na: 1\npassword: |\n  ${secret}\n  ${secret}\nuser: me\nE`,
    `cat <<E\na: 1\npassword:\n  first: ${secret}\n  more:\n    - ${secret}\nuser: me\nE`,
    `export DB_PASSWORD=${secret}`,
  ];
  await using dir = await tempDir("secrets-");
  await using model = await testing.ScriptedModel.start((request) => {
    const count = request.toolOutputs.length;
    if (request.text === "fail") {
      return testing.script.httpError(401, `Incorrect API key: api_key=${secret}`);
    }
    // Printed, so that codex tells the output as well; every program is an echo.
    if (count === told.length) {
      return testing.script.applyPatch(
        `*** Begin Patch\n*** Add File: .env\n+DB_PASSWORD=${secret}\n*** End Patch`,
      );
    }
    return count < told.length
      ? exec(`cat <<'END'\n${told[count]}\nEND`)
      : { type: "message", text: `Done: ${told.join("\n")}`, chunkSize: 5 };
  });
  const file = join(dir.path, "log.jsonl");
  const config = {
    ...model.clientConfig({ codexPath: await codexPath(NEWEST_CODEX) }),
    eventLog: new runtime.JsonlFileSink(file),
  };
  const recorder = testing.Cassette.record(config);
  const warned: string[] = [];
  let caught: unknown;
  {
    await using client = await Client.connect(recorder.clientConfig());
    const session = await client.startSession({
      cwd: dir.path,
      approvalPolicy: "untrusted",
      sandbox: "workspace-write",
      allowPrivilegedEscalation: true,
      config: { "shell_environment_policy.set": { DEPLOY_TOKEN: secret } },
      // Nobody is there.
      mcpServers: {
        docs: {
          url: "http://127.0.0.1:9/mcp",
          bearerToken: secret,
          headers: { "X-Any": secret },
        },
        local: { command: join(dir.path, "missing"), env: { ANY: secret } },
      },
      approvals: (request) => {
        if (request.type === "command" && request.command?.includes("redis")) {
          throw new Error(`no: redis-cli -a ${secret}`);
        }
        return { decision: "accept" };
      },
    });
    await session.ask(`run ${told[0]}\n${told.at(-2)}`, {
      onEvent: (event) => {
        if (event.type === "warning") warned.push(event.message);
      },
    });
    caught = await session.ask("fail").then(() => null, (error) => error);
  }
  assert.match(readFileSync(join(dir.path, ".env"), "utf8"), /hunter2/);
  const log = readFileSync(file, "utf8");
  const cassette = recorder.toString();
  assert.ok(warned.some((text) => /handler threw: no: redis-cli/.test(text)), warned.join());
  assert.ok(caught instanceof Error);
  const said = (lines: string) =>
    lines.split("\n").flatMap((line) => {
      const entry = line === "" ? {} : JSON.parse(line);
      const { method, params } = entry.message ?? entry.m ?? {};
      return method === "item/agentMessage/delta" ? [params.delta] : [];
    }).join("");
  assert.match(said(log), /^Done: redis-cli -a \[redacted\]/);
  const texts = {
    log,
    cassette,
    "pieces of the log": said(log),
    "pieces of the cassette": said(cassette),
    warnings: warned.join("\n"),
    error: `${caught} ${JSON.stringify(caught)}`,
  };
  for (const [name, text] of Object.entries(texts)) {
    const at = text.indexOf(secret);
    assert.equal(at, -1, `${name}: ${text.slice(Math.max(0, at - 200), at + 60)}`);
  }
  for (const text of [log, cassette]) {
    for (const word of ["redis-cli -a", "docker login", "vault token", "password: |", "first: ["]) {
      assert.ok(text.includes(word), word);
    }
  }
});
