/**
 * Whose a private home is, and whether that process is gone: what decides whether the next start may remove the home.
 *
 * Only what is certain is removed. A pid is taken again by other processes, is another process's in another container, and
 * says nothing on another machine, so the record names the start of the process, its boot, its pid namespace and its machine.
 * Deno tells a script with scoped permissions none of these; there a lock on the record, which goes with the process, decides.
 * @module
 */
import { isJsonObject, type JsonValue } from "../../json.ts";
import { treeFiles } from "../../platform/fs.ts";
import {
  nodeProcess,
  platformName,
  processEntry,
  readTextFile,
  runSync,
  runtimeName,
} from "../../platform/mod.ts";

/** The process that made a home. What is not known is `null`. */
export interface Owner {
  /** The process. */
  pid: number;
  /** When it started, in the system's own words. */
  start: string | null;
  /** The boot that it started in. */
  boot: string | null;
  /** The namespace in which its pid means it. */
  space: string | null;
  /** The machine, which has an id of its own. */
  machine: string | null;
}

/** Whether a home may be removed: `gone` when its owner certainly is. */
export type OwnerVerdict = "gone" | "perhapsAlive";

/** This process. */
export async function thisOwner(): Promise<Owner> {
  const pid = runtimeName() === "deno" ? Deno.pid : nodeProcess()?.pid ?? 0;
  const start = processEntry(pid)?.startTime ?? null;
  if (platformName() === "darwin") {
    const boot = runSync("/usr/sbin/sysctl", ["-n", "kern.bootsessionuuid"]);
    const machine = runSync("/usr/sbin/ioreg", ["-rd1", "-c", "IOPlatformExpertDevice"]);
    // Its processes have no namespaces.
    return { pid, start, space: "", ...macOwner(boot, machine) };
  }
  const read = (path: string) => readTextFile(path)?.trim() || null;
  return {
    pid,
    start,
    boot: read("/proc/sys/kernel/random/boot_id"),
    space: await namespaceOf(pid),
    machine: read("/etc/machine-id"),
  };
}

/** Which boot and which machine it is, by what the tools of macOS print; pure. */
export function macOwner(
  sysctl: string | null,
  ioreg: string | null,
): Pick<Owner, "boot" | "machine"> {
  const uuid = "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}";
  return {
    boot: new RegExp(`^${uuid}$`).exec(sysctl?.trim() ?? "")?.[0] ?? null,
    machine: new RegExp(`"IOPlatformUUID" = "(${uuid})"`).exec(ioreg ?? "")?.[1] ?? null,
  };
}

async function namespaceOf(pid: number): Promise<string | null> {
  try {
    return await (await treeFiles())?.readLink(`/proc/${pid}/ns/pid`) ?? null;
  } catch {
    return null;
  }
}

/** Judges by what is known here; `startOf` tells the start of a process that is there now. Pure. */
export function judgeOwner(
  owner: Owner,
  here: Owner,
  startOf: (pid: number) => string | null,
): OwnerVerdict {
  if (owner.start === null || owner.boot === null || owner.space === null) return "perhapsAlive";
  if (here.start === null || here.boot === null || here.space === null) return "perhapsAlive";
  if (owner.boot !== here.boot) {
    // An earlier boot of this machine, or another machine on one disk.
    return owner.machine !== null && owner.machine === here.machine ? "gone" : "perhapsAlive";
  }
  if (owner.space !== here.space) return "perhapsAlive";
  if (startOf(owner.pid) === owner.start) return "perhapsAlive";
  // Where not even this process can be looked at now, nothing is known of the other.
  return startOf(here.pid) === here.start ? "gone" : "perhapsAlive";
}

/** Reads a record; `null` when it is none. */
export function readOwner(text: string): { owner: Owner; locked: boolean } | null {
  let value: JsonValue;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isJsonObject(value) || !Number.isSafeInteger(value["pid"])) return null;
  const word = (name: string): string | null => {
    const known = value[name];
    return typeof known === "string" ? known : null;
  };
  return {
    owner: {
      pid: value["pid"] as number,
      start: word("start"),
      boot: word("boot"),
      space: word("space"),
      machine: word("machine"),
    },
    locked: value["locked"] === true,
  };
}
