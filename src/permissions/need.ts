/**
 * What a call needs from this script's own permissions.
 * @module
 */
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
