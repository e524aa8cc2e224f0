/**
 * What this script itself may do. Asking never prompts and never widens anything.
 * @module
 */
import { baseName, parentPath, resolvePath } from "../platform/paths.ts";
import { entryKind, linkTarget, platformName, realPath, runtimeName } from "../platform/runtime.ts";

/** Answers what this script may do. A grant with holes in it (`--allow-read --deny-read=x`) counts as none. */
export interface PermissionProbe {
  /** Who holds this script to the answers; `"none"`: nobody does, and everything is granted. */
  readonly enforcedBy: "deno" | "node" | "probe" | "none";
  /** Whether it may read the path; without one: every path. */
  read(path?: string): boolean;
  /** Whether it may write the path; without one: every path. */
  write(path?: string): boolean;
  /** Whether it may write in general, but not everywhere. Default: that is not told. */
  writesInPart?(): boolean;
  /** Whether it may reach the host; without one: every host. */
  net(host?: string): boolean;
  /** Whether it may run the program; without one: every program. */
  run(command?: string): boolean;
  /** Whether it may read the environment variable; without one: every variable. */
  env(name?: string): boolean;
  /** Whether it may ask for every fact about the system. */
  sys(): boolean;
  /** Whether it may load every native library. */
  ffi(): boolean;
}

/** A probe that grants everything: on runtimes without permissions. */
export const unrestrictedProbe: PermissionProbe = {
  enforcedBy: "none",
  read: () => true,
  write: () => true,
  net: () => true,
  run: () => true,
  env: () => true,
  sys: () => true,
  ffi: () => true,
};

interface NodePermission {
  has(scope: string, reference?: string): boolean;
}

interface Host {
  process?: { permission?: NodePermission; versions?: Record<string, string | undefined> };
}

/**
 * The probe of the runtime this runs on: Deno's permissions, Node's permission model where it is switched on,
 * else {@linkcode unrestrictedProbe}. Answers are asked anew each time, so a revoked permission counts at once.
 */
export function hostProbe(): PermissionProbe {
  const name = runtimeName();
  if (name === "deno") return denoProbe;
  if (name !== "node") return unrestrictedProbe;
  const { permission, versions } = (globalThis as unknown as Host).process ?? {};
  return permission === undefined
    ? unrestrictedProbe
    : nodePermissionProbe(permission, versions?.["node"] ?? "");
}

const denoProbe: PermissionProbe = {
  enforcedBy: "deno",
  read: (path) =>
    path === undefined ? everywhere("read") : path !== "" && ask({ name: "read", path }),
  write: (path) =>
    path === undefined ? everywhere("write") : path !== "" && ask({ name: "write", path }),
  writesInPart() {
    const { state, partial } = Deno.permissions.querySync({ name: "write" }) as
      & Deno.PermissionStatus
      & { partial?: boolean };
    return state === "granted" && partial === true;
  },
  net: (host) => ask(host === undefined ? { name: "net" } : { name: "net", host }),
  run: (command) => ask(command === undefined ? { name: "run" } : { name: "run", command }),
  env: (variable) => ask(variable === undefined ? { name: "env" } : { name: "env", variable }),
  sys: () => ask({ name: "sys" }),
  ffi: () => ask({ name: "ffi" }),
};

/**
 * `--allow-read=/` leaves the nameless permission at "prompt" and grants the root. Windows has a root a drive, and "/" is
 * that of the current one, which says nothing of the others.
 */
function everywhere(name: "read" | "write"): boolean {
  return ask({ name }) || (platformName() !== "win32" && ask({ name, path: "/" }));
}

function ask(descriptor: Deno.PermissionDescriptor): boolean {
  try {
    const status = Deno.permissions.querySync(descriptor);
    return status.state === "granted" && (status as { partial?: boolean }).partial !== true;
  } catch {
    // Deno throws for what it can't understand, such as an odd host; what it can't check is not granted.
    return false;
  }
}

/** A probe over Node's permission model; `version` is Node's own, since older ones do not guard the network. */
export function nodePermissionProbe(permission: NodePermission, version: string): PermissionProbe {
  const has = (scope: string, reference?: string): boolean => {
    try {
      return reference === undefined ? permission.has(scope) : permission.has(scope, reference);
    } catch {
      return false;
    }
  };
  const guardsNet = Number.parseInt(version, 10) >= 25;
  return {
    enforcedBy: "node",
    read: (path) => has("fs.read", path),
    write: (path) => has("fs.write", path),
    net: () => !guardsNet || has("net"),
    run: () => has("child"),
    // Node guards neither the environment nor the system's facts.
    env: () => true,
    sys: () => true,
    ffi: () => has("addon"),
  };
}

// Where paths really lead, as far as this script may look.

/** Each part of a path is looked at, while nothing else runs; models and tenants make paths of any length. */
const MAX_PARTS = 256;

/**
 * An absolute path with all links followed, the way the system does: `..` after a link goes up from where it leads.
 * Of a path that does not exist yet, the part that does is followed. `null` when it can't be told: a dangling link, no
 * permission to look, a place that is another one for another process, or more parts than any real path has.
 */
export function realPathOf(path: string): string | null {
  if (path.split(/[\\/]/, MAX_PARTS + 1).length > MAX_PARTS) return null;
  return isOwnPlace(path) ? null : follow(path);
}

/**
 * Whether the path leads through `/proc/self` or its like: codex patches files by a process of its own, whose `/proc/self/cwd`
 * is the directory that the model names (0.104 to 0.145).
 */
function isOwnPlace(path: string): boolean {
  if (!path.startsWith("/")) return false;
  const names = (text: string) => text.split("/").filter((name) => name !== "" && name !== ".");
  let rest = names(path);
  let at = "";
  let links = 0;
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    if (name === "..") {
      at = at.slice(0, Math.max(0, at.lastIndexOf("/")));
      continue;
    }
    const here = `${at}/${name}`;
    if (/^\/proc\/(?:self|thread-self|\d+)$/.test(here)) return true;
    const target = linkTarget(here);
    if (target === null) at = here;
    else {
      // No system follows more.
      if (++links > 40) return true;
      if (target.startsWith("/")) at = "";
      rest = [...names(target), ...rest];
    }
  }
  return false;
}

function follow(path: string): string | null {
  const up = /^(.+?)[\\/]\.\.(?:[\\/](.*))?$/s.exec(path);
  if (up !== null) {
    const below = follow(up[1]!);
    return below === null ? null : follow(joined(resolvePath(below, ".."), up[2] ?? ""));
  }
  const real = realPath(path);
  if (real !== null) return real;
  // What a dangling link leads to may appear later, anywhere; what may not be looked at may be such a link.
  if (entryKind(path) !== "missing") return null;
  const parent = parentPath(path);
  if (parent === null) return null;
  const above = follow(parent);
  return above === null ? null : joined(above, baseName(path));
}

function joined(directory: string, rest: string): string {
  if (rest === "") return directory;
  const separator = directory.startsWith("/") ? "/" : "\\";
  return directory.replace(/[\\/]$/, "") + separator + rest;
}
