/**
 * The gate in front of raw requests: a low-level call gets no further than a session would.
 * @module
 */
import {
  asList,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  kindOf,
  objectOf,
} from "../../json.ts";
import { InvalidArgumentError, PermissionDeniedError, PolicyError } from "../../errors/mod.ts";
import { isAbsolutePath, resolvePath } from "../../platform/mod.ts";
import {
  fieldPasses,
  givesAway,
  knownMethods,
  type MethodReach,
  methodReach,
  UNSANDBOXED,
} from "./method_table.ts";
import { configNeeds } from "../config/config_needs.ts";
import {
  asksNobody,
  EVERYTHING,
  flagsFor,
  letsCodexAsk,
  mayDoEverything,
  missingNeeds,
  normalizeSandbox,
  type PermissionNeed,
  type PrivilegeConsent,
  privilegeRefusal,
} from "../need.ts";
import type { PermissionProbe } from "../probe.ts";
import type { ApprovalPolicy, SandboxMode, SandboxPolicy } from "../types.ts";

/** What the gate knows besides the call. */
export interface MethodGateContext {
  /** What the caller agreed to; `null` checks this script's permissions only. */
  consent: Omit<PrivilegeConsent, "cwd"> | null;
  /** Codex's home directory, from `initialize`; unknown: reading it needs all reads. */
  codexHome?: string | undefined;
  /** The server's working directory, for calls without a `cwd`; unknown: they need everything. */
  readonly serverCwd?: string | undefined;
  /** Whether codex asks about each command that would leave the sandbox, where its approval policy is to ask. */
  readonly asksBeforeLeaving: boolean;
  /** A path with all links followed, or `null`; see {@linkcode realPathOf}. */
  realPath(path: string): string | null;
}

/**
 * Why a raw request may not be sent, or `null` when it may. Looks at what the method and its params would let codex do:
 * a `PolicyError` when the caller's consent is missing, a `PermissionDeniedError` when this script may not do it itself.
 *
 * Sandboxed commands read the whole disk unless the call chooses a permission profile, so they need all reads. A thread
 * without a `sandbox` gets whatever the user configured, so under limited permissions it has to name one.
 */
export function gateMethod(
  method: string,
  params: JsonValue | undefined,
  probe: PermissionProbe,
  context: MethodGateContext,
): PermissionDeniedError | PolicyError | InvalidArgumentError | null {
  // The server takes positional params too; what can't be looked at here is not sent.
  if (params !== undefined && params !== null && !isJsonObject(params)) {
    return new InvalidArgumentError(method, {
      argument: "params",
      received: kindOf(params),
      accepts: "an object with the parameters by name",
    }, { data: { method } });
  }
  const call = params ?? {};
  const reach = methodReach(method);
  // Most calls, of which nothing else is asked.
  if (reach === "harmless" && !givesSomethingAway(call)) return null;
  const needs = methodNeeds(reach, call, context);
  const refusal = consentRefusal(method, call, needs, context);
  if (refusal !== null) return refusal;
  // Most calls need nothing, and asking Deno costs as much as all the rest of a call.
  if (needs.length === 0 || probe.enforcedBy === "none") return null;
  // Answers everything at once where nothing is limited, which is most of the time.
  if (mayDoEverything(probe)) return null;
  const missing = missingNeeds(followLinks(needs, context), probe);
  if (missing.length === 0) return null;
  return new PermissionDeniedError(method, flagsFor(unscopedFirst(missing), probe.enforcedBy), {
    data: { method, enforcedBy: probe.enforcedBy },
  });
}

function givesSomethingAway(params: JsonObject): boolean {
  for (const field of Object.keys(params)) if (givesAway(field, params[field])) return true;
  return false;
}

/** What a raw request needs from this script. */
function methodNeeds(
  reach: MethodReach,
  params: JsonObject,
  context: Pick<MethodGateContext, "codexHome" | "serverCwd">,
): PermissionNeed[] {
  const base = context.serverCwd;
  const path = (key: string): string | undefined => pathOf(params[key], base);
  switch (reach) {
    case "harmless":
      // A field of it gives something away.
      return [...EVERYTHING];
    case "thread":
      return threadNeeds(params, base);
    case "turn":
      return turnNeeds(params, base);
    case "exec":
      return execNeeds(params, base);
    case "review":
      // Elsewhere than in its thread it begins one with whatever codex is configured for (0.104 to 0.145).
      return (params["delivery"] ?? "inline") === "inline" ? [] : [...EVERYTHING];
    case "fsRead":
      return [scoped("read", path("path"))];
    case "fsWrite":
      return [scoped("write", path("path"))];
    case "fsCopy":
      return [scoped("read", path("sourcePath")), scoped("write", path("destinationPath"))];
    case "search":
      return Array.isArray(params["roots"])
        ? params["roots"].map((root) => scoped("read", pathOf(root, base)))
        : [{ kind: "read" }];
    case "codexHome":
      return [
        scoped("read", context.codexHome),
        ...[params["cwd"] ?? [], params["cwds"] ?? []].flat()
          .map((cwd) => scoped("read", pathOf(cwd, base))),
        ...absolutePaths(params).map((found) => scoped("read", found)),
      ];
    case "account":
      return [scoped("write", context.codexHome), { kind: "net" }];
    case "everything":
      return [...EVERYTHING];
  }
}

function threadNeeds(params: JsonObject, base: string | undefined): PermissionNeed[] {
  const cwd = cwdOf(params, base);
  const config = objectOf(params, "config") ?? {};
  const needs = [...configNeeds(config, cwd), ...sharedNeeds(params, base)];
  const sandbox = params["sandbox"] ?? null;
  if (sandbox !== null) needs.push(...sandboxNeeds(sandbox, cwd));
  else if (!namesSandbox(params)) needs.push(...EVERYTHING);
  // A thread read from a file of the caller's choice.
  if (typeof params["path"] === "string") needs.push(scoped("read", pathOf(params["path"], base)));
  return needs;
}

function turnNeeds(params: JsonObject, base: string | undefined): PermissionNeed[] {
  const cwd = pathOf(params["cwd"], base);
  const needs = sharedNeeds(params, base);
  const sandbox = params["sandboxPolicy"] ?? null;
  if (sandbox !== null) needs.push(...sandboxNeeds(sandbox, cwd));
  // The thread may be writable, and then so is its new directory.
  else if (hasCwd(params)) needs.push(scoped("read", cwd), scoped("write", cwd));
  for (const input of asList(params["input"])) {
    if (!isJsonObject(input) || typeof input["path"] !== "string") continue;
    if (input["type"] === "mention" || input["type"] === "text") continue;
    needs.push(scoped("read", pathOf(input["path"], base)));
  }
  return needs;
}

/** Whether a thread says itself how far its commands reach, so that the user's configuration does not. */
function namesSandbox(params: JsonObject): boolean {
  const config = objectOf(params, "config") ?? {};
  return [
    params["sandbox"],
    params["permissions"],
    config["default_permissions"],
    config["sandbox_mode"],
  ].some((named) => named !== undefined && named !== null);
}

/** What the fields do that threads and turns have in common. */
function sharedNeeds(params: JsonObject, base: string | undefined): PermissionNeed[] {
  const needs = Object.entries(params).flatMap(([field, value]) =>
    fieldPasses(field, value) ? [] : [...EVERYTHING]
  );
  // A profile by name is one of the user's own, of unknown content.
  if ((params["permissions"] ?? null) !== null) needs.push(...EVERYTHING);
  // Anyone else who reviews lets commands out of the sandbox without this script.
  const reviewer = params["approvalsReviewer"] ?? null;
  if (reviewer !== null && reviewer !== "user") needs.push(...EVERYTHING);
  for (const root of asList(params["runtimeWorkspaceRoots"])) {
    needs.push(scoped("read", pathOf(root, base)), scoped("write", pathOf(root, base)));
  }
  for (const environment of asList(params["environments"])) {
    if (!isJsonObject(environment)) continue;
    const cwd = pathOf(environment["cwd"], base);
    needs.push(scoped("read", cwd), scoped("write", cwd));
  }
  if (asList(params["selectedCapabilityRoots"]).length > 0) needs.push(...EVERYTHING);
  return needs;
}

function execNeeds(params: JsonObject, base: string | undefined): PermissionNeed[] {
  const cwd = cwdOf(params, base);
  const sandbox = params["sandboxPolicy"] ?? null;
  const passes = Object.entries(params).every(([field, value]) => fieldPasses(field, value));
  return sandbox === null || !passes ? [...EVERYTHING] : sandboxNeeds(sandbox, cwd);
}

function sandboxNeeds(sandbox: JsonValue, cwd: string | undefined): PermissionNeed[] {
  const policy = policyOf(sandbox);
  if (policy === null) return [...EVERYTHING];
  const needs: PermissionNeed[] = [{ kind: "read" }];
  if (policy.type === "workspaceWrite") {
    const roots = [cwd, ...(policy.writableRoots ?? [])];
    if (typeof sandbox === "string" || policy.excludeSlashTmp !== true) roots.push("/tmp");
    for (const root of roots) needs.push(scoped("write", root));
    // Where TMPDIR points is the server's business.
    if (typeof sandbox === "string" || policy.excludeTmpdirEnvVar !== true) {
      needs.push({ kind: "write" });
    }
  } else if (policy.type !== "readOnly") return [...EVERYTHING];
  if (policy.networkAccess === true) needs.push({ kind: "net" });
  return needs;
}

function policyOf(sandbox: JsonValue): SandboxPolicy | null {
  try {
    return normalizeSandbox(sandbox as unknown as SandboxMode | SandboxPolicy);
  } catch {
    return null;
  }
}

/** What a method would do that needs consent. */
function privilegedWord(method: string, params: JsonObject): string {
  if (UNSANDBOXED.has(method)) return "runs a command without any sandbox";
  switch (methodReach(method)) {
    case "fsWrite":
    case "fsCopy":
      return "writes files without any sandbox";
    case "everything":
      if (!knownMethods().includes(method)) return "is no method that is known here: it may do all";
      return "can run things without any sandbox, or change what later sessions may do";
    case "account":
      return "changes the login of every later session, or acts in its name";
    case "review":
      return "begins a thread with whatever codex is configured for";
    case "exec":
      return (params["sandboxPolicy"] ?? null) === null
        ? "without `sandboxPolicy` runs with whatever codex is configured for"
        : "lets the command do more than read";
    case "thread":
      return namesSandbox(params)
        ? "lets the agent do more than read"
        : "without `sandbox` runs with whatever codex is configured for";
    default:
      return "lets the agent do more than read";
  }
}

function consentRefusal(
  method: string,
  params: JsonObject,
  needs: readonly PermissionNeed[],
  context: MethodGateContext,
): PolicyError | InvalidArgumentError | null {
  const { consent } = context;
  if (consent === null) return null;
  if (consent.allowPrivilegedEscalation !== true && needs.some(({ kind }) => kind !== "read")) {
    return new PolicyError(
      `${method} ${
        privilegedWord(method, params)
      }. Set \`allowPrivilegedEscalation: true\` to allow it.`,
      { data: { method } },
    );
  }
  const reach = methodReach(method);
  if (reach === "review" && needs.length > 0) {
    return unattendedRefusal(method, "thread", null, {}, context);
  }
  if (reach !== "thread" && reach !== "turn" && reach !== "exec") return null;
  const config = objectOf(params, "config") ?? {};
  const sandbox = params["sandboxPolicy"] ?? params["sandbox"] ?? config["sandbox_mode"] ?? null;
  const asked = params["approvalPolicy"] ?? config["approval_policy"] ?? null;
  if (sandbox === null) {
    return reach === "exec" ? null : unattendedRefusal(method, reach, asked, params, context);
  }
  const policy = policyOf(sandbox);
  if (policy === null) {
    return new InvalidArgumentError(method, {
      argument: params["sandboxPolicy"] === undefined ? "sandbox" : "sandboxPolicy",
      received: kindOf(sandbox),
      accepts: "a mode or a policy that this library knows",
    }, { data: { method } });
  }
  // A turn stays where its thread is, and a thread's directory was named when it started.
  const cwd = typeof params["cwd"] === "string"
    ? params["cwd"]
    : typeof params["threadId"] === "string"
    ? "the thread's own"
    : context.serverCwd;
  // What is not said here is the thread's or the user's own, which may ask nobody.
  return privilegeRefusal(policy, (asked ?? "never") as unknown as ApprovalPolicy, {
    ...consent,
    cwd,
  }) ?? leavingRefusal(method, reach, asked, context);
}

/** A sandbox that some programs leave unasked holds no more than full access that asks about the others. */
function leavingRefusal(
  method: string,
  reach: "thread" | "turn" | "exec",
  asked: JsonValue,
  { consent, asksBeforeLeaving }: MethodGateContext,
): PolicyError | null {
  if (
    asksBeforeLeaving ||
    consent?.dangerouslyAllowUnattendedFullAccess === true
  ) return null;
  // A thread has the user's own policy where it names none, a turn its thread's.
  const leaves = asked === null
    ? reach === "thread"
    : letsCodexAsk(asked as unknown as ApprovalPolicy);
  if (!leaves) return null;
  return new PolicyError(
    `${method} ${
      asked === null ? "names no `approvalPolicy`" : "lets codex choose what it asks about"
    }` +
      ", and this codex lets what looks safe leave the sandbox unasked. " +
      'Name an `approvalPolicy` of "untrusted" or "never", or set `dangerouslyAllowUnattendedFullAccess`.',
    { data: { method } },
  );
}

/**
 * A call that names no sandbox may find full access, by the user's configuration or by an earlier call. Then it must not
 * be the one that stops the questions.
 */
function unattendedRefusal(
  method: string,
  reach: "thread" | "turn",
  asked: JsonValue,
  params: JsonObject,
  context: MethodGateContext,
): PolicyError | null {
  const { consent } = context;
  if (
    consent?.allowPrivilegedEscalation === true &&
    consent.dangerouslyAllowUnattendedFullAccess === true
  ) {
    return null;
  }
  // A profile that is spelled out has been looked at; one by name may be anything.
  const config = objectOf(params, "config") ?? {};
  const spelled = reach === "thread" && config["default_permissions"] !== undefined &&
    (params["permissions"] ?? null) === null &&
    !configNeeds({
      default_permissions: config["default_permissions"],
      permissions: config["permissions"],
    }, undefined)
      .some(({ kind }) => kind === "ffi");
  if (spelled) return leavingRefusal(method, reach, asked, context);
  const named = (params["permissions"] ?? null) !== null;
  const unattended = asked === null
    ? reach === "thread" || named
    : asksNobody(asked as unknown as ApprovalPolicy, "dangerFullAccess");
  if (!unattended) return null;
  return new PolicyError(
    `${method} names no sandbox, and may let an agent with full access do anything unasked. ` +
      'Name a `sandbox`, or an `approvalPolicy` of "untrusted", or set ' +
      "`allowPrivilegedEscalation` and `dangerouslyAllowUnattendedFullAccess`.",
    { data: { method } },
  );
}

function hasCwd(params: JsonObject): boolean {
  return (params["cwd"] ?? null) !== null;
}

/** The directory of a thread or command; `undefined` where the one it names is not known. */
function cwdOf(params: JsonObject, base: string | undefined): string | undefined {
  return hasCwd(params) ? pathOf(params["cwd"], base) : base;
}

function pathOf(value: JsonValue | undefined, base: string | undefined): string | undefined {
  if (typeof value !== "string" || value === "") return undefined;
  if (isAbsolutePath(value)) return resolvePath(value, ".");
  // Codex takes it for the home of its user (0.169).
  if (value.startsWith("~")) return undefined;
  return base === undefined ? undefined : resolvePath(base, value);
}

/** Every absolute path in it, wherever it stands: old and new servers read marketplaces and skills from more than a `cwd`. */
function absolutePaths(value: JsonValue | undefined): string[] {
  if (typeof value === "string") return isAbsolutePath(value) ? [resolvePath(value, ".")] : [];
  if (value === null || typeof value !== "object") return [];
  return Object.values(value).flatMap(absolutePaths);
}

function scoped(kind: "read" | "write", path: string | undefined): PermissionNeed {
  return path === undefined ? { kind } : { kind, path };
}

/** Needs of paths, with the paths that they lead to; where that can't be told, all paths. */
function followLinks(
  needs: readonly PermissionNeed[],
  context: MethodGateContext,
): PermissionNeed[] {
  return needs.flatMap((need): PermissionNeed[] => {
    if ((need.kind !== "read" && need.kind !== "write") || need.path === undefined) return [need];
    const real = context.realPath(need.path);
    if (real === need.path) return [need];
    return real === null
      ? [need, { kind: "read", path: need.path }]
      : [need, { ...need, path: real }];
  });
}

function unscopedFirst(needs: readonly PermissionNeed[]): PermissionNeed[] {
  const whole = new Set(needs.filter((n) => Object.keys(n).length === 1).map((n) => n.kind));
  return needs.filter((need) => Object.keys(need).length === 1 || !whole.has(need.kind));
}
