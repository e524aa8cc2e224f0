/**
 * Ask, then check: what the server says of a thread against what was decided for it.
 * @module
 */
import { PolicyMismatchError } from "../../errors/mod.ts";
import { isJsonObject, type JsonObject, type JsonValue, stringOf } from "../../json.ts";
import {
  type AskedPolicy,
  type ConfigJudge,
  confirmPolicy,
  type EffectivePolicy,
  rootAroundHome,
  type ServerFiles,
  type ThreadPolicyParams,
  workspaceRootsBeyond,
} from "../../permissions/mod.ts";
import { currentDirectory, isAbsolutePath, pathKind, resolvePath } from "../../platform/mod.ts";
import { HOOK_FILES, type Hooks } from "../../plugin/mod.ts";
import { codexEnv, isAttached, isRemote, type RuntimeCore } from "../../runtime/mod.ts";
import { ownRoots, policyFacts, realPathFor } from "./policy_facts.ts";

/** A policy, and how it is said to the server. */
export interface DecidedPolicy {
  /** The policy. */
  effective: EffectivePolicy;
  /** Its part of `thread/start`, `thread/resume` and `thread/fork`. */
  thread: ThreadPolicyParams;
  /** Its part of `turn/start`: a sandbox, the name of a permission profile, or nothing where the thread's counts. */
  turn: JsonObject;
  /** The server's files, where a profile was made of them. */
  files: ServerFiles | null;
  /** Directories beyond a policy that the thread brought with it, where turns that write could write, too. Default none. */
  strayRoots?: (policy: EffectivePolicy) => string[];
  /** Where codex could keep accepted commands in the sandbox; `null` when this one can. */
  containment: string | null;
  /** What judges the caller's codex settings; `null`: there are none. */
  judge: ConfigJudge | null;
  /** Whether the agent can type into programs that run, which nobody is asked about. */
  terminals: boolean;
  /** Whether codex takes MCP servers at their word that a tool only reads, and asks nobody that is to hear of it. */
  believesServers: boolean;
  /** Adds what lies between roots and the cwd to a policy; there once the session, or a turn of it, has written. */
  between: ((core: RuntimeCore, policy: EffectivePolicy) => EffectivePolicy) | undefined;
}

/**
 * Compares the server's echo with what was asked. Throws `PolicyMismatchError` when it is wider. What only turns bring is not
 * in the echo of a thread that starts read-only: such a policy is confirmed by what the server says of the first turn, see
 * {@linkcode confirmTurn}.
 */
export function confirmDecided(
  core: RuntimeCore,
  decided: DecidedPolicy,
  result: JsonValue,
): EffectivePolicy {
  const echo: JsonObject = isJsonObject(result) ? result : {};
  const { effective, thread, turn } = decided;
  checkRoots(core, decided, echo);
  const active = echo["activePermissionProfile"];
  const said = isJsonObject(echo["sandbox"]) ? echo["sandbox"] : {};
  // A thread that runs already, on a shared server or resumed, tells what its last turn brought.
  const startedReadOnly = thread.profileId === null
    ? thread.sandbox === "read-only" && said["type"] === "readOnly" &&
      said["networkAccess"] !== true
    : turn["permissions"] !== undefined && turn["permissions"] !== thread.profileId &&
      !(isJsonObject(active) && active["id"] === turn["permissions"]);
  if (!startedReadOnly) return confirmTurn(core, decided, echo);
  const policy: EffectivePolicy = { ...effective, sandbox: { type: "readOnly" } };
  const known = { profileId: thread.profileId, ...placesOf(core, echo) };
  const confirmed = confirmPolicy({ ...known, policy }, echo);
  return {
    ...confirmed,
    sandbox: effective.sandbox,
    confirmed: effective.sandbox.type === "readOnly",
  };
}

/**
 * The same for a thread that a server has gone on with, which tells what the last turn brought: `sent`. That is no more than was
 * asked for, and confirms nothing of the others.
 */
export function confirmLive(
  core: RuntimeCore,
  decided: DecidedPolicy,
  sent: DecidedPolicy,
  result: JsonValue,
): EffectivePolicy {
  try {
    return confirmDecided(core, decided, result);
  } catch (error) {
    if (!(error instanceof PolicyMismatchError)) throw error;
    const { acceptedCommands } = confirmDecided(core, sent, result);
    return { ...decided.effective, acceptedCommands, confirmed: false };
  }
}

/** A thread that brings more roots than were asked for is good for reading everything, and for nothing else. */
function checkRoots(core: RuntimeCore, decided: DecidedPolicy, echo: JsonObject): void {
  const { effective, thread: { profileId } } = decided;
  const { cwd, runtimeWorkspaceRoots } = echo;
  const known = { profileId, ...placesOf(core, echo) };
  const stray = (policy: EffectivePolicy) =>
    workspaceRootsBeyond({ ...known, policy }, { cwd, runtimeWorkspaceRoots });
  if (runtimeWorkspaceRoots !== undefined) decided.strayRoots = stray;
  if (effective.sandbox.type !== "readOnly" || effective.readRoots !== "all") {
    refuseRoots(stray(effective));
  }
}

/** A turn that writes must find no roots beside those that were asked for. */
export function refuseRoots(stray: string[]): void {
  if (stray.length === 0) return;
  throw new PolicyMismatchError([{
    field: "runtimeWorkspaceRoots",
    asked: "none beside the cwd and the writable roots",
    confirmed: stray.join(", "),
  }]);
}

/**
 * What to say of a directory of codex's PATH that the agent may write, or a repository bring. Codex starts git from there by
 * itself, at each turn, and `bwrap`, `lsb_release` and `getconf` (0.104 to 0.169).
 */
export function pathNotes(core: RuntimeCore, policy: EffectivePolicy): string[] {
  const { config } = core;
  const path = isRemote(config) || isAttached(config) ? null : codexEnv(config, "PATH");
  const facts = policyFacts(core);
  const windows = facts.platform === "windows";
  return (path || "/").split(windows ? ";" : ":").filter((folder) =>
    isAbsolutePath(folder) ? rootAroundHome(policy, folder, facts) !== null : !windows
  ).map((folder) =>
    `Codex runs git and others unsandboxed, from ${
      folder || "."
    } as well, where the workspace may put its own. Set a PATH in \`env\`.`
  );
}

/** What to say of programs of hooks that the agent may write: they run outside the sandbox, and their word counts. */
export function hookNotes(core: RuntimeCore, policy: EffectivePolicy, hooks: Hooks): string[] {
  const facts = policyFacts(core);
  const all = isRemote(core.config) ? [] : [...hooks.pre ?? [], ...hooks.post ?? []];
  return all.flatMap((hook) => {
    const [cwd = ".", ...files] = HOOK_FILES.get(hook) ?? [];
    return files.map((file) => resolvePath(resolvePath(currentDirectory() ?? "/", cwd), file));
  }).filter((path) => pathKind(path) === "file" && rootAroundHome(policy, path, facts) !== null)
    .map((path) => `A hook runs ${path} unsandboxed, which the agent may write. Put it elsewhere.`);
}

/** Compares what the server says of a thread with what was asked of it. Throws `PolicyMismatchError` when it is wider. */
function confirmTurn(
  core: RuntimeCore,
  { effective, thread, turn }: DecidedPolicy,
  echo: JsonObject,
): EffectivePolicy {
  const started = turn["sandboxPolicy"] === undefined ? thread.profileId : null;
  const profileId = stringOf(turn, "permissions") ?? started;
  return confirmPolicy({ policy: effective, profileId, ...placesOf(core, echo) }, echo);
}

/** How paths are compared, and which of them codex adds by itself. */
function placesOf(core: RuntimeCore, echo: JsonObject): Pick<AskedPolicy, "realPath" | "ownRoots"> {
  return { realPath: realPathFor(core), ownRoots: ownRoots(core, echo) };
}

/**
 * The session's policy after the server told a thread's settings (`thread/settings/updated`, codex 0.136 and later), which it
 * does when a turn changes them. `asked`: what the last turn asked for. Throws `PolicyMismatchError` when it is wider.
 */
export function confirmSettings(
  core: RuntimeCore,
  policy: EffectivePolicy,
  session: DecidedPolicy,
  asked: DecidedPolicy,
  params: JsonObject,
): EffectivePolicy {
  const settings = params["threadSettings"];
  if (!isJsonObject(settings)) return policy;
  const echo = { ...settings, sandbox: settings["sandboxPolicy"] ?? null };
  const { sandbox, acceptedCommands, confirmed } = confirmDecided(core, asked, echo);
  // A turn with a sandbox of its own says nothing of the others, and neither does a thread before its first turn.
  const own = JSON.stringify(asked.turn) === JSON.stringify(session.turn) &&
    JSON.stringify(sandbox) === JSON.stringify(asked.effective.sandbox);
  return own && confirmed ? { ...policy, acceptedCommands, confirmed } : policy;
}
