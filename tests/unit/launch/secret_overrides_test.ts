/** Secrets among codex's settings do not go on its command line. */
import assert from "node:assert/strict";
import { PolicyError } from "../../../src/errors/mod.ts";
import type { JsonValue } from "../../../src/json.ts";
import { configFlags, splitSecrets } from "../../../src/launch/settings.ts";
import { test } from "../../_harness.ts";

const SECRET = "hunter2-hunter2-hunter2";
const ONE = "CODEX_RUNTIME_SECRET_1";
const TWO = "CODEX_RUNTIME_SECRET_2";

const CASES: [string, Record<string, JsonValue>, Record<string, JsonValue>, string[]][] = [
  ["nothing", { model: "m", "features.x": true }, { model: "m", "features.x": true }, []],
  [
    "a provider's token",
    { "model_providers.p.experimental_bearer_token": SECRET },
    { "model_providers.p.env_key": ONE },
    [ONE],
  ],
  [
    "a provider's headers, nested",
    {
      model_providers: {
        p: { name: "P", http_headers: { "X-Api-Key": SECRET, accept: "a" } },
      },
    },
    {
      model_providers: { p: { name: "P", http_headers: { accept: "a" } } },
      "model_providers.p.env_http_headers.X-Api-Key": ONE,
    },
    [ONE],
  ],
  [
    "an MCP server's header and token",
    {
      "mcp_servers.s.url": "https://example.org",
      "mcp_servers.s.http_headers": { Authorization: SECRET },
      "mcp_servers.s.bearer_token": SECRET,
    },
    {
      "mcp_servers.s.url": "https://example.org",
      "mcp_servers.s.http_headers": {},
      "mcp_servers.s.env_http_headers.Authorization": ONE,
      "mcp_servers.s.bearer_token_env_var": TWO,
    },
    [ONE, TWO],
  ],
  [
    "an MCP server's environment",
    { "mcp_servers.s": { command: "x", env: { API_TOKEN: SECRET, CI: "1" } } },
    {
      "mcp_servers.s": { command: "x", env: { CI: "1" } },
      "mcp_servers.s.env_vars": ["API_TOKEN"],
    },
    ["API_TOKEN"],
  ],
  [
    "names of variables and ways to keep a login",
    {
      "model_providers.p.env_key": "MY_TOKEN",
      "model_providers.p.env_http_headers": { Authorization: "MY_HEADER" },
      "mcp_servers.s.bearer_token_env_var": "MY_TOKEN",
      cli_auth_credentials_store: "ephemeral",
      mcp_oauth_credentials_store: "file",
      "shell_environment_policy.exclude": ["*TOKEN*"],
    },
    {
      "model_providers.p.env_key": "MY_TOKEN",
      "model_providers.p.env_http_headers": { Authorization: "MY_HEADER" },
      "mcp_servers.s.bearer_token_env_var": "MY_TOKEN",
      cli_auth_credentials_store: "ephemeral",
      mcp_oauth_credentials_store: "file",
      "shell_environment_policy.exclude": ["*TOKEN*"],
    },
    [],
  ],
];

for (const [name, overrides, flags, variables] of CASES) {
  test(`splitSecrets() leaves no secret in the flags: ${name}`, () => {
    const split = splitSecrets(overrides);
    assert.deepEqual(split.flags, flags);
    assert.deepEqual(Object.keys(split.env), variables);
    for (const value of Object.values(split.env)) assert.equal(value, SECRET);
    assert.ok(!configFlags(split.flags).join(" ").includes(SECRET));
    // A table is written before what belongs into it, or it would take its place.
    const keys = Object.keys(split.flags);
    for (const [at, key] of keys.entries()) {
      assert.ok(!keys.slice(at + 1).some((later) => key.startsWith(`${later}.`)), key);
    }
  });
}

test("splitSecrets() refuses a secret that codex reads from nowhere else, and does not repeat it", () => {
  const refused: Record<string, JsonValue>[] = [
    { "otel.exporter.otlp-http.headers.x-api-key": SECRET },
    { "shell_environment_policy.set": { API_TOKEN: SECRET } },
    { openai_base_url: `https://user:${SECRET}@example.org/` },
    { "mcp_servers.s.args": ["--url", `https://user:${SECRET}@example.org/`] },
    { "mcp_servers.s.env": { PLAIN: `Bearer ${SECRET}` } },
    { mcp_servers: { a: { env: { T_TOKEN: SECRET } }, b: { env: { T_TOKEN: `${SECRET}2` } } } },
  ];
  for (const overrides of refused) {
    assert.throws(() => splitSecrets(overrides), (error) => {
      assert.ok(error instanceof PolicyError);
      assert.ok(!`${error.message}${JSON.stringify(error.data)}`.includes("hunter2"));
      return true;
    }, JSON.stringify(overrides));
  }
});
