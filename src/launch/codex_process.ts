/**
 * Transports to a codex that we start: ourselves (found, given its environment, owned), or by a command of the caller's that
 * reaches it, such as `ssh`, `docker exec`, `podman exec`, `wsl`.
 * @module
 */
import { kindOf } from "../json.ts";
import { InvalidArgumentError, PermissionDeniedError, SpawnError } from "../errors/mod.ts";
import { defined, type JsonValue } from "../json.ts";
import {
  canSpawn,
  descendants,
  endLeftSandboxes,
  isGranted,
  killEntries,
  nodeProcess,
  platformName,
  processEntry,
  readTextFile,
  removeFile,
  runtimeName,
  signalProcess,
  spawnProcess,
  writeTextFile,
} from "../platform/mod.ts";
import { openStdio, type Transport, type TransportFactory } from "../transport/mod.ts";
import {
  buildEnv,
  configFlags,
  directLoopback,
  type EnvRules,
  prependPath,
  splitSecrets,
} from "./settings.ts";
import { codexNotFound, locateCodex, type LocatedCodex } from "./locate_codex.ts";

/** Options of {@linkcode codexTransport}. */
export interface CodexProcessOptions {
  /** The codex to start. Default: CODEX_PATH, then PATH, then an installed npm package. */
  codexPath?: string;
  /** Settings for its `-c` flags; secrets among them go to its environment instead. Default none. */
  configOverrides?: Record<string, JsonValue>;
  /** What it inherits. Default: everything. */
  env?: EnvRules;
  /** Its working directory. Default: the script's own. */
  cwd?: string;
  /** Arguments after the `-c` flags. Default `["app-server"]`. */
  args?: string[];
  /** A file that remembers the process; see `pid_file.ts`. Default none. */
  pidFile?: string;
  /** Receives stderr as it comes, as text. */
  onStderr?: (text: string) => void;
}

/**
 * Starts `codex app-server` and talks to it over its pipes; each call of the factory starts a new process.
 *
 * The factory rejects with `SpawnError` (not found, with the places looked at; not startable),
 * `PermissionDeniedError` (Deno flags missing) or the signal's reason.
 */
export function codexTransport(options: CodexProcessOptions = {}): TransportFactory {
  return ({ signal } = {}) => open(options, signal);
}

async function open(options: CodexProcessOptions, signal?: AbortSignal): Promise<Transport> {
  signal?.throwIfAborted();
  // The typed error for runtimes without processes, before anything is looked for.
  if (!canSpawn()) await spawnProcess({ command: "codex", args: [] });
  const { pidFile } = options;
  if (pidFile !== undefined) reapLeftovers(pidFile);
  const located = locateCodex(options.codexPath);
  const { flags, env: secrets } = splitSecrets(options.configOverrides);
  const rules = { ...options.env, set: { ...options.env?.set, ...secrets } };
  const { direct, ...child } = directLoopback(buildEnv(rules));
  const { clearEnv, env } = prependPath(child, located.pathDirectories);
  let forget: (() => void) | undefined;
  try {
    const transport = await openStdio({
      process: {
        command: located.command,
        args: [...configFlags(flags), ...(options.args ?? ["app-server"])],
        ...defined({ cwd: options.cwd }),
        env,
        clearEnv,
      },
      ...defined({ signal, onStderr: options.onStderr }),
      onGone: () => forget?.(),
      direct,
    });
    if (pidFile !== undefined && transport.exit === null) {
      try {
        forget = rememberProcess(pidFile, transport.pid);
      } catch (error) {
        await transport.close();
        throw error;
      }
    }
    return transport;
  } catch (error) {
    throw withPlaces(error, located);
  }
}

/** A program that was not found gets the places that were looked at. */
function withPlaces(error: unknown, located: LocatedCodex): unknown {
  const notFound = error instanceof SpawnError && error.data?.["reason"] === "notFound";
  return notFound ? codexNotFound(located.looked, error) : error;
}

// The transport to a codex that a command of the caller's reaches: `ssh`, `docker exec`, `podman exec`, `wsl`.

/** What the command is started with. */
export interface CommandOptions {
  /** What it inherits. Default: everything. */
  env?: EnvRules;
  /** Its working directory. Default: the script's own. */
  processCwd?: string;
  /** Receives its stderr as it comes. */
  onStderr?: (text: string) => void;
}

/** Starts the command and talks over its pipes; each call of the factory starts it anew. */
export function commandTransport(
  [command, ...args]: readonly string[],
  options: CommandOptions = {},
): TransportFactory {
  if (typeof command !== "string" || command === "") {
    throw new InvalidArgumentError("connect", {
      argument: "transport.command",
      received: kindOf(command),
      accepts: "a list that begins with a program: `[program, …]`",
    });
  }
  return async ({ signal } = {}) => {
    const { clearEnv, env } = buildEnv(options.env);
    const { processCwd, onStderr } = options;
    const transport = await openStdio({
      process: {
        command,
        args,
        env,
        clearEnv,
        ...defined({ cwd: processCwd }),
      },
      ...defined({ signal, onStderr }),
    });
    return new Elsewhere(transport);
  };
}

/** The process here is only the way to codex: its id and its end say nothing about codex itself. */
class Elsewhere implements Transport {
  readonly kind = "stdio" as const;
  readonly pid: null = null;
  readonly maxOutboundBytes: null = null;
  readonly start: Transport["start"];
  readonly write: Transport["write"];
  readonly stderrTail: Transport["stderrTail"];
  readonly close: Transport["close"];
  readonly kill: Transport["kill"];
  readonly ref: () => void;
  readonly unref: () => void;

  constructor(transport: Transport) {
    this.start = (sink) => transport.start(sink);
    this.write = (text) => transport.write(text);
    this.stderrTail = () => transport.stderrTail();
    this.close = (options) => transport.close(options);
    this.kill = () => transport.kill();
    this.ref = () => transport.ref?.();
    this.unref = () => transport.unref?.();
  }
}

// A file that remembers the processes we own, so that the next start can end what an earlier script left behind when it
// had no chance to: one whose codex was stuck while the script was killed.
//
// Only what is certainly ours is ended: the pid must still belong to the process with the recorded start time, and the
// script that owned it must be gone. Windows tells no start times, so that nothing is ended there.

/** One process of one script. */
export interface PidRecord {
  /** The process. */
  pid: number;
  /** Names the process for certain, together with the pid; `null` where the system does not tell. */
  identity: string | null;
  /** The script that started it. */
  ownerPid: number;
  /** Names the script for certain. */
  ownerIdentity: string | null;
}

/** What to do with a record. */
export type PidVerdict = "reap" | "keep" | "forget";

/** Decides about a record from who lives now; pure. */
export function judgeRecord(
  record: PidRecord,
  identityOf: (pid: number) => string | null,
): PidVerdict {
  const identity = identityOf(record.pid);
  if (identity === null || record.identity === null || identity !== record.identity) {
    return "forget";
  }
  const owner = identityOf(record.ownerPid);
  // Another script's codex, in use.
  if (record.ownerIdentity === null || owner === record.ownerIdentity) return "keep";
  return "reap";
}

/** Ends what earlier scripts left behind; the number of processes ended. */
function reapLeftovers(path: string): number {
  requireAccess(path);
  let reaped = 0;
  const kept = readRecords(path).filter((record) => {
    const verdict = judgeRecord(record, processIdentity);
    if (verdict === "forget") endSandboxesOf(record);
    if (verdict !== "reap") return verdict === "keep";
    const below = descendants(record.pid);
    if (!signalProcess(record.pid, "SIGKILL")) return true;
    killEntries(below);
    reaped++;
    return false;
  });
  writeRecords(path, kept);
  return reaped;
}

/** A codex that ended with its script may have left a sandbox that it was just starting. */
function endSandboxesOf({ pid, identity, ownerPid, ownerIdentity }: PidRecord): void {
  if (ownerIdentity === null || processIdentity(ownerPid) === ownerIdentity) return;
  const [boot, startTime] = identity?.split("/") ?? [];
  if (startTime === undefined || boot !== bootId()) return;
  endLeftSandboxes({ pid, parent: ownerPid, session: pid, startTime });
}

/** Remembers a process of this script. The result forgets it again. */
function rememberProcess(path: string, pid: number): () => void {
  const ownerPid = runtimeName() === "deno" ? Deno.pid : nodeProcess()?.pid ?? 0;
  const identity = processIdentity(pid);
  const ownerIdentity = processIdentity(ownerPid);
  writeRecords(path, [...readRecords(path), { pid, identity, ownerPid, ownerIdentity }]);
  return () => {
    try {
      const rest = readRecords(path).filter((record) =>
        record.pid !== pid || record.identity !== identity
      );
      writeRecords(path, rest);
    } catch {
      // A record that stays behind does no harm: its process is gone.
    }
  };
}

/** Names a process beyond its pid: the boot and the moment that it started in. `null` when unknown. */
export function processIdentity(pid: number): string | null {
  const start = processEntry(pid)?.startTime;
  // A date, which no later boot repeats.
  if (platformName() === "darwin") return start ?? null;
  const boot = bootId();
  return boot === undefined || start === undefined ? null : `${boot}/${start}`;
}

function bootId(): string | undefined {
  return readTextFile("/proc/sys/kernel/random/boot_id")?.trim();
}

function requireAccess(path: string): void {
  const missing: string[] = [];
  if (!isGranted({ name: "read", path })) missing.push(`--allow-read=${path}`);
  if (!isGranted({ name: "write", path })) missing.push(`--allow-write=${path}`);
  if (missing.length > 0) throw new PermissionDeniedError(`The pid file ${path}`, missing);
}

function readRecords(path: string): PidRecord[] {
  try {
    const parsed: unknown = JSON.parse(readTextFile(path) ?? "[]");
    return Array.isArray(parsed) ? parsed.filter(isRecord) : [];
  } catch {
    return [];
  }
}

function isRecord(value: unknown): value is PidRecord {
  const record = value as Partial<PidRecord> | null;
  return typeof record?.pid === "number" && record.pid > 1 && typeof record.ownerPid === "number";
}

function writeRecords(path: string, records: PidRecord[]): void {
  if (records.length === 0) {
    removeFile(path);
    return;
  }
  try {
    writeTextFile(path, JSON.stringify(records) + "\n");
  } catch (cause) {
    throw new SpawnError(`The pid file ${path} can't be written.`, { cause });
  }
}
