import assert from "node:assert/strict";
import { withShellEnvironment } from "../../../src/permissions/config/shell_environment.ts";
import { test } from "../../_harness.ts";

const SECRETS = ["*KEY*", "*SECRET*", "*TOKEN*", "*PASSWORD*", "*CREDENTIAL*"];

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

test("withShellEnvironment() leaves a choice about shell snapshots alone", () => {
  const nested = withShellEnvironment({ features: { shell_snapshot: true } });
  assert.equal(nested["features.shell_snapshot"], undefined);
  const dotted = withShellEnvironment({ "features.shell_snapshot": true });
  assert.equal(dotted["features.shell_snapshot"], true);
});

test("withShellEnvironment() changes nothing when codex decides", () => {
  const config = { "shell_environment_policy.inherit": "none" };
  assert.deepEqual(withShellEnvironment(config, "codexDefault"), config);
});
