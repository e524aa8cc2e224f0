/**
 * The codex settings of a session's thread: the caller's own, with what no session leaves to anyone else on top.
 * @module
 */
import { PolicyError } from "../../errors/mod.ts";
import { isJsonObject, type JsonValue, memberOf } from "../../json.ts";
import { parentPath } from "../../platform/mod.ts";
import { supports } from "../../protocol/mod.ts";
import { SECRET_VARIABLES } from "../../redact.ts";

/** What the settings depend on. */
export interface SessionSettingsFacts {
  /** The directory the agent works in, absolute on the server's machine. */
  cwd: string;
  /** What the agent's commands see of the environment. Default `"withoutSecrets"`. */
  commands?: "withoutSecrets" | "codexDefault" | undefined;
  /** The settings that codex was started with. */
  started: Readonly<Record<string, JsonValue>>;
  /** Whether codex is told not to trust the project; see {@linkcode trustOf}. */
  distrust: boolean;
  /** Whether codex asks about what the agent does. */
  asks: boolean;
  /** The server's version, or `null` when unknown. */
  serverVersion: string | null;
}

/**
 * What a thread is sent as `config`. Beside the caller's own:
 *
 * - the filter for the environment, since codex replaces what it was started with by what a thread brings;
 * - `approvals_reviewer`: the server's questions come here, whatever the user configured;
 * - `notify`: the user's program would run without a sandbox at the end of each turn;
 * - `projects`, where codex would else trust the directory, and with it the programs that its `.codex` names;
 * - no hooks of codex's own before 0.129, unless the caller's settings name them: before 0.125 they would be those of any
 *   repository, and none can be switched off that answers questions in our place;
 * - no terminals, where somebody is asked; see {@linkcode withoutTerminals}; and calls of MCP servers' tools asked about as such;
 * - no tools that act past the sandbox of the session, unless the caller's own settings switch them on.
 *
 * Throws `PolicyError` for a setting that would bring secrets back to the agent's commands, or terminals.
 */
export function sessionSettings(
  own: Readonly<Record<string, JsonValue>>,
  facts: SessionSettingsFacts,
): Record<string, JsonValue> {
  const inherited = Object.fromEntries(
    Object.entries(facts.started).filter(([key]) =>
      key.split(".")[0] === "shell_environment_policy"
    ),
  );
  if (facts.commands !== "codexDefault" && turnsSnapshotsOn(own)) {
    throw new PolicyError(
      "`config.features.shell_snapshot` would show the agent's commands the secrets of the environment again. " +
        'Leave it out, or leave the environment to codex with `env: { commands: "codexDefault" }`.',
    );
  }
  const noTerminals = facts.asks ? withoutTerminals(facts.serverVersion) : null;
  for (const key of Object.keys(noTerminals ?? {})) {
    if ((featureOf(own, key.slice("features.".length)) ?? false) === false) continue;
    throw new PolicyError(
      `\`config.${key}\` would let the agent type into programs that were accepted, which nobody is asked about. ` +
        'Leave it out, or choose approvalPolicy "never".',
      { data: { key } },
    );
  }
  return {
    notify: [],
    ...(facts.distrust && !hasSetting(own, "projects") ? { projects: distrusted(facts.cwd) } : {}),
    ...withoutHooks(facts),
    ...withShellEnvironment([inherited, own], facts.commands),
    approvals_reviewer: "user",
    // Or a call of an MCP server's tool would be a question like those that the agent has: seen by no rule and no hook.
    ...(facts.asks && supports(facts.serverVersion, "asksAboutMcpTools")
      ? { "features.tool_call_mcp_elicitation": true }
      : {}),
    ...noTerminals,
    ...withoutReachingTools(own, facts.started),
    ...withoutOlderAgents(own, facts),
  };
}

/**
 * Models of codex's catalog name the tools for agents that they have, and a thread keeps those it was begun with, whatever the
 * features say (0.137 to 0.169): those that speak to any thread, such as gpt-5.6-luna's or those of threads of codex's TUI, are
 * there down to this depth only, which codex takes since 0.145. The tools of `multi_agent_v2` know none.
 */
function withoutOlderAgents(
  own: Settings,
  { started, serverVersion }: SessionSettingsFacts,
): Settings {
  const chosen = [own, started].some((one) =>
    REACHING[0]!.some((name) => featureOf(one, name) === true)
  );
  if (chosen || !supports(serverVersion, "modelsNameAgents")) return {};
  const { agents } = own;
  // Of two spellings codex takes one in an order that is not ours to know.
  const nested: Settings = isJsonObject(agents) ? { agents: { ...agents, max_depth: 0 } } : {};
  return { ...nested, "agents.max_depth": 0 };
}

/** Features, by their names of all versions, whose tools act past the sandbox of the session that has them. */
const REACHING: readonly (readonly string[])[] = [
  // `send_input` and others take the id of any thread that the same codex has loaded, and work in its sandbox: the agent of
  // a read-only session had one with full access write (0.104 to 0.169). The tools of `multi_agent_v2` know their own only.
  ["multi_agent", "collab"],
  // Reads and writes files wherever they lie (0.110 to 0.125).
  ["enable_fanout"],
  // Runs the model's JavaScript without a sandbox, with all of the environment (0.110 to 0.116).
  ["artifact"],
];

/**
 * The settings that leave those tools out, but for features that are chosen already. Codex is started with them as well, since
 * a thread that a raw call begins brings none: the agent of a read-only one closed the threads of sessions (0.104 to 0.169).
 */
export function withoutReachingTools(...chosen: readonly Settings[]): Record<string, JsonValue> {
  const isChosen = (name: string) => chosen.some((one) => featureOf(one, name) !== undefined);
  return Object.fromEntries(
    REACHING.flatMap((names) => names.some(isChosen) ? [] : [[`features.${names[0]}`, false]]),
  );
}

/**
 * The settings by which the agent can type nothing into a program that runs, or `null` where codex has none: 0.150 to 0.153.
 *
 * Codex asks about a command and about what another turn types into it, and never about what the same turn does (0.104 to
 * 0.169): whoever accepts `less README.md` has accepted `!rm -rf .` as well, unseen by rules and hooks. About the code that is
 * typed into `js_repl` it never asks (0.104 to 0.125).
 */
export function withoutTerminals(serverVersion: string | null): Record<string, JsonValue> | null {
  if (supports(serverVersion, "ttySwitch")) return { "features.unified_exec_tty": false };
  return supports(serverVersion, "unifiedExecSwitch")
    ? { "features.unified_exec": false, "features.js_repl": false }
    : null;
}

/** How a session keeps codex from trusting the directory it works in. */
export interface Trust {
  /** Whether the thread's settings say that the project is not trusted. */
  distrust: boolean;
  /** Whether the thread starts read-only, and each turn says how far it reaches. */
  startReadOnly: boolean;
  /** What the session loses by it, one sentence each. */
  notes: string[];
}

/**
 * How to keep codex from trusting a directory. A thread that starts with a sandbox that writes makes codex 0.125 and later
 * write `trust_level = "trusted"` into the user's configuration, and run at once what the directory's `.codex` names: MCP
 * servers, hooks, rules.
 *
 * Codex before 0.150 is told that the project is untrusted. From then on it would not read `AGENTS.md` any more, so that
 * there the thread starts read-only, which gives no trust, and its turns bring the sandbox. A permission profile can
 * be brought by turns since 0.160 only: one that writes is told the other way before, and so is a thread whose network goes
 * through codex's proxy (`features.network_proxy`): turns that bring the network go past it.
 */
export function trustOf(
  policy: {
    writes: boolean;
    profile: boolean;
    docsNeedTrust: boolean;
    turnProfiles: boolean;
    /** Whether codex starts a proxy for the network of a thread, which it does at its start or never. */
    proxied: boolean;
  },
): Trust {
  const { writes, profile, docsNeedTrust, turnProfiles, proxied } = policy;
  if (!docsNeedTrust) return { distrust: true, startReadOnly: false, notes: [] };
  if (!proxied && (!profile || turnProfiles)) {
    return { distrust: false, startReadOnly: writes, notes: [] };
  }
  const notes = writes
    ? ["Codex does not read AGENTS.md; put what it says into developerInstructions."]
    : [];
  return { distrust: writes, startReadOnly: false, notes };
}

/** Codex decides folder by folder, each with a `.codex` of its own. */
function distrusted(cwd: string): Record<string, JsonValue> {
  const folders: Record<string, JsonValue> = {};
  for (let path: string | null = cwd; path !== null; path = parentPath(path)) {
    folders[path] = { trust_level: "untrusted" };
  }
  return folders;
}

/**
 * Codex that takes a `.codex` with no `config.toml` for trusted (to 0.120) runs the hooks in it, where the user has switched
 * hooks on; 0.125 asks hooks before it asks us.
 */
function withoutHooks({ distrust, serverVersion }: SessionSettingsFacts): Settings {
  return distrust && !supports(serverVersion, "listsHooks")
    ? { "features.codex_hooks": false }
    : {};
}

/** Whether settings, dotted or nested, say something of a key, by its first word. */
export function hasSetting(settings: Readonly<Record<string, unknown>>, first: string): boolean {
  return Object.keys(settings).some((key) => key.split(".")[0] === first);
}

function turnsSnapshotsOn(settings: Readonly<Record<string, JsonValue>>): boolean {
  return ["shell_snapshot", "shell_snapshot_v2"].some((name) =>
    (featureOf(settings, name) ?? false) !== false
  );
}

function featureOf(settings: Settings, name: string): JsonValue | undefined {
  return memberOf(settings["features"], name) ?? settings[`features.${name}`];
}

// What the agent's commands see of the environment, by codex's own `shell_environment_policy`.

const SECTION = "shell_environment_policy";
const EXCLUDE = `${SECTION}.exclude`;
/** Tables of which a thread brings single members, since codex would replace the whole table. */
const FLAT: readonly string[] = [SECTION, "features"];
const SNAPSHOT = "features.shell_snapshot";

type Settings = Readonly<Record<string, JsonValue>>;

/**
 * A thread's or process's codex settings, with secrets kept from the agent's commands. Of several settings the later ones
 * win.
 *
 * `"withoutSecrets"` adds the names to leave out to those that the settings themselves leave out; `"codexDefault"`
 * leaves these to codex. What the settings `set` on purpose stays. A login shell's profile may still define variables anew.
 * It also turns codex's shell snapshots off: 0.104 restores from them the very variables that were left out. The result has
 * dotted keys, which codex takes from `-c` flags and from threads alike.
 */
export function withShellEnvironment(
  settings: Settings | readonly Settings[],
  commands: "withoutSecrets" | "codexDefault" = "withoutSecrets",
): Record<string, JsonValue> {
  const layers: readonly Settings[] = Array.isArray(settings) ? settings : [settings as Settings];
  const asGiven = commands === "codexDefault";
  const flat: Record<string, JsonValue> = {};
  const listed: string[] = [];
  // Only the last is the caller's own; what codex was started with holds without being repeated.
  for (const [key, value] of layers.slice(asGiven ? -1 : 0).flatMap(Object.entries<JsonValue>)) {
    // Of a dotted and a nested spelling, codex would take one in an order that is not ours to know.
    const entries = FLAT.includes(key) && !(asGiven && key === SECTION) && isJsonObject(value)
      ? Object.entries(value).map(([name, inner]) => [`${key}.${name}`, inner] as const)
      : [[key, value] as const];
    for (const [name, inner] of entries) {
      if (name === EXCLUDE && !asGiven) listed.push(...strings(inner));
      else if (inner !== undefined) flat[name] = inner;
    }
  }
  if (asGiven) return flat;
  flat[EXCLUDE] = [...new Set([...SECRET_VARIABLES, ...listed])];
  flat[SNAPSHOT] = false;
  return flat;
}

function strings(value: JsonValue | undefined): string[] {
  return Array.isArray(value) ? value.filter((entry) => typeof entry === "string") : [];
}
