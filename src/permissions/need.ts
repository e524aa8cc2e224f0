/**
 * What a call needs from this script's own permissions, and from its caller: anything but read-only is run only for those who
 * said so.
 * @module
 */
import { supports } from "../protocol/dialect.ts";
import type { PolicyFacts } from "./policy/policy.ts";
import type { PermissionProbe } from "./probe.ts";
import { kindOf, plain } from "../json.ts";
import { InvalidArgumentError, PolicyError } from "../errors/mod.ts";
import { isAbsolutePath } from "../platform/paths.ts";
import type { ApprovalPolicy, SandboxMode, SandboxPolicy } from "./types.ts";

/** One permission that something needs; without a path, host or name it is the whole kind. */
export type PermissionNeed = PathNeed | NetNeed | NamedNeed;

/** Reading or writing. */
export interface PathNeed {
  /** What is done. */
  kind: "read" | "write";
  /** The absolute path; absent: every path. */
  path?: string;
}

/** The network. */
export interface NetNeed {
  /** Discriminator. */
  kind: "net";
  /** The host; absent: every host. */
  host?: string;
}

/** Processes, the environment, the system's facts, native libraries. */
export interface NamedNeed {
  /** Discriminator. */
  kind: "run" | "env" | "sys" | "ffi";
  /** The program or variable; absent: all of them. */
  name?: string;
}

/** Everything: what a command needs that runs without any sandbox. */
export const EVERYTHING: readonly PermissionNeed[] = [
  { kind: "read" },
  { kind: "write" },
  { kind: "net" },
  { kind: "run" },
  { kind: "env" },
  { kind: "sys" },
  { kind: "ffi" },
];

/** Whether the probe grants a need. */
function isGranted(need: PermissionNeed, probe: PermissionProbe): boolean {
  switch (need.kind) {
    case "read":
      return probe.read(need.path);
    case "write":
      return probe.write(need.path);
    case "net":
      return probe.net(need.host);
    case "run":
      return probe.run(need.name);
    case "env":
      return probe.env(need.name);
    case "sys":
      return probe.sys();
    case "ffi":
      return probe.ffi();
  }
}

/** Whether this script may do everything, so that nothing can be wider than it. */
export function mayDoEverything(probe: PermissionProbe): boolean {
  return EVERYTHING.every((need) => isGranted(need, probe));
}

/** The needs that the probe does not grant. */
export function missingNeeds(
  needs: readonly PermissionNeed[],
  probe: PermissionProbe,
): PermissionNeed[] {
  const missing = needs.filter((need) => !isGranted(need, probe));
  // From a whole `--allow-write` Deno takes out the programs that `--allow-run` names. Then the write flag is there, and
  // it is the whole `--allow-run` that makes it whole again.
  const byRun = missing.some((need) => need.kind === "run" && need.name === undefined) &&
    probe.writesInPart?.() === true;
  return byRun
    ? missing.filter((need) => need.kind !== "write" || need.path !== undefined)
    : missing;
}

/** The flags that would grant the needs, each once, in the spelling of the runtime that refuses. */
export function flagsFor(
  needs: readonly PermissionNeed[],
  enforcedBy: PermissionProbe["enforcedBy"],
): string[] {
  const spell = enforcedBy === "node" ? nodeFlag : denoFlag;
  return [...new Set(needs.map(spell))];
}

function denoFlag(need: PermissionNeed): string {
  const flag = `--allow-${need.kind}`;
  const scope = scopeOf(need);
  // Deno separates scopes by commas and takes a doubled one as a literal.
  return scope === undefined ? flag : quote(`${flag}=${scope.replaceAll(",", ",,")}`);
}

function nodeFlag(need: PermissionNeed): string {
  switch (need.kind) {
    case "read":
    case "write":
      return quote(`--allow-fs-${need.kind}=${need.path ?? "*"}`);
    case "net":
      return "--allow-net";
    case "run":
      return "--allow-child-process";
    default:
      return "--allow-addons";
  }
}

function scopeOf(need: PermissionNeed): string | undefined {
  if ("path" in need) return need.path;
  if ("host" in need) return need.host;
  return "name" in need ? need.name : undefined;
}

/** Quoted for a shell, where it needs to be. */
function quote(flag: string): string {
  return /^[\w@%+=:,./\\*-]+$/.test(flag) ? flag : `'${flag.replaceAll("'", `'\\''`)}'`;
}

/** Each need once. */
export function dedupe(needs: readonly PermissionNeed[]): PermissionNeed[] {
  const seen = new Map(needs.map((need) => [JSON.stringify(need), need]));
  // A flag for everything makes the scoped ones of its kind superfluous.
  const whole = new Set(needs.filter((need) => isWhole(need)).map((need) => need.kind));
  return [...seen.values()].filter((need) => isWhole(need) || !whole.has(need.kind));
}

function isWhole(need: PermissionNeed): boolean {
  return Object.keys(need).length === 1;
}

/** Permission for paths: both the spelling and where it leads must be granted, since runtimes check the spelling only. */
export class Scope {
  readonly probe: PermissionProbe;
  readonly readsAll: boolean;
  readonly #facts: PolicyFacts;

  constructor(probe: PermissionProbe, facts: PolicyFacts) {
    this.probe = probe;
    this.readsAll = probe.read();
    this.#facts = facts;
  }

  /** Whether no command gets to where a link leads that the agent put in the place of a root. */
  get keepsRoots(): boolean {
    return supports(this.#facts.serverVersion, "keepsRoots");
  }

  get tmpdirs(): (string | null)[] {
    return [this.#facts.tmpdir, ...this.#facts.moreTmpdirs ?? []];
  }

  /** Windows has no such directory, and codex opens none there. */
  get slashTmp(): boolean {
    return this.#facts.windows !== true;
  }

  missing(kind: "read" | "write", path: string): PermissionNeed[] {
    if (kind === "read" ? this.readsAll : this.probe.write()) return [];
    const real = this.real(path);
    const needs: PermissionNeed[] = [{ kind, path }];
    if (real !== null && real !== path) needs.push({ kind, path: real });
    const missing = missingNeeds(needs, this.probe);
    // Where it leads can't be seen without reading it, and unseen is not granted.
    return missing.length === 0 && real === null ? [{ kind: "read", path }] : missing;
  }

  real(path: string): string | null {
    return this.#facts.realPath(path);
  }

  /** What the directory needs that codex makes writable by itself. */
  missingForOwnRoot(): PermissionNeed[] {
    const { ownRoot } = this.#facts;
    if (ownRoot === undefined) return [];
    if (ownRoot !== null) return this.missingForWrites(ownRoot);
    return missingNeeds([{ kind: "write" }, { kind: "read" }], this.probe);
  }

  /** What commands that write to `path` need: they read it, too. */
  missingForWrites(path: string): PermissionNeed[] {
    return [...this.missing("write", path), ...this.missing("read", path)];
  }
}

/** What the caller agreed to. */
export interface PrivilegeConsent {
  /** Consent to anything but read-only. Default `false`. */
  allowPrivilegedEscalation?: boolean | undefined;
  /** Consent to full access with nobody asked. Default `false`. */
  dangerouslyAllowUnattendedFullAccess?: boolean | undefined;
  /** The directory the caller named; absent or blank when none was. */
  cwd?: string | undefined;
}

/** A sandbox as a policy object of its own; a mode's word stands for the policy with all defaults. Throws `InvalidArgumentError` for anything else. */
export function normalizeSandbox(sandbox: SandboxMode | SandboxPolicy): SandboxPolicy {
  if (typeof sandbox === "string") {
    if (sandbox === "read-only") return { type: "readOnly" };
    if (sandbox === "workspace-write") return { type: "workspaceWrite" };
    if (sandbox === "danger-full-access") return { type: "dangerFullAccess" };
    throw notASandbox("another string");
  }
  const policy = typeof sandbox === "object" && sandbox !== null ? plain(sandbox) : undefined;
  if (typeof policy?.type !== "string") throw notASandbox(kindOf(sandbox));
  if (policy.type === "workspaceWrite") {
    const roots: unknown = policy.writableRoots ?? [];
    if (
      !Array.isArray(roots) ||
      roots.some((root) => typeof root !== "string" || !isAbsolutePath(root))
    ) {
      throw new InvalidArgumentError("sandbox", {
        argument: "sandbox.writableRoots",
        received: "something else",
        accepts: "a list of absolute paths",
      });
    }
  }
  return policy;
}

function notASandbox(received: string): InvalidArgumentError {
  return new InvalidArgumentError("sandbox", {
    argument: "sandbox",
    received,
    accepts: '"read-only", "workspace-write", "danger-full-access", or a policy with a `type`',
  });
}

/**
 * A policy as the mode that `thread/start` takes, never wider than the policy itself: what only `turn/start` can
 * express starts as read-only.
 */
export function sandboxMode(policy: SandboxPolicy): SandboxMode {
  if (policy.type === "workspaceWrite") return "workspace-write";
  return policy.type === "dangerFullAccess" ? "danger-full-access" : "read-only";
}

/** Whether a policy lets commands do more than read. With the network they send, too; unknown types may do anything. */
function isPrivileged(policy: SandboxPolicy): boolean {
  return policy.type !== "readOnly" ||
    (policy.networkAccess !== undefined && policy.networkAccess !== false);
}

/** Whether a policy leaves commands without a sandbox of codex's: there the question is all that holds them. */
function isUnconfined({ type }: SandboxPolicy): boolean {
  return type !== "readOnly" && type !== "workspaceWrite";
}

/** Why the caller's consent does not cover the policy, or `null` when it does. */
export function privilegeRefusal(
  policy: SandboxPolicy,
  approvalPolicy: ApprovalPolicy,
  consent: PrivilegeConsent,
): PolicyError | InvalidArgumentError | null {
  if (!isPrivileged(policy)) return null;
  const data = { sandbox: policy.type };
  if (consent.allowPrivilegedEscalation !== true) {
    const what = policy.type === "readOnly" ? "Network access" : `The sandbox ${policy.type}`;
    return new PolicyError(
      `${what} lets the agent do more than read. Set \`allowPrivilegedEscalation: true\` to allow it, or use plain "read-only".`,
      { data },
    );
  }
  if (consent.cwd === undefined || consent.cwd.trim() === "") {
    return new InvalidArgumentError("sandbox", {
      argument: "cwd",
      received: "nothing",
      accepts: "a directory, with a sandbox that lets the agent do more than read",
    }, { data });
  }
  if (
    isUnconfined(policy) && asksNobody(approvalPolicy, policy.type) &&
    consent.dangerouslyAllowUnattendedFullAccess !== true
  ) {
    return new PolicyError(
      `Full access with an approval policy that asks nobody lets the agent do anything unseen. ` +
        `Set \`dangerouslyAllowUnattendedFullAccess: true\` to allow it, or ask with another \`approvalPolicy\`.`,
      { data },
    );
  }
  return null;
}

/**
 * Whether commands run unasked. Outside of a sandbox only `untrusted` asks: the other policies ask for what would leave
 * the sandbox, and there is none to leave.
 */
export function asksNobody(policy: ApprovalPolicy, sandbox: SandboxPolicy["type"]): boolean {
  if (sandbox === "readOnly" || sandbox === "workspaceWrite") return policy === "never";
  return policy !== "untrusted";
}

/**
 * Whether the policy leaves to codex which commands it asks about before they leave the sandbox. One before 0.136 lets some of
 * them leave unasked.
 */
export function letsCodexAsk(policy: ApprovalPolicy): boolean {
  return !/^(?:never|untrusted|on-failure)$/.test(String(policy));
}
