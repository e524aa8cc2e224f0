/**
 * The one place that asks which runtime this is. Everything here is a function: importing does nothing,
 * and nothing here ever prompts, throws for a missing permission, or reads more than it was asked for.
 * @module
 */

/** The runtimes that are told apart. `workerd` stands for edge runtimes with `fetch` upgrades. */
export type RuntimeName = "deno" | "bun" | "node" | "workerd" | "browser";

/** What a path leads to; `other` is a device, a pipe or a socket, `unknown` what this script may not or can't look at. */
export type PathKind = "file" | "directory" | "other" | "missing" | "unknown";

interface NodeFs {
  readlinkSync(path: string): string;
  statSync(path: string): FileStat & { isFile(): boolean; isDirectory(): boolean };
  lstatSync(path: string): { isSymbolicLink(): boolean };
  realpathSync: { native(path: string): string };
  readFileSync(path: string, encoding: "utf8"): string;
  writeFileSync(path: string, text: string, options: { flag: string }): void;
  rmSync(path: string, options: { force: boolean; recursive?: boolean }): void;
  readdirSync(path: string): string[];
}

/** The parts of `process` that Bun and Node share. */
export interface NodeProcess {
  /** Environment variables. */
  env: Record<string, string | undefined>;
  /** Command line; the second entry is the script. */
  argv: string[];
  /** The process id. */
  pid: number;
  /** Operating system, in Node's spelling. */
  platform: string;
  /** Processor, in Node's spelling. */
  arch: string;
  /** Versions; `node` is set on Bun too. */
  versions?: Record<string, string | undefined>;
  /** The working directory. */
  cwd(): string;
  /** Sends a signal; a negative pid names a process group, signal 0 only asks. */
  kill(pid: number, signal: string | number): boolean;
  /** Adds a listener, before those that are there. */
  prependListener(event: string, listener: () => void): void;
  /** Removes a listener. */
  off(event: string, listener: () => void): void;
  /** A built-in module without an import. */
  getBuiltinModule?(name: string): unknown;
}

interface Globals {
  Deno?: { version?: { deno?: string } };
  Bun?: unknown;
  process?: NodeProcess;
  Buffer?: { prototype: { latin1Slice?(this: Uint8Array, start: number, end: number): string } };
  WebSocketPair?: unknown;
  EdgeRuntime?: unknown;
  navigator?: { userAgent?: string };
}

function globals(): Globals {
  return globalThis as unknown as Globals;
}

/** Which runtime this is. */
export function runtimeName(): RuntimeName {
  const host = globals();
  if (host.Deno?.version?.deno !== undefined) return "deno";
  if (host.Bun !== undefined) return "bun";
  // Edge runtimes imitate `process`, so they are asked for first.
  if (host.WebSocketPair !== undefined || host.EdgeRuntime !== undefined) return "workerd";
  if (host.navigator?.userAgent === "Cloudflare-Workers") return "workerd";
  if (
    host.process?.versions?.["node"] !== undefined &&
    typeof host.process.getBuiltinModule === "function"
  ) return "node";
  return "browser";
}

/** Whether this runtime can start processes at all. */
export function canSpawn(): boolean {
  const name = runtimeName();
  return name === "deno" || name === "bun" || name === "node";
}

/** `process` of Bun and Node; `null` elsewhere. */
export function nodeProcess(): NodeProcess | null {
  const name = runtimeName();
  return name === "bun" || name === "node" ? globals().process ?? null : null;
}

/** A built-in module on Bun and Node by its bare name (`fs`), without an import or prefix: bundlers never see one. */
export function builtin<T>(name: string): T | null {
  return (nodeProcess()?.getBuiltinModule?.(name) ?? null) as T | null;
}

/** A built-in module that Deno has as well as Bun and Node, by its bare name; `null` where there is none, as at the edge. */
export function sharedBuiltin<T>(name: string): T | null {
  return (globals().process?.getBuiltinModule?.(`node:${name}`) ?? null) as T | null;
}

/**
 * A string with a character for each byte, which takes a fourth of the time of decoding UTF-8; `null` where the runtime makes
 * none, as in browsers, whose bundlers bring a `Buffer` without it. The first one loads a module of Deno's own.
 */
export function byteString(bytes: Uint8Array): string | null {
  return globals().Buffer?.prototype.latin1Slice?.call(bytes, 0, bytes.length) ?? null;
}

/** What Deno says about one permission; other runtimes grant everything. Never prompts. */
export function isGranted(descriptor: Deno.PermissionDescriptor): boolean {
  if (runtimeName() !== "deno") return true;
  try {
    const status = Deno.permissions.querySync(descriptor);
    // A grant with holes in it is not the grant that was asked about.
    return status.state === "granted" && !(status as { partial?: boolean }).partial;
  } catch {
    return false;
  }
}

/** What this script lacks to make a link: Deno wants both permissions without a scope, with holes in them or not. */
export function missingForLinks(): ("read" | "write")[] {
  if (runtimeName() !== "deno") return [];
  return (["read", "write"] as const).filter((name) => {
    try {
      return Deno.permissions.querySync({ name }).state !== "granted";
    } catch {
      return true;
    }
  });
}

/** Whether this script may run a command; without one: any command. */
export function canRun(command?: string): boolean {
  return isGranted(command === undefined ? { name: "run" } : { name: "run", command });
}

// Deno keeps each answer for as long as the script runs: where all paths or variables are granted, one is enough.

/** Whether this script may read a path. */
export function canRead(path: string): boolean {
  return path !== "" && (isGranted({ name: "read" }) || isGranted({ name: "read", path }));
}

/** Whether this script may read an environment variable. */
export function canReadEnv(name: string): boolean {
  return isGranted({ name: "env" }) || isGranted({ name: "env", variable: name });
}

/** Whether this script may connect to a host (`host:port`). */
export function canConnect(host: string): boolean {
  return isGranted({ name: "net", host });
}

/** An environment variable; `undefined` when it is not set or this script may not read it. */
export function readEnv(name: string): string | undefined {
  if (runtimeName() === "deno") {
    try {
      return canReadEnv(name) ? Deno.env.get(name) : undefined;
    } catch {
      return undefined;
    }
  }
  return nodeProcess()?.env[name];
}

/** The operating system in Node's spelling: `linux`, `darwin`, `win32` … */
export function platformName(): string {
  if (runtimeName() === "deno") return Deno.build.os === "windows" ? "win32" : Deno.build.os;
  return nodeProcess()?.platform ?? "unknown";
}

/** The processor in Node's spelling: `x64`, `arm64` … */
export function archName(): string {
  if (runtimeName() === "deno") return Deno.build.arch === "x86_64" ? "x64" : "arm64";
  return nodeProcess()?.arch ?? "unknown";
}

/** The working directory, when there is one. */
export function currentDirectory(): string | null {
  try {
    return runtimeName() === "deno" ? Deno.cwd() : nodeProcess()?.cwd() ?? null;
  } catch {
    return null;
  }
}

/** The path of the script that was started, when it is a file. */
export function scriptPath(): string | null {
  try {
    if (runtimeName() === "deno") return fileUrlToPath(Deno.mainModule, platformName());
    return nodeProcess()?.argv[1] ?? null;
  } catch {
    return null;
  }
}

/** The path that a `file:` URL names, or `null` for any other URL. */
export function fileUrlToPath(url: string, platform: string): string | null {
  if (!url.startsWith("file://")) return null;
  const path = decodeURIComponent(new URL(url).pathname);
  return platform === "win32" ? path.slice(1).replaceAll("/", "\\") : path;
}

/** What a path leads to. */
export function pathKind(path: string): PathKind {
  return attempt<PathKind, PathKind>(path, () => {
    const stat = Deno.statSync(path);
    return stat.isDirectory ? "directory" : stat.isFile ? "file" : "other";
  }, (fs) => {
    const stat = fs.statSync(path);
    return stat.isDirectory() ? "directory" : stat.isFile() ? "file" : "other";
  }, missingOrUnknown);
}

function missingOrUnknown(error: unknown): "missing" | "unknown" {
  return isGone(error) ? "missing" : "unknown";
}

/** What a file is like. */
export interface FileStat {
  mode: number | null;
  size: number;
  uid: number | null;
  gid: number | null;
}

/** What a path leads to is like; `null` when that can't be told. */
export function statOf(path: string): FileStat | null {
  return attempt<FileStat>(path, () => Deno.statSync(path), (fs) => fs.statSync(path));
}

/** Whether anybody may execute a file. `true` when that can't be told, or means nothing, as on Windows. */
export function isExecutable(path: string): boolean {
  return platformName() === "win32" || ((statOf(path)?.mode ?? 1) & 0o111) !== 0;
}

/** Whether an error says that there is nothing at a path. */
export function isGone(error: unknown): boolean {
  const { name, code } = Object(error) as { name?: string; code?: string };
  return name === "NotFound" || name === "NotADirectory" || code === "ENOENT" || code === "ENOTDIR";
}

/** A path with all links followed, or `null` when it can't be told. */
export function realPath(path: string): string | null {
  return attempt(
    path,
    () => Deno.realPathSync(path),
    // The other form keeps the letter case that was asked for.
    (fs) => fs.realpathSync.native(path),
  );
}

/** What lies at a path itself, without following it; `unknown` when this script may not look. */
export function entryKind(path: string): "link" | "other" | "missing" | "unknown" {
  return attempt(
    path,
    () => Deno.lstatSync(path).isSymlink ? "link" : "other",
    (fs) => fs.lstatSync(path).isSymbolicLink() ? "link" : "other",
    missingOrUnknown,
  );
}

/** Where a link leads, as it says; `null` for what is no link, or may not be looked at. */
export function linkTarget(path: string): string | null {
  return attempt(path, () => Deno.readLinkSync(path), (fs) => fs.readlinkSync(path));
}

/** More than a file holds that is read at once. */
const LARGE_BYTES = 1 << 24;

/**
 * Whether what a path leads to may have no end, or more than is read at once: a device, a pipe, a file of the system's own. A
 * repository can hold links to them.
 */
export function isEndless(path: string): boolean {
  const kind = pathKind(path);
  if (kind !== "file") return kind === "other";
  return (statOf(path)?.size ?? 0) > LARGE_BYTES ||
    !path.startsWith("/proc/") && realPath(path)?.startsWith("/proc/") === true;
}

/** The text of a small file; `null` when it can't be read, or may have no end. */
export function readTextFile(path: string): string | null {
  if (isEndless(path)) return null;
  return attempt(
    path,
    () => Deno.readTextFileSync(path),
    (fs) => fs.readFileSync(path, "utf8"),
  );
}

/**
 * Reads files below a directory as {@linkcode readTextFile} does, and looks once for how: for hundreds of small files of the
 * system that costs more than the files.
 */
export function readerBelow(directory: string): (path: string) => string | null {
  const fs = builtin<NodeFs>("fs");
  if (fs === null && !(runtimeName() === "deno" && canRead(directory))) return readTextFile;
  return (path) => {
    try {
      return fs === null ? Deno.readTextFileSync(path) : fs.readFileSync(path, "utf8");
    } catch {
      return null;
    }
  };
}

/** The names in a directory; empty when it can't be read. */
export function listDirectory(path: string): string[] {
  return attempt(
    path,
    () => Array.from(Deno.readDirSync(path), (entry) => entry.name),
    (fs) => fs.readdirSync(path),
  ) ?? [];
}

/** Looks at a path; what `otherwise` makes of the error when that fails, and of none where this script may not look. */
function attempt<T, U = null>(
  path: string,
  onDeno: () => T,
  onNode: (fs: NodeFs) => T,
  otherwise: (error?: unknown) => U = () => null as U,
): T | U {
  try {
    if (runtimeName() === "deno") return canRead(path) ? onDeno() : otherwise();
    const fs = builtin<NodeFs>("fs");
    return fs === null ? otherwise() : onNode(fs);
  } catch (error) {
    return otherwise(error);
  }
}

/**
 * Writes a small file, or adds to its end in one step, whoever else does at the same time. Throws the runtime's own error when
 * that is not possible.
 */
export function writeTextFile(path: string, text: string, append: boolean): void {
  if (runtimeName() === "deno") Deno.writeTextFileSync(path, text, { append });
  else builtin<NodeFs>("fs")?.writeFileSync(path, text, { flag: append ? "a" : "w" });
}

/** Removes a file, or (`recursive`) a directory with all that is in it, links not followed; says nothing when that can't be done. */
export function removePath(path: string, recursive = false): void {
  try {
    if (runtimeName() === "deno") {
      if (isGranted({ name: "write", path })) Deno.removeSync(path, { recursive });
    } else builtin<NodeFs>("fs")?.rmSync(path, { force: true, recursive });
  } catch {
    // Nothing depends on the removal of a file, and the next start removes what is left of a directory.
  }
}

/** Sends a signal to any process, when this script may; `true` when it was delivered. */
export function signalProcess(pid: number, signal: "SIGTERM" | "SIGKILL"): boolean {
  try {
    if (runtimeName() === "deno") {
      // Deno asks for the unscoped permission here; a scoped script has only `child.kill`.
      if (!canRun()) return false;
      Deno.kill(pid, signal);
      return true;
    }
    return nodeProcess()?.kill(pid, signal) ?? false;
  } catch {
    return false;
  }
}

/** Lets the script end although a timer is set. */
export function unrefTimer(timer: unknown): void {
  if (typeof timer === "number") {
    const { Deno } = globalThis as { Deno?: { unrefTimer?: (id: number) => void } };
    Deno?.unrefTimer?.(timer);
  } else (timer as { unref?: () => void } | null)?.unref?.();
}

/** Blocks this thread for some milliseconds; for exit handlers, where nothing can be awaited. */
export function blockFor(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

// The environment of a child.

/**
 * What is inherited, and what is set on top. Windows knows one variable by any letter case: the inherited one goes, or
 * the system takes whichever comes first.
 */
export function mergeEnv(
  platform: string,
  inherited: Readonly<Record<string, string | undefined>>,
  set: Readonly<Record<string, string>> = {},
): Record<string, string | undefined> {
  if (platform !== "win32") return { ...inherited, ...set };
  const names = new Set(Object.keys(set).map((name) => name.toUpperCase()));
  const kept = Object.entries(inherited).filter(([name]) => !names.has(name.toUpperCase()));
  return { ...Object.fromEntries(kept), ...set };
}

/** A variable by its name, in any letter case on Windows; `undefined` when there is none. */
export function nameInEnv(
  platform: string,
  env: Readonly<Record<string, string | undefined>>,
  name: string,
): string | undefined {
  if (platform !== "win32") return name in env ? name : undefined;
  return Object.keys(env).findLast((each) => each.toUpperCase() === name.toUpperCase());
}

// Asking a program of the system while nothing can be awaited.

interface NodeSpawnSync {
  spawnSync(
    command: string,
    args: string[],
    options: Record<string, unknown>,
  ): { status: number | null; stdout: string | null };
}

const LIMIT_MS = 2_000;

/** What a program prints, or `null` when it may not be started, fails, or takes too long. Needs its full path. */
export function runSync(
  command: string,
  args: string[],
  env: Record<string, string> = {},
): string | null {
  try {
    if (runtimeName() === "deno") {
      if (!canRun(command)) return null;
      const { code, stdout } = new Deno.Command(command, {
        args,
        env,
        stdin: "null",
        stdout: "piped",
        stderr: "null",
      }).outputSync();
      return code === 0 ? new TextDecoder().decode(stdout) : null;
    }
    const { status, stdout } = builtin<NodeSpawnSync>("child_process")!.spawnSync(command, args, {
      encoding: "utf8",
      env: { ...nodeProcess()?.env, ...env },
      stdio: ["ignore", "pipe", "ignore"],
      timeout: LIMIT_MS,
      windowsHide: true,
    });
    return status === 0 ? stdout ?? "" : null;
  } catch {
    return null;
  }
}
