import assert from "node:assert/strict";
import { withShellEnvironment } from "../../../src/permissions/config/session_settings.ts";
import { SECRET_VARIABLES } from "../../../src/redact.ts";
import { test } from "../../_harness.ts";

const SECRETS = SECRET_VARIABLES;

test("withShellEnvironment() keeps secrets from commands by default", () => {
  assert.deepEqual(withShellEnvironment({ model: "m" }), {
    model: "m",
    "shell_environment_policy.exclude": SECRETS,
    "features.shell_snapshot": false,
  });
});

test("withShellEnvironment() adds to what the settings leave out, dotted or nested", () => {
  assert.deepEqual(
    withShellEnvironment({
      shell_environment_policy: { inherit: "core", exclude: ["AWS_*"] },
      "shell_environment_policy.exclude": ["AZURE_*", "*KEY*"],
      "shell_environment_policy.set": { CI: "1" },
    }),
    {
      "shell_environment_policy.inherit": "core",
      "shell_environment_policy.exclude": [...SECRETS, "AWS_*", "AZURE_*"],
      "shell_environment_policy.set": { CI: "1" },
      "features.shell_snapshot": false,
    },
  );
});

test("withShellEnvironment() turns shell snapshots off, and keeps the features beside them", () => {
  for (const features of [{ shell_snapshot: true }, { multi_agent: true }, {}]) {
    const nested = withShellEnvironment({ features });
    assert.equal(nested["features.shell_snapshot"], false);
    assert.equal(nested["features"], undefined);
    assert.equal(nested["features.multi_agent"], "multi_agent" in features ? true : undefined);
  }
  const dotted = withShellEnvironment({ "features.shell_snapshot": true });
  assert.equal(dotted["features.shell_snapshot"], false);
});

test("withShellEnvironment() lays later settings over earlier ones and forgets no exclusion", () => {
  const started = {
    "shell_environment_policy.set": { A: "1" },
    "shell_environment_policy.exclude": ["A*"],
  };
  const merged = withShellEnvironment([started, {
    shell_environment_policy: { inherit: "all", exclude: ["B*"] },
  }]);
  assert.deepEqual(merged, {
    "shell_environment_policy.set": { A: "1" },
    "shell_environment_policy.inherit": "all",
    "shell_environment_policy.exclude": [...SECRETS, "A*", "B*"],
    "features.shell_snapshot": false,
  });
});

test("withShellEnvironment() adds nothing when codex decides", () => {
  const config = { "shell_environment_policy.inherit": "none" };
  assert.deepEqual(withShellEnvironment(config, "codexDefault"), config);
  // But for the spelling of what stands beside switches of ours.
  assert.deepEqual(withShellEnvironment({ features: { goals: true } }, "codexDefault"), {
    "features.goals": true,
  });
  const nested = { shell_environment_policy: { exclude: ["A*"] } };
  assert.deepEqual(withShellEnvironment([config, nested], "codexDefault"), nested);
});
