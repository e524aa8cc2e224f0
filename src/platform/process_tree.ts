/**
 * Starting a process, the same on every runtime; what it has started itself, and how all of it ends: with the process, or
 * with this script.
 * @module
 */
import type { ChildProcess, EndSignal, ProcessSpec } from "./child_process.ts";
import {
  blockFor,
  canSpawn,
  currentDirectory,
  listDirectory,
  nodeProcess,
  platformName,
  readerBelow,
  readTextFile,
  runSync,
  runtimeName,
  signalProcess,
} from "./runtime.ts";
import { windowsSystemProgram } from "./windows.ts";
import { SpawnError } from "../errors/mod.ts";

// What a process has started, as far as the system tells: on Linux, where the script may read `/proc`; on macOS, where it
// may start `/bin/ps`. A killed codex can't end its own commands any more, and they are in sessions of their own.

/** One running process. */
export interface ProcessEntry {
  /** The process id. */
  pid: number;
  /** Its parent. */
  parent: number;
  /** The process that leads, or led, its session; `null` where the system does not tell. */
  session: number | null;
  /** When it started, in the system's own words: with the pid it names one process for certain. */
  startTime: string;
}

/** Reads the fields that matter from a line of `/proc/<pid>/stat`; `null` when it is none, or of a process that has ended. */
export function parseStat(text: string): ProcessEntry | null {
  // The name may hold spaces and parentheses; what follows the last one is plain.
  const end = text.lastIndexOf(")");
  const pid = Number.parseInt(text, 10);
  const fields = text.slice(end + 2).split(" ", 20);
  const [state, parent, session] = [fields[0], Number(fields[1]), Number(fields[3])];
  const startTime = fields[19];
  if (end < 0 || !Number.isInteger(pid) || !Number.isInteger(parent) || startTime === undefined) {
    return null;
  }
  return state === "Z" || state === "X" ? null : { pid, parent, session, startTime };
}

const PS = "/bin/ps";
const PS_FIELDS = ["-o", "pid=,ppid=,lstart="];
/** The start of a process is compared with what another script wrote down, whose time zone may be another one. */
const IN_UTC = { TZ: "UTC", LC_ALL: "C" };

/** Reads the lines of `ps` with the fields that matter; what is none of them is passed by. */
export function parsePs(text: string): ProcessEntry[] {
  return text.split("\n").flatMap((line) => {
    const fields = /^\s*(\d+)\s+(\d+)\s+(\S.*?)\s*$/.exec(line);
    if (fields === null) return [];
    const [pid, parent] = [Number(fields[1]), Number(fields[2])];
    return [{ pid, parent, session: null, startTime: fields[3]! }];
  });
}

/** What is known about one process, or `null`. */
export function processEntry(pid: number): ProcessEntry | null {
  if (platformName() === "darwin") {
    return parsePs(runSync(PS, ["-p", String(pid), ...PS_FIELDS], IN_UTC) ?? "")[0] ?? null;
  }
  const stat = readTextFile(`/proc/${pid}/stat`);
  return stat === null ? null : parseStat(stat);
}

/**
 * All processes below `pid`, and those in the sessions that one of them leads: a command's background; empty when the system
 * does not tell.
 */
export function descendants(pid: number): ProcessEntry[] {
  if (platformName() === "darwin") {
    return below(pid, parsePs(runSync(PS, ["-ax", ...PS_FIELDS], IN_UTC) ?? ""));
  }
  const all = allOnLinux();
  const found = below(pid, all);
  return [...found, ...found.flatMap((each) => membersOf(each, all))];
}

function allOnLinux(): ProcessEntry[] {
  const read = readerBelow("/proc");
  return listDirectory("/proc").filter((name) => /^\d+$/.test(name))
    .map((name) => parseStat(read(`/proc/${name}/stat`) ?? "")).filter((entry) => entry !== null);
}

/** The entries whose chain of parents leads to `pid`. */
export function below(pid: number, all: readonly ProcessEntry[]): ProcessEntry[] {
  const found: ProcessEntry[] = [];
  const parents = new Set([pid]);
  for (let grown = true; grown;) {
    grown = false;
    for (const entry of all) {
      if (parents.has(entry.parent) && !parents.has(entry.pid)) {
        parents.add(entry.pid);
        found.push(entry);
        grown = true;
      }
    }
  }
  return found;
}

/** Ends those that are still the same processes. */
export function killEntries(
  entries: readonly ProcessEntry[],
  signal: "SIGTERM" | "SIGKILL" = "SIGKILL",
): void {
  for (const { pid, startTime } of entries) {
    if (processEntry(pid)?.startTime === startTime) signalProcess(pid, signal);
  }
}

/** A process that was started with a session of its own, for {@linkcode leftInSession}; `null` where that tells nothing. */
export function sessionLeader(pid: number): ProcessEntry | null {
  return platformName() === "linux" ? processEntry(pid) : null;
}

/**
 * The other processes in the session that a process of ours has led, on Linux, as far as this script may look. Codex puts
 * MCP servers, and the helper that applies patches, into groups of their own, where no signal to its own group reaches them.
 */
export function leftInSession(leader: ProcessEntry | null): ProcessEntry[] {
  return leader === null ? [] : membersOf(leader, allOnLinux());
}

/** The entries in the session that `leader` leads or, when it has ended, has led. */
export function membersOf(leader: ProcessEntry, all: readonly ProcessEntry[]): ProcessEntry[] {
  // The system gives a number away again when nobody is left in the session that has it.
  if (all.some(({ pid, startTime }) => pid === leader.pid && startTime !== leader.startTime)) {
    return [];
  }
  return all.filter(({ pid, session, startTime }) =>
    session === leader.pid && pid !== leader.pid && Number(startTime) >= Number(leader.startTime)
  );
}

/** Ends the sandboxes in the session of a process that has ended long ago: {@linkcode endOrphans} says how they come to be. */
export function endLeftSandboxes(leader: ProcessEntry): void {
  if (processEntry(leader.pid) !== null) return;
  killEntries(leftInSession(leader).filter(({ pid }) => isSandbox(words(pid, "cmdline"))));
}

/**
 * Ends the sandboxes that should have died with their parents and did not, on Linux, as far as this script may look: those
 * that have one of the variables, `NAME=value`, in their environment, and neither `root` nor another codex above them, which
 * may have the thread by now. `bwrap --die-with-parent` asks for that some milliseconds after it was started; a parent that is
 * killed before leaves a command that nobody knows.
 */
export function endOrphans(root: number | null, variables: readonly string[]): void {
  const found = withVariable(variables);
  if (found.length === 0) return;
  const all = allOnLinux();
  const kept = all.filter(({ pid }) => pid === root || pid > 1 && isCodex(words(pid, "cmdline")))
    .flatMap(({ pid }) => below(pid, all));
  killEntries(
    found.filter(({ pid }) =>
      !kept.some((each) => each.pid === pid) && isSandbox(words(pid, "cmdline"))
    ),
  );
}

/** A codex that starts sandboxes, whoever has started it, or a script that was told where it is. */
function isCodex(line: readonly string[]): boolean {
  return line.some((word) => /(^|\/)codex$|^app-server$/.test(word));
}

/** The first process of a sandbox, with which all others in it die: `bwrap`, and what it becomes before the command. */
function isSandbox(line: readonly string[]): boolean {
  return line.includes("--die-with-parent") || line.includes("--apply-seccomp-then-exec");
}

/** The processes that have one of the variables, `NAME=value`, in their environment: on Linux, as far as this script may look. */
export function withVariable(variables: readonly string[]): ProcessEntry[] {
  if (platformName() !== "linux" || variables.length === 0) return [];
  const wanted = new Set(variables);
  const read = readerBelow("/proc");
  return allOnLinux().filter(({ pid }) =>
    words(pid, "environ", read).some((word) => wanted.has(word))
  );
}

function words(pid: number, file: string, read = readTextFile): string[] {
  return read(`/proc/${pid}/${file}`)?.split("\0") ?? [];
}

// Nothing that we started outlives the script.
//
// Whatever ends a script (a signal, a crash, even SIGKILL), the operating system closes its end of the
// child's stdin, and codex leaves on that. This hook covers what that does not: a child that is stuck when
// the script ends by itself. Signals are left alone on purpose: a listener would change how the user's own
// script dies.

const living = new Map<ChildProcess, ProcessEntry | null>();
let removeHook: (() => void) | undefined;

/** Pauses between the looks at what still runs, in milliseconds: 200 in all. Before the last one there is SIGTERM. */
const PAUSES = [5, 5, 10, 20, 40, 60, 60];

/** Ends the process, and what is in the session that it leads, when the script ends. The result forgets it again. */
export function endWithScript(
  child: ChildProcess,
  leader: ProcessEntry | null = sessionLeader(child.pid),
): () => void {
  living.set(child, leader);
  removeHook ??= onScriptEnd(endAll);
  return () => {
    living.delete(child);
    if (living.size > 0) return;
    removeHook?.();
    removeHook = undefined;
  };
}

/**
 * Does something when the script ends by itself, after its processes were ended; a signal that kills it runs nothing. The
 * result forgets it again.
 */
export function atScriptEnd(act: () => void): () => void {
  return onScriptEnd(() => {
    endAll();
    act();
  });
}

function onScriptEnd(act: () => void): () => void {
  if (runtimeName() === "deno") {
    globalThis.addEventListener("unload", act);
    return () => globalThis.removeEventListener("unload", act);
  }
  const process = nodeProcess();
  // An older listener of the script's may throw, or exit anew, and none comes after it.
  process?.prependListener("exit", act);
  return () => process?.off("exit", act);
}

/** The ladder of `close()`, with short waits. Synchronous: nothing can be awaited while a script ends. */
function endAll(): void {
  const windows = platformName() === "win32";
  // Commands are in sessions of their own, and known by their parents alone, while those live.
  const commands = [...living.keys()].flatMap(({ pid }) => descendants(pid));
  for (const child of living.keys()) child.closeStdin(true);
  for (const [at, pause] of PAUSES.entries()) {
    // What takes no SIGTERM, such as a sandbox that was being started, is left when codex is gone.
    if (![...living].some(([child, led]) => mayRun(child) || leftInSession(led).length > 0)) break;
    // Codex up to 0.145 ends at SIGTERM without its commands, which a script with few permissions can't end itself.
    if (at === PAUSES.length - 1 && !windows) {
      for (const child of living.keys()) send(child, "SIGTERM");
    }
    blockFor(pause);
  }
  for (const [child, leader] of living) {
    const runs = mayRun(child);
    if (windows && runs) killWindowsTreeNow(child.pid);
    commands.push(...(runs ? descendants(child.pid) : []));
    send(child, "SIGKILL");
    killEntries(leftInSession(leader));
  }
  killEntries(commands);
}

function send(child: ChildProcess, signal: EndSignal): void {
  if (!child.kill(signal, { tree: true })) child.kill(signal);
}

/** False only for a process that certainly ended; it can't be reaped in an exit handler. */
function mayRun(child: ChildProcess): boolean {
  switch (platformName()) {
    case "linux":
      return !tellsEnd("linux", readTextFile(`/proc/${child.pid}/stat`));
    case "darwin":
      return !tellsEnd("darwin", runSync(PS, ["-p", String(child.pid), "-o", "state="]));
    case "win32":
      return runtimeName() === "deno" || processExists(child.pid);
    default:
      return true;
  }
}

/** Whether the system's words about a process say that it has ended; `null`, when it has none, does not. */
export function tellsEnd(platform: "linux" | "darwin", text: string | null): boolean {
  if (text === null) return false;
  return platform === "linux" ? /\) [ZX] /.test(text) : /^\s*Z/.test(text);
}

/** Bun and Node: signal 0 asks whether there is such a process. */
function processExists(pid: number): boolean {
  try {
    return nodeProcess()?.kill(pid, 0) ?? true;
  } catch {
    return false;
  }
}

// Ending a process and what it started on Windows, which has no process groups to signal: the system's own tool walks the
// tree, and finds it only while the root of it lives.

const tool = (pid: number): { command: string; args: string[] } => ({
  command: windowsSystemProgram("taskkill.exe"),
  args: ["/pid", String(pid), "/t", "/f"],
});

/** Ends the tree; `false` when it could not be ended as a whole, as without permission to start the tool. */
export async function killWindowsTree(pid: number): Promise<boolean> {
  try {
    const child = await spawnProcess(tool(pid));
    const { code } = await child.exited;
    await child.release({ drainMs: 0 });
    return code === 0;
  } catch {
    return false;
  }
}

/** The same, for exit handlers. */
function killWindowsTreeNow(pid: number): boolean {
  const { command, args } = tool(pid);
  return runSync(command, args) !== null;
}

/**
 * Starts a process.
 *
 * Rejects with `SpawnError` (not found, not executable, no such cwd, or a runtime that has no processes)
 * or `PermissionDeniedError` (Deno, naming the missing flag). It never prompts.
 */
export async function spawnProcess(spec: ProcessSpec): Promise<ChildProcess> {
  if (!canSpawn()) {
    throw new SpawnError(
      `A ${runtimeName() === "browser" ? "browser" : "worker"} cannot start codex. ` +
        `Connect to a running server with \`transport: { type: "websocket", url, token }\`, ` +
        `or talk to a server-side \`web.createBridge\`.`,
      { data: { reason: "noProcesses", runtime: runtimeName() } },
    );
  }
  const from = startDirectory(spec.cwd);
  const placed = from === undefined ? spec : { ...spec, cwd: from };
  // Of the two ways a program needs one.
  return runtimeName() === "deno"
    ? await (await import("./deno_process.ts")).spawnDenoProcess(placed)
    : await (await import("./node_process.ts")).spawnNodeProcess(placed);
}

/** Nothing starts in a directory that was removed, as happens to scripts that outlive a release of themselves. */
function startDirectory(cwd: string | undefined): string | undefined {
  if (cwd !== undefined || currentDirectory() !== null) return cwd;
  return platformName() === "win32" ? undefined : "/";
}
