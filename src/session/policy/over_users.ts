/**
 * What holds in a session over what the user's configuration and account bring: hooks that answer in our place, tools that were
 * approved for ever, a chosen profile, apps and plugins.
 * @module
 */
import { PolicyError } from "../../errors/mod.ts";
import { isJsonObject, type JsonObject, memberOf, objectOf, objectsOf } from "../../json.ts";
import type { EffectivePolicy } from "../../permissions/mod.ts";
import { supports } from "../../protocol/mod.ts";
import type { RuntimeCore } from "../../runtime/mod.ts";

/** A thread's settings, with those that hold over what the user's configuration and account bring. */
export async function overUsers(
  core: RuntimeCore,
  { cwd, reads, approvalPolicy }: EffectivePolicy,
  config: JsonObject,
  { goals, guarded, narrowed }: {
    goals: boolean;
    /** Whether hooks or rules are to see each call of a tool. */
    guarded: boolean;
    /** Takes a sentence for what the session loses. */
    narrowed: string[];
  },
): Promise<JsonObject> {
  const distrusts = memberOf(objectOf(config, "projects", cwd), "trust_level") === "untrusted";
  const reading = usersConfig(core, cwd, distrusts);
  const [{ users }, here] = await Promise.all([
    reading,
    approvalPolicy === "never" ? {} : answeredHere(core, cwd, config, guarded, reading),
  ]);
  const apart: JsonObject = reads === "all" ? {} : {
    // What the login's account is connected to, such as its mail, is read by tools that nobody is asked about; of the two
    // names codex takes the older one.
    "features.apps": false,
    "features.connectors": config["features.apps"] ?? false,
    ...(searchesLive(users) ? { web_search: "cached" } : {}),
  };
  if (guarded || reads !== "all") {
    // Codex starts the programs of the account's plugins, and a plugin itself may approve its tools (0.130 to 0.169).
    apart["features.plugins"] = false;
    if (Object.keys(objectOf(users, "plugins") ?? {}).length > 0) {
      narrowed.push("Codex's plugins are left out, unless `config` has `features.plugins` on.");
    }
  }
  const held = { ...apart, ...config, ...here };
  return supports(core.server.version, "profilesWin")
    ? overProfile(users, { ...held, "features.goals": goals })
    : held;
}

/**
 * Codex's own configuration for a directory: of all its layers, and of its flags, whose tables codex replaces by those of a
 * thread. `distrusts`: the MCP servers of a project's do not count, which a thread can't have any setting of.
 */
async function usersConfig(
  core: RuntimeCore,
  cwd: string,
  distrusts: boolean,
): Promise<{ users: JsonObject; flags: JsonObject }> {
  const read = await core.callNow("config/read", { cwd, includeLayers: true });
  const users = objectOf(read, "config") ?? {};
  const layers = objectsOf(read, "layers");
  const typeOf = ({ name }: JsonObject) => memberOf(name, "type");
  const flags = objectOf(layers.find((layer) => typeOf(layer) === "sessionFlags"), "config") ?? {};
  const counting = distrusts ? layers.filter((layer) => typeOf(layer) !== "project") : [read];
  const servers = Object.entries(objectOf(users, "mcp_servers") ?? {}).filter(([name]) =>
    counting.some((layer) => memberOf(layer, "config", "mcp_servers", name) !== undefined)
  );
  return { users: { ...users, mcp_servers: Object.fromEntries(servers) }, flags };
}

/** Whether it has the model search the live web, also by the older names. */
function searchesLive({ web_search: mode, features }: JsonObject): boolean {
  const older = memberOf(features, "web_search_request") ?? memberOf(features, "web_search");
  return (mode ?? (older === true ? "live" : null)) === "live";
}

/** The settings by which codex's questions come to this client, whoever else the user's configuration has answer them. */
async function answeredHere(
  core: RuntimeCore,
  cwd: string,
  own: JsonObject,
  guarded: boolean,
  reading: ReturnType<typeof usersConfig>,
): Promise<JsonObject> {
  const [hooks, { users, flags }] = await Promise.all([
    withoutAnsweringHooks(core, cwd, own),
    reading,
  ]);
  const held: JsonObject = { ...hooks };
  const tables = {
    mcp_servers: objectOf(users, "mcp_servers"),
    apps: { _default: {}, ...objectOf(users, "apps") },
  };
  for (const [table, read] of Object.entries(tables)) {
    // Where the user says nothing of its tools, a server is believed that they only read.
    const unsaid = Object.entries(read ?? {}).map(([name, one]) => [
      name,
      { default_tools_approval_mode: "auto", ...one as JsonObject },
    ]);
    const told = asking(
      Object.fromEntries(unsaid),
      { ...objectOf(flags, table), ...objectOf(own, table) },
      guarded,
    );
    if (told !== null) held[table] = told;
  }
  return held;
}

/**
 * The settings by which no hook of the user's or of a plugin answers codex's questions: codex asks those first, and us only where
 * none has answered (0.129 to 0.169). What this script itself gave codex stays, and so do an administrator's hooks.
 */
async function withoutAnsweringHooks(
  core: RuntimeCore,
  cwd: string,
  own: JsonObject,
): Promise<JsonObject> {
  if (!supports(core.server.version, "listsHooks")) return {};
  const listed = await core.callNow("hooks/list", { cwds: [cwd] });
  const answering = objectsOf(listed, "data").flatMap((one) => objectsOf(one, "hooks"))
    .filter(({ eventName, enabled, isManaged, source }) =>
      eventName === "permissionRequest" && enabled !== false && isManaged !== true &&
      source !== "sessionFlags"
    );
  if (answering.length === 0) return {};
  const off = Object.fromEntries(answering.map(({ key }) => [String(key), { enabled: false }]));
  const state = { ...objectOf(own, "hooks", "state"), ...off };
  return { hooks: { ...objectOf(own, "hooks"), state } };
}

/**
 * A table of MCP servers or apps as the caller has it, with what makes codex ask here: of apps whose questions its own reviewer
 * would answer (0.145 to 0.169); and, where hooks or rules are to see each call (`guarded`), of the tools that the user has
 * approved for ever, or that a server may say to only read. What the caller's own settings say stays. `null` where there is
 * nothing to say.
 */
function asking(
  read: JsonObject,
  own: JsonObject | null,
  guarded: boolean,
): JsonObject | null {
  const told: JsonObject = {};
  for (const [key, value] of Object.entries(read)) {
    const inner = isJsonObject(value)
      ? asking(value, objectOf(own, key), guarded)
      : own?.[key] !== undefined
      ? null
      : key === "approvals_reviewer" && typeof value === "string" && value !== "user"
      ? "user"
      : guarded && /^(?:default_tools_)?approval_mode$/.test(key)
      ? "prompt"
      : null;
    if (inner !== null) told[key] = inner;
  }
  return Object.keys(told).length === 0 ? null : { ...own, ...told };
}

/**
 * A thread's settings, also as those of the profile that the user's configuration chooses: codex lets that win (0.104 to 0.130).
 * Only what a profile can hold.
 */
function overProfile(users: JsonObject, config: JsonObject): JsonObject {
  const profile = config["profile"] ?? users["profile"];
  if (typeof profile !== "string") return config;
  const own: JsonObject = { features: {} };
  for (const [key, value] of Object.entries(config)) {
    const [first, name] = key.split(".");
    if (first === "features" && name !== undefined) (own["features"] as JsonObject)[name] = value;
    else if (key === "web_search" || key === "tools") own[key] = value;
  }
  return { ...config, profiles: { [profile]: own } };
}

/** Rejects a prompt that asks in a session that did not: its thread has those hooks and reviewers. */
export async function refuseOtherAnswers(core: RuntimeCore, cwd: string): Promise<void> {
  if (
    Object.keys(await answeredHere(core, cwd, {}, false, usersConfig(core, cwd, false))).length ===
      0
  ) {
    return;
  }
  throw new PolicyError(
    "A hook (`PermissionRequest`) or a reviewer of apps, which the user's configuration names, would answer codex's questions in " +
      "your place. Give the session the approval policy or the hooks from its start, which leaves them out.",
    { data: { reason: "answeringHooks" } },
  );
}
