/**
 * What of codex's own setup a session is refused for, or told of: rules files, and the sandbox on Windows.
 * @module
 */
import type { Grant } from "../../approvals/mod.ts";
import { PermissionDeniedError, PolicyError, RpcError } from "../../errors/mod.ts";
import { isJsonObject, type JsonObject, type JsonValue, memberOf, objectOf } from "../../json.ts";
import {
  compareEcho,
  type EffectivePolicy,
  hostProbe,
  loadAcceptanceGuard,
  realPathOf,
} from "../../permissions/mod.ts";
import { isInside } from "../../platform/mod.ts";
import { supports } from "../../protocol/mod.ts";
import { isRemote, type RuntimeCore } from "../../runtime/mod.ts";
import { endCommands, STATUS_MS } from "../turn/stop_turn.ts";
import { endsLeft, reachesNetwork, reachOf } from "./policy_facts.ts";

/**
 * Rules files let commands run that no hook, no approval and no permission of this script has seen. Where one of these was
 * meant to hold, that is an error.
 */
export function rulesFilesRefusal(rulesFiles: EffectivePolicy["rulesFiles"]): PolicyError {
  const told = rulesFiles.slice(0, 3).map(({ path, allows }) =>
    allows.length === 0
      ? `${path} (not readable for this script)`
      : `${path} (${allows.slice(0, 3).join(", ")})`
  );
  return new PolicyError(
    `Codex's own rules let commands run outside the sandbox or reach hosts, unseen by hooks, approvals and permissions: ${
      told.join("; ")
    }. ` +
      "Remove them, use another CODEX_HOME, let the script read them, or set `allowRulesFiles: true`.",
    { data: { rulesFiles: rulesFiles.map(({ path }) => path) } },
  );
}

/** A thread's settings, with those that hold over what the user's configuration and account bring. */
export async function overUsers(
  core: RuntimeCore,
  { cwd, reads, approvalPolicy }: EffectivePolicy,
  config: JsonObject,
  goals: boolean,
  guarded: boolean,
): Promise<JsonObject> {
  const apart: JsonObject = reads === "all" ? {} : {
    // What the login's account is connected to, such as its mail, is read by tools that nobody is asked about; of the two
    // names codex takes the older one. Of the account's plugins it starts programs.
    "features.apps": false,
    "features.connectors": config["features.apps"] ?? false,
    "features.plugins": false,
  };
  const hooks = approvalPolicy === "never" ? {} : await withoutAnsweringHooks(core, cwd, config);
  const tables = guarded ? await askingAboutApproved(core, cwd, config) : {};
  const held = { ...apart, ...config, ...hooks, ...tables };
  return supports(core.server.version, "profilesWin")
    ? await overProfile(core, cwd, { ...held, "features.goals": goals })
    : held;
}

/** A call that every codex answers; a cassette that was recorded without it says that it has none (-32601), as no codex does. */
async function lookUp(core: RuntimeCore, method: string, params: JsonObject): Promise<JsonValue> {
  return await core.callNow(method, params).catch((error) => {
    if (error instanceof RpcError && error.rpcCode === -32601) return null;
    throw error;
  });
}

/**
 * The settings by which no hook of the user's or of a plugin answers codex's questions: codex asks those first, and us only where
 * none has answered (0.130 to 0.169). What this script itself gave codex stays, and so do an administrator's hooks.
 */
async function withoutAnsweringHooks(
  core: RuntimeCore,
  cwd: string,
  own: JsonObject,
): Promise<JsonObject> {
  if (!supports(core.server.version, "listsHooks")) return {};
  const listed = memberOf(await lookUp(core, "hooks/list", { cwds: [cwd] }), "data");
  const keys = (Array.isArray(listed) ? listed : []).flatMap((one) => {
    const hooks = memberOf(one, "hooks");
    return (Array.isArray(hooks) ? hooks : []).flatMap((hook) =>
      memberOf(hook, "eventName") === "permissionRequest" && memberOf(hook, "enabled") !== false &&
        memberOf(hook, "isManaged") !== true && memberOf(hook, "source") !== "sessionFlags"
        ? [String(memberOf(hook, "key"))]
        : []
    );
  });
  if (keys.length === 0) return {};
  const given = isJsonObject(own["hooks"]) ? own["hooks"] : {};
  const state = isJsonObject(given["state"]) ? given["state"] : {};
  const off = Object.fromEntries(keys.map((key) => [key, { enabled: false }]));
  return { hooks: { ...given, state: { ...state, ...off } } };
}

/**
 * The settings by which codex asks about the tools of servers and apps that the user has approved for ever, where hooks or rules
 * are to see each call: it would ask nobody. What the caller's own settings say stays.
 */
async function askingAboutApproved(
  core: RuntimeCore,
  cwd: string,
  own: JsonObject,
): Promise<JsonObject> {
  const read = await lookUp(core, "config/read", { cwd });
  const asking: JsonObject = {};
  for (const table of ["mcp_servers", "apps"]) {
    const said = objectOf(own, table) ?? {};
    const held: JsonObject = {};
    for (const [name, one] of Object.entries(objectOf(read, "config", table) ?? {})) {
      const tools = Object.keys(objectOf(one, "tools") ?? {}).filter((tool) =>
        memberOf(one, "tools", tool, "approval_mode") === "approve"
      );
      const all = memberOf(one, "default_tools_approval_mode") === "approve";
      if (!all && tools.length === 0) continue;
      held[name] = {
        ...(all ? { default_tools_approval_mode: "prompt" } : {}),
        tools: Object.fromEntries(tools.map((tool) => [tool, { approval_mode: "prompt" }])),
        ...objectOf(said, name),
      };
    }
    if (Object.keys(held).length > 0) asking[table] = { ...said, ...held };
  }
  return asking;
}

/**
 * A thread's settings, also as those of the profile that the user's configuration chooses: codex lets that win (0.104 to 0.130).
 * Only what a profile can hold.
 */
async function overProfile(
  core: RuntimeCore,
  cwd: string,
  config: JsonObject,
): Promise<JsonObject> {
  const profile = config["profile"] ??
    memberOf(await lookUp(core, "config/read", { cwd }), "config", "profile");
  if (typeof profile !== "string") return config;
  const own: JsonObject = { features: {} };
  for (const [key, value] of Object.entries(config)) {
    const [first, name] = key.split(".");
    if (first === "features" && name !== undefined) (own["features"] as JsonObject)[name] = value;
    else if (key === "web_search" || key === "tools") own[key] = value;
  }
  return { ...config, profiles: { [profile]: own } };
}

/** Rejects a prompt that asks in a session that did not: its thread has those hooks. */
async function refuseAnsweringHooks(core: RuntimeCore, cwd: string): Promise<void> {
  const { hooks } = await withoutAnsweringHooks(core, cwd, {});
  if (hooks === undefined) return;
  throw new PolicyError(
    "A hook of the user's configuration (`PermissionRequest`) would answer codex's questions in your place. " +
      "Give the session the approval policy or the hooks from its start, which leaves that hook out.",
    { data: { reason: "answeringHooks" } },
  );
}

/**
 * Throws `PolicyError` for a turn that may do less than what was `kept`, or asks about more, as JSON. An agent keeps the sandbox
 * and the approval policy of the turn that started it, whatever the turn has that sets it to work again (0.145 to 0.169). And
 * codex keeps what was accepted for the session, in a sandbox: the agent of a read-only turn wrote where one that could write had
 * been granted more, and ran what had been accepted there (0.104 to 0.169).
 */
export function refuseNarrower(policy: EffectivePolicy, kept: Iterable<string>): void {
  for (const reach of kept) {
    if (reach === "" || !isNarrower(policy, reach)) continue;
    throw new PolicyError(
      `A turn can't have the sandbox ${policy.sandbox.type} and the approval policy ${
        JSON.stringify(policy.approvalPolicy)
      } once something was accepted for the session, or an agent, a goal or a command is left of a turn that could do more or ` +
        "asked less: codex lets these go on. Use another thread.",
      { data: { reason: "keptAnswers" } },
    );
  }
}

function isNarrower(policy: EffectivePolicy, reach: string): boolean {
  const asked = { policy, profileId: null, realPath: (path: string) => path };
  const told = JSON.parse(reach);
  // What asks nobody stays in its sandbox, which "on-request" asks nobody about either.
  if (told.approvalPolicy === "never" && policy.approvalPolicy === "on-request") {
    delete told.approvalPolicy;
  }
  const { sandbox = told, approvalPolicy = policy.approvalPolicy, readRoots = [] } = told;
  const echo = { cwd: policy.cwd, approvalPolicy: approvalPolicy as JsonValue, sandbox };
  return compareEcho(asked, echo).length > 0 || readsMore(readRoots, policy.readRoots);
}

/** A turn that is to begin. */
export interface NextTurn {
  /** Its thread. */
  threadId: string;
  /** What it may do. */
  effective: EffectivePolicy;
  /** What its session may do. */
  session: EffectivePolicy;
  /** Whether hooks are to see all that it does. */
  watched: boolean;
  /** Whether the one before it has left commands. */
  left: boolean;
}

/**
 * Rejects where a turn would get further than it says. What may do more and was left by the turns before it is ended: codex
 * lets the agent type into it in the sandbox that it has (0.104 to 0.150), or can't end it (0.104).
 */
export async function admitTurn(
  core: RuntimeCore,
  settings: KeptGrants & {
    profile: { config: Readonly<Record<string, JsonValue>> };
    sent: EffectivePolicy;
    agents: Set<string>;
  },
  { threadId, effective, session, watched, left }: NextTurn,
): Promise<void> {
  const { kept, agents, sent } = settings;
  if (watched && effective.rulesFiles.length > 0) throw rulesFilesRefusal(effective.rulesFiles);
  const ends = endsLeft(core);
  if (left && !ends) agents.add(reachOf(sent));
  refuseNarrower(effective, [...kept, ...agents]);
  await refuseRevoked(core, settings);
  if (ends && isNarrower(effective, reachOf(sent))) {
    await endCommands(core, threadId, STATUS_MS, (error) => {
      throw error;
    });
  }
  if (session.approvalPolicy === "never" && effective.approvalPolicy !== "never") {
    await refuseAnsweringHooks(core, effective.cwd);
  }
  if (!reachesNetwork(effective.sandbox)) return;
  const { refusePastProxy } = await import("./network_proxy.ts");
  await refusePastProxy(core, session, effective, settings.profile.config);
}

/** What codex keeps of the answers that it got on a thread. */
export interface KeptGrants {
  /** What the session may do. */
  readonly policy: EffectivePolicy;
  /** What codex was given and keeps, with the sandbox of the turn, as JSON; `""` for what none holds. */
  readonly kept: ReadonlySet<string>;
}

/**
 * Rejects with `PermissionDeniedError` when this script may no longer do itself what codex keeps of its answers: codex asks
 * about that no more.
 */
export async function refuseRevoked(
  core: RuntimeCore,
  { policy, kept }: KeptGrants,
): Promise<void> {
  if (isRemote(core.config)) return;
  const { guardAcceptance } = await loadAcceptanceGuard();
  const contained = policy.acceptedCommands === "sandboxed";
  for (const one of kept) {
    const { grant = null }: { grant?: Grant | null } = one === "" ? {} : JSON.parse(one);
    if (grant === null) continue;
    const denied = guardAcceptance(grant, hostProbe(), realPathOf, contained);
    if (denied === null) continue;
    throw new PermissionDeniedError("What was accepted for the session", denied.missing);
  }
}

function readsMore(
  kept: EffectivePolicy["readRoots"],
  now: EffectivePolicy["readRoots"],
): boolean {
  if (now === "all") return false;
  return kept === "all" || kept.some((root) => !now.some((one) => isInside(root, one)));
}

/** On Windows codex has a sandbox only where it was set up; until then it lets no command run, or none inside. */
export async function withWindowsNote(
  core: RuntimeCore,
  policy: EffectivePolicy,
): Promise<EffectivePolicy> {
  const { type } = policy.sandbox;
  if (type === "dangerFullAccess") return policy;
  const status = await core.callNow("windowsSandbox/readiness", {}).then(
    (result) => memberOf(result, "status"),
    () => undefined,
  );
  if (status === undefined || status === "ready") return policy;
  const note = `Codex's sandbox for Windows is not ready (${JSON.stringify(status)}): ` +
    "commands are refused, or run without it once accepted. Set `windows.sandbox` in codex's configuration.";
  return { ...policy, narrowed: [...policy.narrowed, note] };
}
