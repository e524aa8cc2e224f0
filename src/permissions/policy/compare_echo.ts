/**
 * Ask, then check: what the server confirmed against what it was asked.
 * @module
 */
import { type PolicyMismatch, PolicyMismatchError } from "../../errors/mod.ts";
import { asList, isJsonObject, type JsonObject, type JsonValue, stringOf } from "../../json.ts";
import { isInside, isSamePath } from "../../platform/mod.ts";
import type { EffectivePolicy } from "./policy.ts";
import type { ApprovalPolicy, SandboxPolicy, WorkspaceWritePolicy } from "../types.ts";

/** The fields of a `thread/start`, `thread/resume` or `thread/fork` result that confirm a policy. */
export interface PolicyEcho {
  /** The directory. */
  cwd?: JsonValue | undefined;
  /** The approval policy. */
  approvalPolicy?: JsonValue | undefined;
  /** The sandbox; its fields vary by version. */
  sandbox?: JsonValue | undefined;
  /** The active permission profile; absent on old servers. */
  activePermissionProfile?: JsonValue | undefined;
  /** Who answers approvals; absent on old servers, which know nobody but the client. */
  approvalsReviewer?: JsonValue | undefined;
}

/** What was asked, as sent. */
export interface AskedPolicy {
  /** The policy. */
  policy: EffectivePolicy;
  /** The profile sent; `null` when a sandbox was. */
  profileId: string | null;
  /** A path with all links followed, or `null`; lets two spellings of one directory pass. */
  realPath(path: string): string | null;
  /** Directories that this codex makes writable by itself in any `workspaceWrite`. Default none. */
  ownRoots?: readonly string[];
}

/**
 * Where the server confirmed more than it was asked; empty when nothing is wider.
 *
 * - sandbox: `readOnly` < `workspaceWrite` < everything else; then network, writable roots and temporary directories.
 *   Unknown types are wider.
 * - approval policy: `never` < `on-failure` < `on-request` < `untrusted` by how much is asked. A server that asks more
 *   passes, since each question comes here and may be declined; one that asks less takes that away.
 * - cwd: any other directory, since the sandbox is laid around it.
 * - reviewer: anyone but the user, since questions would be answered without this client.
 */
export function compareEcho(asked: AskedPolicy, echo: PolicyEcho): PolicyMismatch[] {
  const { policy } = asked;
  return [
    ...compareCwd(asked, echo.cwd),
    ...compareApproval(policy.approvalPolicy as JsonValue, echo.approvalPolicy),
    ...compareSandbox(asked, echo.sandbox),
    ...compareProfile(asked.profileId, echo.activePermissionProfile),
    ...compareReviewer(echo.approvalsReviewer),
  ];
}

/**
 * The policy as the server confirmed it. Throws a `PolicyMismatchError` when it confirmed a wider one; what it confirmed
 * narrower is what the result says, with a sentence in `narrowed`. Reads count as enforced only when the server names the
 * profile that was sent.
 */
export function confirmPolicy(asked: AskedPolicy, echo: PolicyEcho): EffectivePolicy {
  const mismatches = compareEcho(asked, echo);
  if (mismatches.length > 0) throw new PolicyMismatchError(mismatches);
  const { policy, profileId } = asked;
  const named = profileId === null || profileName(echo.activePermissionProfile) === profileId;
  const narrowed = [...policy.narrowed];
  // A profile's name tells its content; the sandbox beside it is only codex's translation of it.
  const sandbox = profileId !== null && named
    ? policy.sandbox
    : confirmedSandbox(asked, echo.sandbox as JsonObject, narrowed);
  return {
    ...policy,
    approvalPolicy: confirmedApproval(policy.approvalPolicy, echo.approvalPolicy, narrowed),
    sandbox,
    narrowed,
    confirmed: true,
    readsEnforced: policy.readsEnforced && (named || policy.readRoots === "all"),
    acceptedCommands: named ? policy.acceptedCommands : "mayLeave",
  };
}

/** The approval policy of an echo that asks no less than what was asked. */
function confirmedApproval(
  asked: ApprovalPolicy,
  echo: JsonValue | undefined,
  narrowed: string[],
): ApprovalPolicy {
  if (asksAtLeast(asked as JsonValue, echo ?? null)) return asked;
  narrowed.push(`The server asks more than it was told to: ${show(echo)}.`);
  return echo as ApprovalPolicy;
}

/** The sandbox of an echo that is not wider than what was asked. */
function confirmedSandbox(
  asked: AskedPolicy,
  echo: JsonObject,
  narrowed: string[],
): SandboxPolicy {
  const { sandbox } = asked.policy;
  if (echo["type"] !== sandbox.type) {
    narrowed.push(`The server made the sandbox ${show(echo["type"])} instead of ${sandbox.type}.`);
  }
  const askedNetwork = reachesNetwork(sandbox as unknown as JsonObject);
  const network = reachesNetwork(echo);
  if (askedNetwork && !network) narrowed.push("The server gives commands no network.");
  switch (echo["type"]) {
    case "readOnly":
      return { type: "readOnly", ...(askedNetwork ? { networkAccess: network } : {}) };
    case "workspaceWrite": {
      const own = sandbox.type === "workspaceWrite" ? sandbox : { type: "workspaceWrite" as const };
      return {
        ...own,
        ...rootsOf(asked, own, echo["writableRoots"], narrowed),
        ...(askedNetwork ? { networkAccess: network } : {}),
        ...(echo["excludeTmpdirEnvVar"] === true ? { excludeTmpdirEnvVar: true } : {}),
        ...(echo["excludeSlashTmp"] === true ? { excludeSlashTmp: true } : {}),
      };
    }
    case "externalSandbox":
      return { type: "externalSandbox", networkAccess: network ? "enabled" : "restricted" };
    default:
      return sandbox;
  }
}

/** The roots that were asked for and confirmed, and those that the server added by itself. */
function rootsOf(
  asked: AskedPolicy,
  own: WorkspaceWritePolicy,
  echo: JsonValue | undefined,
  narrowed: string[],
): { writableRoots?: string[] } {
  const confirmed = asList(echo).filter((root) => typeof root === "string");
  const covered = (root: string, by: readonly string[]) =>
    by.some((one) => isInside(root, one) || isInside(asked.realPath(root) ?? root, one));
  const roots = (own.writableRoots ?? []).filter((root) => {
    const kept = covered(root, [asked.policy.cwd, ...confirmed]);
    if (!kept) narrowed.push(`The server does not make ${root} writable.`);
    return kept;
  });
  const added = confirmed.filter((root) => !covered(root, [asked.policy.cwd, ...roots]));
  const all = [...roots, ...added];
  return own.writableRoots === undefined && all.length === 0 ? {} : { writableRoots: all };
}

/**
 * The roots of a thread's workspace that were not asked for. A thread keeps those of whoever started it (0.169): commands
 * write there as soon as a turn may write, whatever writable roots it was sent. The cwd that the server tells is one that was
 * asked for, as {@linkcode compareEcho} holds; it may be a link, or a short name, that leads there.
 */
export function workspaceRootsBeyond(
  { policy, realPath, ownRoots = [] }: AskedPolicy,
  echo: { cwd?: JsonValue | undefined; runtimeWorkspaceRoots?: JsonValue | undefined },
): string[] {
  if (!Array.isArray(echo.runtimeWorkspaceRoots)) return [];
  const { cwd, sandbox } = policy;
  const writable = sandbox.type === "workspaceWrite" ? sandbox.writableRoots ?? [] : [];
  const asked = [cwd, ...writable, ...ownRoots];
  const led = [...asked, ...asked.map((root) => realPath(root) ?? root)];
  const roots = echo.runtimeWorkspaceRoots;
  return roots.map((root) => typeof root === "string" ? root : show(root)).filter((root) => {
    const spelled = root === echo.cwd || led.some((one) => isInside(root, one));
    const real = realPath(root);
    return !spelled || (real !== null && !led.some((one) => isInside(real, one)));
  });
}

function compareCwd(asked: AskedPolicy, echo: JsonValue | undefined): PolicyMismatch[] {
  const { cwd } = asked.policy;
  // What was asked is not followed anew: it was real, and a link that is there by now leads elsewhere.
  if (
    typeof echo === "string" &&
    (isSamePath(cwd, echo) || isSamePath(cwd, asked.realPath(echo) ?? ""))
  ) return [];
  return [{ field: "cwd", asked: cwd, confirmed: show(echo) }];
}

const ASKS: ReadonlyMap<string, number> = new Map([
  ["never", 0],
  ["on-failure", 1],
  ["on-request", 2],
  ["untrusted", 3],
]);
const SWITCHES = [
  "sandbox_approval",
  "rules",
  "mcp_elicitations",
  "skill_approval",
  "request_permissions",
] as const;

function compareApproval(asked: JsonValue, echo: JsonValue | undefined): PolicyMismatch[] {
  return asksAtLeast(echo, asked)
    ? []
    : [{ field: "approvalPolicy", asked: show(asked), confirmed: show(echo) }];
}

/** Whether the server asks whenever it was told to. */
function asksAtLeast(echo: JsonValue | undefined, asked: JsonValue): boolean {
  const told = switches(asked);
  const does = switches(echo);
  if (told !== null && does !== null) return SWITCHES.every((name) => does[name] || !told[name]);
  if (does !== null) {
    if (asked === "never") return true;
    return asked !== "untrusted" && SWITCHES.every((name) => does[name]);
  }
  const rank = typeof echo === "string" ? ASKS.get(echo) : undefined;
  if (rank === undefined) return false;
  if (told !== null) return rank >= 2 || SWITCHES.every((name) => !told[name]);
  return rank >= (typeof asked === "string" ? ASKS.get(asked) ?? Infinity : Infinity);
}

function switches(policy: JsonValue | undefined): Record<string, boolean> | null {
  if (!isJsonObject(policy) || !isJsonObject(policy["granular"])) return null;
  const granular: JsonObject = policy["granular"];
  return Object.fromEntries(SWITCHES.map((name) => [name, granular[name] === true]));
}

// Maps, since a plain record would know `constructor` as well.
const REACH: ReadonlyMap<string, number> = new Map([
  ["readOnly", 0],
  ["workspaceWrite", 1],
  ["externalSandbox", 2],
  ["dangerFullAccess", 3],
]);

function compareSandbox(asked: AskedPolicy, echo: JsonValue | undefined): PolicyMismatch[] {
  const { sandbox } = asked.policy;
  const type = stringOf(echo, "type");
  const told = REACH.get(sandbox.type) ?? Infinity;
  const does = type === null ? undefined : REACH.get(type);
  // A type of the caller's own that is not known here can be confirmed only by its own name.
  if (told === Infinity && type === sandbox.type) return [];
  if (does === undefined || does > told || told === Infinity) {
    return [{ field: "sandbox", asked: sandbox.type, confirmed: type ?? show(echo) }];
  }
  const confirmed = echo as JsonObject;
  const found: PolicyMismatch[] = [];
  const wide = (field: string, asked: string, confirmed: JsonValue | undefined) =>
    found.push({ field: `sandbox.${field}`, asked, confirmed: show(confirmed) });
  if (does < 3 && reachesNetwork(confirmed) && !reachesNetwork(sandbox as unknown as JsonObject)) {
    wide("networkAccess", "false", confirmed["networkAccess"]);
  }
  if (type === "workspaceWrite" && sandbox.type === "workspaceWrite") {
    const wider = widerRoots(asked, sandbox, confirmed["writableRoots"]);
    if (wider.length > 0) {
      wide("writableRoots", show([...sandbox.writableRoots ?? []]), wider);
    }
    for (const flag of ["excludeTmpdirEnvVar", "excludeSlashTmp"] as const) {
      if (sandbox[flag] === true && confirmed[flag] !== true) {
        wide(flag, "true", confirmed[flag]);
      }
    }
  }
  return found;
}

function reachesNetwork(sandbox: JsonObject): boolean {
  const { type, networkAccess } = sandbox;
  if (type === "dangerFullAccess") return true;
  return networkAccess !== undefined && networkAccess !== null && networkAccess !== false &&
    networkAccess !== "restricted";
}

/** The confirmed roots that lie in none of those asked for, spelled or real. */
function widerRoots(
  asked: AskedPolicy,
  sandbox: SandboxPolicy & { type: "workspaceWrite" },
  confirmed: JsonValue | undefined,
): JsonValue[] {
  if (confirmed === undefined || confirmed === null) return [];
  if (!Array.isArray(confirmed)) return [confirmed];
  const allowed = [asked.policy.cwd, ...(sandbox.writableRoots ?? []), ...(asked.ownRoots ?? [])]
    .flatMap((root) => [root, asked.realPath(root) ?? root]);
  return confirmed.filter((root) =>
    typeof root !== "string" || !allowed.some((outer) => isInside(root, outer))
  );
}

function compareProfile(
  profileId: string | null,
  echo: JsonValue | undefined,
): PolicyMismatch[] {
  // A server that does not know the field can't confirm it; `confirmPolicy` takes note.
  if (profileId === null || echo === undefined) return [];
  const name = profileName(echo);
  if (name === profileId) return [];
  return [{ field: "permissions", asked: profileId, confirmed: name ?? show(echo) }];
}

function compareReviewer(echo: JsonValue | undefined): PolicyMismatch[] {
  if (echo === undefined || echo === null || echo === "user") return [];
  return [{ field: "approvalsReviewer", asked: "user", confirmed: show(echo) }];
}

function profileName(echo: JsonValue | undefined): string | null {
  return stringOf(echo, "id");
}

function show(value: JsonValue | undefined): string {
  const text = typeof value === "string" ? value : JSON.stringify(value) ?? "nothing";
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}
