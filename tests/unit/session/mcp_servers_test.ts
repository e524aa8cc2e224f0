/** What MCP servers of a session may be, what they need, and how codex is told of them. */
import assert from "node:assert/strict";
import { checkArgument } from "../../../src/check/mod.ts";
import {
  InvalidArgumentError,
  PermissionDeniedError,
  PolicyError,
} from "../../../src/errors/mod.ts";
import type { JsonValue } from "../../../src/json.ts";
import { type PermissionProbe, unrestrictedProbe } from "../../../src/permissions/mod.ts";
import { redact } from "../../../src/redact.ts";
import {
  gateMcpServers,
  mcpServerNames,
  mcpServerNeeds,
  mcpServerSettings,
  refuseTakenNames,
  threadWithServers,
  withMcpServers,
} from "../../../src/session/mcp/server_settings.ts";
import { type McpServers, mcpServersKind, TOOLS_SERVER } from "../../../src/session/mcp/servers.ts";
import { test } from "../../_harness.ts";

const URL = "https://example.org/mcp";

test("a server is a program or an address, and every mistake is told", () => {
  const problem = (servers: unknown): string => {
    try {
      checkArgument("startSession", "mcpServers", servers, mcpServersKind);
      return "";
    } catch (error) {
      assert.ok(error instanceof InvalidArgumentError, String(error));
      return error.message;
    }
  };
  const good: McpServers[] = [
    {},
    { docs: { url: URL } },
    { docs: { url: "http://127.0.0.1:1/", bearerToken: "t", headers: { "X-A": "b c" } } },
    { git: { command: "git-mcp", args: ["", "--x"], env: { A: "" }, cwd: "/", required: true } },
  ];
  for (const servers of good) assert.equal(problem(servers), "");
  const bad: [unknown, RegExp][] = [
    [[], /Write `mcpServers: \{ name/],
    [{ a: "npx x" }, /`mcpServers\.a`/],
    [{ a: {} }, /received neither `command` nor `url`/],
    [{ a: { command: "x", url: URL } }, /received both/],
    [{ a: { type: "stdio", command: "x" } }, /Leave `type` out/],
    [{ a: { command: "" } }, /`mcpServers\.a\.command`/],
    [{ a: { command: "x\0" } }, /command/],
    [{ a: { command: "x", args: "y" } }, /args/],
    [{ a: { command: ["x", "y"] } }, /received an array\. Give what follows .* as `args`/],
    [{ a: { command: "x", args: ["a\0"] } }, /args\[0\]/],
    [{ a: { command: "x", env: { "A=B": "c" } } }, /below the name of a variable/],
    [{ a: { command: "x", env: { A: 1 } } }, /env\.A/],
    [{ a: { command: "x", startupTimeoutMs: 0 } }, /startupTimeoutMs/],
    [{ a: { url: URL, startupTimeoutMs: NaN } }, /startupTimeoutMs/],
    [{ a: { url: URL, startup_timeout_sec: 5 } }, /Did you mean `startupTimeoutMs`/],
    [{ a: { url: URL, bearer_token_env_var: "T" } }, /Read the variable, and give its value/],
    [{ a: { url: URL, bearerTokenEnvVar: "T" } }, /Read the variable, and give its value/],
    [{ a: { command: "x", bearerToken: "t" } }, /no option `mcpServers\.a\.bearerToken`/],
    [{ a: { url: "ftp://x" } }, /http: or https:/],
    [{ a: { url: "nonsense" } }, /http: or https:/],
    [{ a: { url: "https://user:hunter2@example.org" } }, /Give credentials as `bearerToken`/],
    [{ a: { url: URL, bearerToken: "a\r\nX: y" } }, /bearerToken/],
    [{ a: { url: URL, bearerToken: "" } }, /bearerToken/],
    [{ a: { url: URL, headers: { "X-A": "b\nC: d" } } }, /headers/],
    [{ a: { url: URL, headers: { "X A": "b" } } }, /below the name of a header/],
    [{ a: { url: URL, bearerToken: "t", headers: { authorization: "x" } } }, /one of the two/],
    [{ a: { url: URL, bearer_token: "t" } }, /Did you mean `bearerToken`/],
    [{ "a.b": { url: URL } }, /letters, digits/],
    [{ "": { url: URL } }, /letters, digits/],
    [{ [TOOLS_SERVER]: { url: URL } }, /a name that is taken/],
    [{ codex_apps: { url: URL } }, /a name that is taken/],
    [JSON.parse(`{"__proto__": {"command": ""}}`), /command/],
  ];
  for (const [servers, message] of bad) assert.match(problem(servers), message);
  assert.doesNotMatch(problem({ a: { url: "https://user:hunter2@example.org" } }), /hunter2/);
});

test("a program needs consent and every permission, an address its host", () => {
  const program = { git: { command: "git-mcp" } };
  const address = { docs: { url: "https://example.org/mcp" } };
  const consent = { allowPrivilegedEscalation: true };
  const none = { allowPrivilegedEscalation: false };
  const only = (host: string): PermissionProbe => ({
    ...unrestrictedProbe,
    enforcedBy: "deno",
    net: (asked) => asked === host,
  });
  assert.throws(() => gateMcpServers(program, none, unrestrictedProbe), PolicyError);
  gateMcpServers(program, consent, unrestrictedProbe);
  gateMcpServers(address, none, unrestrictedProbe);
  gateMcpServers(address, none, only("example.org:443"));
  assert.throws(
    () => gateMcpServers(program, consent, only("example.org:443")),
    (error) => error instanceof PermissionDeniedError && error.missing.includes("--allow-net"),
  );
  assert.throws(
    () => gateMcpServers(address, consent, only("example.org:80")),
    (error) =>
      error instanceof PermissionDeniedError &&
      error.missing.join() === "--allow-net=example.org:443",
  );
  const hosts: [string, string][] = [
    ["http://a/", "a:80"],
    ["https://a/", "a:443"],
    ["http://a:443/", "a:443"],
    ["http://[::1]:9/x", "[::1]:9"],
  ];
  for (const [url, host] of hosts) {
    assert.deepEqual(mcpServerNeeds({ url }), [{ kind: "net", host }]);
  }
});

test("codex is told a server in its own words", () => {
  assert.deepEqual(
    mcpServerSettings({ url: URL, bearerToken: "t", headers: { "X-A": "b" } }, "/w"),
    {
      url: URL,
      http_headers: { "X-A": "b", Authorization: "Bearer t" },
    },
  );
  assert.deepEqual(mcpServerSettings({ url: URL, required: true }, "/w"), {
    url: URL,
    required: true,
  });
  for (const [ms, seconds] of [[1, 0.001], [90_000, 90], [Infinity, 31_536_000]] as const) {
    const slow = mcpServerSettings({ url: URL, startupTimeoutMs: ms }, "/w");
    assert.deepEqual(slow, { url: URL, startup_timeout_sec: seconds });
  }
  const program = { command: "x", args: ["y"], env: { A: "b" }, cwd: "/" };
  assert.deepEqual(mcpServerSettings(program, "/w"), program);
  assert.deepEqual(mcpServerSettings({ command: "x" }, "/w"), { command: "x", cwd: "/w" });
});

test("servers join those of the caller's own settings, however these are spelled", () => {
  const docs = { url: URL };
  const cases: [Record<string, JsonValue>, JsonValue][] = [
    [{}, {}],
    [{ mcp_servers: { a: { command: "x" } } }, { a: { command: "x" } }],
    [{ "mcp_servers.a.command": "x", "mcp_servers.a.env": { B: "c" } }, {
      a: { command: "x", env: { B: "c" } },
    }],
    [{ "mcp_servers.a.env.B": "c", mcp_servers: { a: { command: "x", env: { D: "e" } } } }, {
      a: { command: "x", env: { B: "c", D: "e" } },
    }],
    [{ "mcp_servers.a": { command: "x" } }, { a: { command: "x" } }],
  ];
  for (const [settings, nested] of cases) {
    const before = structuredClone(settings);
    const joined = withMcpServers({ model: "m", ...settings }, { docs });
    assert.deepEqual(joined, { model: "m", mcp_servers: { ...(nested as object), docs } });
    assert.deepEqual([...mcpServerNames(settings)], Object.keys(nested as object));
    assert.deepEqual(settings, before);
  }
  const untouched = { "mcp_servers.a.command": "x" };
  assert.deepEqual(withMcpServers(untouched, {}), untouched);
});

test("codex is told to ask about each tool where hooks or rules guard them", () => {
  const docs = { url: URL };
  const served = { name: "own", settings: { url: URL } };
  const settings = {
    "mcp_servers.a.command": "x",
    "mcp_servers.b": { command: "y", default_tools_approval_mode: "approve" },
  };
  const prompt = { default_tools_approval_mode: "prompt" };
  const whole = threadWithServers(settings, { docs }, { served, guarded: true });
  assert.deepEqual(whole, {
    mcp_servers: {
      a: { command: "x", ...prompt },
      b: settings["mcp_servers.b"],
      docs: { ...docs, ...prompt },
      // What runs in this process is not asked about twice.
      own: { url: URL },
    },
  });
  const unguarded = { served: null, guarded: false };
  assert.deepEqual(threadWithServers({}, { docs }, unguarded), { mcp_servers: { docs } });
  assert.deepEqual(threadWithServers(settings, {}, unguarded), settings);
  assert.deepEqual(threadWithServers({ a: 1 }, {}, { served: null, guarded: true }), { a: 1 });
});

test("a name that is there already is refused", () => {
  refuseTakenNames({ docs: { url: URL } }, new Set(["other"]), "codex's configuration");
  assert.throws(
    () => refuseTakenNames({ docs: { url: URL } }, new Set(["docs"]), "codex's configuration"),
    /`mcpServers\.docs` must be a name of its own.*codex's configuration has, too/,
  );
});

test("what is logged of a session's MCP servers has no variables and no headers", () => {
  const message = {
    params: {
      config: {
        mcp_servers: {
          git: { command: "x", env: { PLAIN: "hunter2", HOME: "/h" } },
          docs: { url: URL, http_headers: { "X-Any": "hunter2" } },
        },
      },
    },
  };
  const clean = JSON.stringify(redact(message));
  assert.doesNotMatch(clean, /hunter2/);
  assert.match(clean, /example\.org/);
  assert.match(clean, /"command":"x"/);
});

test("settings with hostile names change nothing but themselves", () => {
  for (
    const text of [
      '{"mcp_servers":{"__proto__":{"planted":1}}}',
      '{"mcp_servers.a":{"x":1},"mcp_servers.a.__proto__":{"planted":1}}',
      '{"mcp_servers.__proto__.planted":1}',
      '{"mcp_servers.a":{"constructor":{"prototype":{"planted":1}}},"mcp_servers.a.constructor.prototype.planted":1}',
    ]
  ) {
    const settings = JSON.parse(text);
    const sent = JSON.stringify(withMcpServers(settings, { docs: { url: URL } }));
    assert.match(sent, /planted/);
    mcpServerNames(settings);
    assert.equal(({} as { planted?: unknown }).planted, undefined, text);
  }
});
