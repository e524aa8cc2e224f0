/** By default codex gets this process's environment, and the agent's commands get it without secrets. */
import assert from "node:assert/strict";
import process from "node:process";
import { Client, type ClientConfig, testing } from "../../mod.ts";
import { CODEX_VERSIONS, codexPath } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { makeUsed } from "../_used_home.ts";

const SECRETS = {
  PROBE_API_KEY: "leak-key",
  GH_TOKEN: "leak-token",
  my_secret_thing: "leak-secret",
  DB_PASSWORD: "leak-password",
  AWS_CREDENTIALS_FILE: "leak-credential",
};
const FREE = { PROBE_PLAIN: "plain" };

interface Seen {
  /** What a command of the agent printed of its environment. */
  printed: string;
  /** What codex itself sent to its provider. */
  authorization: string | undefined;
}

async function seen(
  version: typeof CODEX_VERSIONS[number],
  env: (set: Record<string, string>) => ClientConfig["env"],
): Promise<Seen> {
  await using dir = await tempDir("env-");
  await using model = await testing.ScriptedModel.start([testing.script.exec("env"), "done"]);
  const config = model.clientConfig({
    codexPath: await codexPath(version),
    configOverrides: { "model_providers.scripted.env_key": "PROBE_API_KEY" },
  });
  await makeUsed(config.env.set["CODEX_HOME"]!, version);
  await using client = await Client.connect({ ...config, env: env(config.env.set)! });
  await client.run(dir.path, "print");
  const last = model.requests.at(-1)!;
  return {
    printed: last.toolOutputs.map(({ text }) => text).join("\n"),
    authorization: last.headers["authorization"],
  };
}

for (const version of CODEX_VERSIONS) {
  test(`a client keeps secrets from the agent's commands and leaves them to codex, ${version}`, async (t) => {
    await t.step("those of this process, by default", async () => {
      Object.assign(process.env, SECRETS, FREE);
      try {
        const { printed, authorization } = await seen(version, (set) => ({ set }));
        assert.doesNotMatch(printed, /leak-/);
        assert.match(printed, /PROBE_PLAIN=plain/);
        assert.equal(authorization, "Bearer leak-key");
      } finally {
        for (const name of Object.keys({ ...SECRETS, ...FREE })) delete process.env[name];
      }
    });
    await t.step("those that are set for codex", async () => {
      const { printed, authorization } = await seen(version, (set) => ({
        inherit: "minimal",
        set: { ...set, ...SECRETS, ...FREE },
      }));
      assert.doesNotMatch(printed, /leak-/);
      assert.match(printed, /PROBE_PLAIN=plain/);
      assert.equal(authorization, "Bearer leak-key");
    });
    await t.step("unless the decision is left to codex", async () => {
      const { printed } = await seen(version, (set) => ({
        inherit: "minimal",
        set: { ...set, ...SECRETS },
        commands: "codexDefault",
      }));
      assert.match(printed, /leak-password/);
    });
    await t.step("and what is not inherited is not there at all", async () => {
      Object.assign(process.env, FREE, { PROBE_OTHER: "other" });
      try {
        const named = await seen(version, (set) => ({
          inherit: ["PATH", "PROBE_PLAIN"],
          set: { ...set, PROBE_API_KEY: "leak-key" },
        }));
        assert.match(named.printed, /PROBE_PLAIN=plain/);
        assert.doesNotMatch(named.printed, /PROBE_OTHER/);
      } finally {
        for (const name of ["PROBE_PLAIN", "PROBE_OTHER"]) delete process.env[name];
      }
    });
  });
}
