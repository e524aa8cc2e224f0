/**
 * What a call needs from this script's own permissions.
 * @module
 */
import { supports } from "../protocol/dialect.ts";
import type { PolicyFacts } from "./policy/policy.ts";
import type { PermissionProbe } from "./probe.ts";

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
