/** What the agent's commands see of the environment: proved by a turn that prints it. */
import assert from "node:assert/strict";
import type { JsonValue } from "../../src/json.ts";
import { withShellEnvironment } from "../../src/permissions/config/session_settings.ts";
import { script, ScriptedModel } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS, codexPath } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { type Message, RawCodex } from "./_raw_codex.ts";

const ENV = {
  PROBE_PLAIN: "plain",
  OPENAI_API_KEY: "leak-key",
  GH_TOKEN: "leak-token",
  my_secret_thing: "leak-secret",
  DB_PASSWORD: "leak-password",
  AWS_CREDENTIALS_FILE: "leak-credential",
  PROBE_OTHER: "other",
};

/** The lines of `env` that a turn prints, without those that codex adds. */
async function environment(
  version: typeof CODEX_VERSIONS[number],
  flags: Record<string, JsonValue>,
  config: Record<string, JsonValue>,
): Promise<string> {
  const model = await ScriptedModel.start();
  await using dir = await tempDir("env-");
  const client = model.clientConfig({ env: ENV, configOverrides: flags });
  const codex = new RawCodex({ ...client, codexPath: await codexPath(version) });
  try {
    await codex.initialize();
    const { thread } = await codex.request("thread/start", {
      cwd: dir.path,
      approvalPolicy: "never",
      sandbox: "danger-full-access",
      config,
    });
    await codex.turn(thread.id, script.inPrompt([[script.exec("env")], "done"]));
    const items: Message[] = (model.requests.at(-1)!.body as Message).input;
    return JSON.stringify(items.find((item) => item.type === "function_call_output").output);
  } finally {
    await codex.close();
    await model.close();
  }
}

for (const version of CODEX_VERSIONS) {
  test(`the agent's commands get no secrets (${version})`, async (t) => {
    await t.step("by the thread's settings", async () => {
      const printed = await environment(version, {}, withShellEnvironment({}));
      assert.doesNotMatch(printed, /leak-/);
      assert.match(printed, /PROBE_PLAIN=plain/);
      assert.match(printed, /PATH=/);
    });
    await t.step("by flags, whatever the thread's own settings add", async () => {
      const printed = await environment(
        version,
        withShellEnvironment({}),
        { "shell_environment_policy.set": { PROBE_SET: "set" } },
      );
      assert.doesNotMatch(printed, /leak-/);
      assert.match(printed, /PROBE_SET=set/);
    });
    await t.step("and none of the names that the caller adds", async () => {
      const config = withShellEnvironment({ "shell_environment_policy.exclude": ["PROBE_OTHER"] });
      const printed = await environment(version, {}, config);
      assert.doesNotMatch(printed, /leak-|PROBE_OTHER/);
      assert.match(printed, /PROBE_PLAIN=plain/);
    });
    await t.step("unless codex decides", async () => {
      const printed = await environment(version, {}, withShellEnvironment({}, "codexDefault"));
      assert.match(printed, /leak-password/);
    });
  });
}
