/** The tables of methods, fields, keys and features against the schema of the newest codex: what has no row fails here. */
import assert from "node:assert/strict";
import type { JsonObject, JsonValue } from "../../../src/json.ts";
import { configNeeds, configRefusal } from "../../../src/permissions/config/config_needs.ts";
import { knownConfigKeys, knownFeatures } from "../../../src/permissions/config/config_needs.ts";
import { knownMethods, methodReach } from "../../../src/permissions/guard/method_table.ts";
import { fieldHandling, fieldPasses } from "../../../src/permissions/guard/method_table.ts";
import { answerSchemaText, schemaText } from "../../../src/protocol/generated/schema.ts";
import { methodsOfKind } from "../../../src/protocol/inventory.ts";
import { test } from "../../_harness.ts";
import { CONFIG_KEYS, FEATURES } from "./config_keys.ts";

const schema: Record<string, JsonValue[]> = {
  ...JSON.parse(answerSchemaText),
  ...JSON.parse(schemaText),
};

/** The members of an object type in the generated table: names at every second place, optional ones marked. */
function membersOf(type: string): string[] {
  const row = schema[type];
  assert.ok(Array.isArray(row) && row[0] === "o", `${type} is no object type`);
  return row.slice(2).filter((_, at) => at % 2 === 0).map((name) =>
    String(name).replace(/[?~]+$/, "")
  );
}

test("each of the server's methods has a row of its own, and no other has one", () => {
  const served = methodsOfKind("clientRequest").map(({ method }) => method);
  assert.equal(served.length, 184);
  const rows = knownMethods();
  assert.equal(new Set(rows).size, rows.length, "a method has two rows");
  assert.deepEqual(served.filter((method) => !rows.includes(method)), []);
  // The old server's name of `thread/revert`.
  assert.deepEqual(rows.filter((method) => !served.includes(method)), ["thread/rollback"]);
  assert.equal(methodReach("account/somethingNew"), "everything");
});

test("each field of the calls that start, take up and set threads and turns, or run a command, has a row", () => {
  const calls = methodsOfKind("clientRequest")
    .filter(({ method }) => ["thread", "turn", "exec"].includes(methodReach(method)));
  assert.equal(calls.length, 10);
  const missing = calls.flatMap(({ method, params }) =>
    membersOf(params!).filter((field) => fieldHandling(field) === undefined)
      .map((field) => `${method} ${field}`)
  );
  assert.deepEqual(missing, []);
  assert.equal(fieldPasses("aFieldOfTheFuture", true), false);
  assert.equal(fieldPasses("daybreakEnabled", true), false);
  assert.equal(fieldPasses("daybreakEnabled", null), true);
});

test("each key of codex's configuration has a row, and each key that the protocol knows", () => {
  const rows = new Set(knownConfigKeys());
  assert.equal(CONFIG_KEYS.length, 102);
  assert.deepEqual(CONFIG_KEYS.filter((key) => !rows.has(key)), []);
  assert.deepEqual(membersOf("Config").filter((key) => !rows.has(key)), []);
});

test("each feature of codex has a row", () => {
  const rows = new Set(knownFeatures());
  assert.ok(FEATURES.length > 215);
  assert.deepEqual(FEATURES.filter((feature) => !rows.has(feature)), []);
});

/** What settings need: nothing, reading, the network, or everything. */
const NEEDS: [JsonObject, "nothing" | "read" | "net" | "env" | "everything"][] = [
  [{ model: "m", "tui.theme": "x", personality: "friendly" }, "nothing"],
  [{ web_search: "cached" }, "nothing"],
  [{ web_search: "live" }, "net"],
  [{ tools: { web_search: true } }, "net"],
  [{ "tools.web_search": { allowed_domains: ["a"] } }, "net"],
  [{ tools: { web_search: false, view_image: true } }, "nothing"],
  [{ tools: { future: true } }, "everything"],
  [{ features: { multi_agent: true, "goals": false } }, "nothing"],
  [{ agents: { max_threads: 2, x: { description: "d", nickname_candidates: ["n"] } } }, "nothing"],
  [{ agents: { x: { description: "d", config_file: "/x.toml" } } }, "everything"],
  [{ "features.js_repl": true }, "everything"],
  [{ "features.enable_fanout": true }, "everything"],
  [{ features: { enable_fanout: false } }, "nothing"],
  [{ "features.js_repl": false }, "nothing"],
  [{ "features.tool_call_mcp_elicitation": false }, "everything"],
  [{ features: { hooks: false } }, "everything"],
  [{ features: { hooks: true } }, "nothing"],
  [{ features: { a_feature_of_the_future: false } }, "everything"],
  [{ notify: ["x"] }, "everything"],
  [{ notify: [] }, "nothing"],
  [{ "mcp_servers.a.enabled": false }, "nothing"],
  [{ mcp_servers: { a: { url: "http://x" } } }, "everything"],
  [{ "model_providers.p.base_url": "http://x" }, "nothing"],
  [{ "model_providers.p.env_key": "OTHER_TOKEN" }, "env"],
  [{ model_providers: { p: { auth: { command: "x" } } } }, "everything"],
  [{ model_providers: { p: { aws: { profile: "x" } } } }, "everything"],
  [{ "model_providers.p.requires_openai_auth": true }, "everything"],
  [{ "model_providers.p.requires_openai_auth": false }, "nothing"],
  [{ model_providers: { p: { a_member_of_the_future: 1 } } }, "everything"],
  [{ openai_base_url: "http://x" }, "everything"],
  [{ "agents.max_depth": 1 }, "nothing"],
  [{ agents: { evil: { config_file: "/x" } } }, "everything"],
  [{ analytics: { enabled: false } }, "nothing"],
  [{ analytics: { enabled: true } }, "net"],
  [{ model_instructions_file: "/etc/passwd" }, "read"],
  [{ project_doc_fallback_filenames: ["CLAUDE.md"] }, "nothing"],
  [{ project_doc_fallback_filenames: ["../../secret"] }, "read"],
  [{ model_instructions_file: "notes.md" }, "read"],
  [{ default_permissions: ":read-only" }, "read"],
  [{ default_permissions: ":danger-full-access" }, "everything"],
  [{ sandbox_workspace_write: { network_access: true } }, "everything"],
  [{ approvals_reviewer: "auto_review" }, "everything"],
  [{ a_key_of_the_future: 1 }, "everything"],
  [{ a_key_of_the_future: null }, "nothing"],
  [{ notify: null }, "nothing"],
  [{ notify: [] }, "nothing"],
  [{ mcp_servers: { x: { enabled: false } } }, "nothing"],
  [{ mcp_servers: { x: { enabled: true } } }, "everything"],
  [{ a_key_of_the_future: { x: { enabled: false } } }, "everything"],
  [{ mcp_servers: { x: { command: false } } }, "everything"],
];

test("configNeeds() looks at the value where the key does not tell", async (t) => {
  for (const [config, expected] of NEEDS) {
    await t.step(JSON.stringify(config), () => {
      const kinds = new Set(configNeeds(config, "/w").map(({ kind }) => kind));
      const found = kinds.has("ffi") ? "everything" : [...kinds][0] ?? "nothing";
      assert.equal(found, expected);
    });
  }
});

test("configRefusal() refuses projects that say nothing: a session's own word for them would be gone", () => {
  const empty: JsonValue[] = [{}, [], null, { "/w": {} }, { "/w": { trust_level: null } }];
  const keys = ["projects", "projects./w"];
  for (const value of empty) {
    for (const key of keys) {
      const refusal = configRefusal({ [key]: value }, "/w", { allowPrivilegedEscalation: true });
      assert.match(refusal?.message ?? "", /says nothing/, `${key} ${JSON.stringify(value)}`);
    }
  }
  const told = { projects: { "/w": { trust_level: "untrusted" } } };
  assert.equal(configRefusal(told, "/w", { allowPrivilegedEscalation: true }), null);
  assert.notEqual(configRefusal(told, "/w", {}), null);
});

test("configRefusal() lets a session have what reads, and the rest with consent", () => {
  for (const [config, expected] of NEEDS) {
    const [key] = Object.keys(config) as [string];
    const decided = /^(default_permissions|sandbox_|approvals_reviewer)/.test(key);
    const refused = configRefusal(config, "/w", {}) !== null;
    assert.equal(refused, decided || !["nothing", "read"].includes(expected), key);
    const consented = configRefusal(config, "/w", { allowPrivilegedEscalation: true });
    assert.equal(consented !== null, decided, key);
  }
  const secret = { "mcp_servers.my-private-server.env": { T: "hunter2" } };
  const { message } = configRefusal(secret, "/w", {})!;
  assert.doesNotMatch(message, /hunter2|private/);
  // The profile's `webSearch` becomes this one.
  assert.match(configRefusal({ web_search: "live" }, "/w", {})!.message, /^`webSearch` lets/);
});
