/**
 * A home of its own for one codex, which holds the user's login and nothing else of the user's.
 *
 * The login is a link: every codex from 0.104 to 0.169 writes refreshed tokens through it, 0.169 by replacing the file that it
 * leads to. A copy would leave the user with tokens that are used up.
 *
 * All homes lie in one directory, each with a record beside it of whose it is, which is there before its home and goes after it.
 * By it the next start decides whether the process is gone and the home may be removed.
 *
 * Only what is certain is removed. A pid is taken again by other processes, is another process's in another container, and
 * says nothing on another machine, so the record names the start of the process, its boot, its pid namespace and its machine.
 * Deno tells a script with scoped permissions none of these; there a lock on the record, which goes with the process, decides.
 * @module
 */
import {
  InvalidArgumentError,
  PermissionDeniedError,
  PolicyError,
  SpawnError,
} from "../../errors/mod.ts";
import { type JsonValue, parseObject, plainSettings, present, stringOf } from "../../json.ts";
import { fileSystem, isTaken, treeFiles } from "../../platform/fs.ts";
import {
  atScriptEnd,
  type FileSystem,
  isGranted,
  missingForLinks,
  nodeProcess,
  pathKind,
  pathRules,
  platformName,
  processEntry,
  readTextFile,
  removePath,
  runSync,
  runtimeName,
  type TreeFiles,
} from "../../platform/mod.ts";
import { homeUnknown } from "../../launch/mod.ts";
import type { RuntimeConfig } from "../config.ts";
import { codexEnv } from "../defaults.ts";
import { configuredHome } from "../diagnose/evidence.ts";

/** Below the user's own codex home, which is on a disk of the user's and not in a directory that agents may write in. */
export const HOMES = "hermetic";

/** The login, and what codex 0.169 locks while it changes it: two of them must not refresh one token. */
export const LOGIN_FILES: readonly string[] = ["auth.json", "auth.json.lock", "auth.lock"];

/** Where codex keeps its login. */
const STORE = "cli_auth_credentials_store";
const COMMANDS_HOME = "shell_environment_policy.set.HOME";

/** Where the user's own things lie. */
export interface UserPlace {
  /** The user's codex home. */
  codexHome: string;
  /** The user's home; `null` when codex would not know it either. */
  home: string | null;
}

/** A private home, and the configuration with which codex lives in it. */
export interface HermeticHome {
  /** What codex is started with. */
  readonly config: RuntimeConfig;
  /** Removes it. Never rejects; idempotent. */
  remove(): Promise<void>;
}

/** The user's places for a configuration. Rejects with the flags that are missing. */
export function userPlace(config: RuntimeConfig): UserPlace {
  const codexHome = configuredHome(config);
  if (codexHome === null) throw homeUnknown('`isolation: "hermetic"`, which looks for the login,');
  return { codexHome, home: codexEnv(config, "HOME") ?? null };
}

/** Makes a home, after the homes of processes that are gone were removed. Rejects before anything is made. */
export async function openHermeticHome(config: RuntimeConfig): Promise<HermeticHome> {
  refuseOthers(config);
  const user = userPlace(config);
  const { join } = pathRules(platformName());
  const base = join(user.codexHome, HOMES);
  const linked = decideLogin(config, user, base);
  const homes = await Homes.open(base);
  await homes.sweep();
  const made = await homes.make();
  const codexHome = join(made.path, "codex");
  const home = join(made.path, "home");
  const forget = atScriptEnd(() => {
    removePath(made.path, true);
    removePath(made.record);
  });
  let removal: Promise<void> | null = null;
  const remove = () => removal ??= homes.remove(made).finally(forget);
  try {
    const tree = (await treeFiles())!;
    for (const path of [codexHome, home]) await tree.makeDirectory(path);
    for (const name of linked ? LOGIN_FILES : []) {
      await tree.makeLink(join(user.codexHome, name), join(codexHome, name));
    }
  } catch (error) {
    await remove();
    throw error;
  }
  return { config: inHome(config, user, codexHome, home), remove };
}

/** The configuration of a codex in its home; its commands keep the home of the user. Pure. */
export function inHome(
  config: RuntimeConfig,
  user: UserPlace,
  codexHome: string,
  home: string,
): RuntimeConfig {
  const own: Record<string, JsonValue> = plainSettings(config.configOverrides);
  return {
    ...config,
    env: {
      ...config.env,
      set: { ...config.env?.set, HOME: home, CODEX_HOME: codexHome, CODEX_SQLITE_HOME: codexHome },
    },
    configOverrides: {
      [STORE]: "file",
      // The system's keyring has the user's logins at MCP servers by the servers' names, whatever the home.
      mcp_oauth_credentials_store: "file",
      // The login would bring what its account is connected to, such as the user's mail, and the plugins that it has.
      "features.apps": false,
      "features.plugins": false,
      ...present({ [COMMANDS_HOME]: user.home }),
      ...own,
    },
  };
}

function refuseOthers(config: RuntimeConfig): void {
  const type = config.transport?.type ?? "stdio";
  const wrong = type !== "stdio"
    ? `transport.type "${type}", whose codex has its home already`
    : platformName() === "win32"
    ? "Windows, where a login can't be linked for certain"
    : null;
  if (wrong === null) return;
  throw new InvalidArgumentError("connect", {
    argument: "isolation",
    received: `"hermetic", with ${wrong}`,
    accepts: 'left out, or "user"',
    hint: "A codex that this library starts itself on Linux or macOS can be hermetic.",
  });
}

/** Whether the user's login is linked; rejects when it can't be used from another home, or this script may not. */
function decideLogin(config: RuntimeConfig, user: UserPlace, base: string): boolean {
  const { join } = pathRules(platformName());
  const what = '`isolation: "hermetic"`';
  const missing = [
    isGranted({ name: "read", path: user.codexHome }) ? "" : `--allow-read=${user.codexHome}`,
    isGranted({ name: "write", path: base }) ? "" : `--allow-write=${base}`,
  ].filter((flag) => flag !== "");
  if (missing.length > 0) throw new PermissionDeniedError(what, missing);
  if (config.apiKey !== undefined) return false;
  const there = pathKind(join(user.codexHome, "auth.json")) !== "missing";
  const chosen = plainSettings(config.configOverrides)[STORE];
  const store = chosen === undefined
    ? storeIn(readTextFile(join(user.codexHome, "config.toml")))
    : "";
  if (store === "keyring" || store === "auto" && !there) {
    throw new PolicyError(
      `${what}: the user's codex keeps its login in the system's keyring (\`${STORE} = "${store}"\`), under a key that ` +
        "belongs to its home, so that no other home can use it. Give an `apiKey` to the client, log in with " +
        `\`${STORE} = "file"\`, or set \`configOverrides: { ${STORE}: "file" }\` when no login is needed.`,
      { data: { reason: "loginInKeyring" } },
    );
  }
  if (!there) return false;
  const unscoped = missingForLinks();
  if (unscoped.length > 0) {
    throw new PermissionDeniedError(
      `${what} without an \`apiKey\`: a link to the user's login, which Deno lets no script with scoped flags make,`,
      unscoped.map((name) => `--allow-${name}`),
    );
  }
  return true;
}

/** Where a config.toml says that logins are kept; `null` when it says nothing. */
export function storeIn(toml: string | null): string | null {
  return /^\s*cli_auth_credentials_store\s*=\s*["'](\w+)["']/m.exec(toml ?? "")?.[1] ?? null;
}

/** One home. */
export interface MadeHome {
  /** Its directory. */
  path: string;
  /** Its record. */
  record: string;
  /** Lets the record go, once it is removed. */
  release: () => void;
}

const RECORD = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.json$/;
/** A record is a line; what is larger was not written here. */
const MAX_RECORD = 4096;
const OWNER_ONLY = 0o700;

/** The private homes below one directory. */
export class Homes {
  readonly #base: string;
  readonly #files: FileSystem;
  readonly #tree: TreeFiles;
  readonly #owner: Owner;

  private constructor(base: string, files: FileSystem, tree: TreeFiles, owner: Owner) {
    this.#base = base;
    this.#files = files;
    this.#tree = tree;
    this.#owner = owner;
  }

  /** Makes the directory when it is not there. Rejects when it is not a directory of this user alone. */
  static async open(base: string): Promise<Homes> {
    const [files, tree] = [fileSystem(), await treeFiles()];
    if (files === null || tree === null) throw new SpawnError("There are no files here.");
    try {
      await files.makeDirectory(base, true);
    } catch (cause) {
      throw new SpawnError(`The directory for private homes, ${base}, can't be made.`, { cause });
    }
    const entry = await tree.entry(base);
    if (entry?.kind !== "directory") {
      throw new PolicyError(
        `${base} is not a directory but a ${entry?.kind ?? "path"} that leads elsewhere. ` +
          "A private home is not made behind it; remove it.",
        { data: { reason: "hermeticHome" } },
      );
    }
    if (platformName() !== "win32" && entry.mode !== OWNER_ONLY) {
      await tree.setMode(base, OWNER_ONLY);
    }
    return new Homes(base, files, tree, await thisOwner());
  }

  /** Makes a home that is empty. */
  async make(): Promise<MadeHome> {
    const { join } = pathRules(platformName());
    const id = crypto.randomUUID();
    const [path, record] = [join(this.#base, id), join(this.#base, `${id}.json`)];
    const locked = await this.#writeRecord(record);
    if (locked === "held") return await this.make();
    const release = locked ?? (() => {});
    try {
      await this.#tree.makeDirectory(path);
      await this.#tree.setMode(path, OWNER_ONLY);
      return { path, record, release };
    } catch (error) {
      await this.remove({ path, record, release });
      throw error;
    }
  }

  /** What starts next may take a record for an abandoned one before it is held; then another is written. */
  async #writeRecord(record: string): Promise<(() => void) | "held" | null> {
    const text = JSON.stringify({ ...this.#owner, locked: typeof Deno !== "undefined" });
    try {
      await this.#files.create(record, new TextEncoder().encode(`${text}\n`), true);
      return await this.#tree.hold(record);
    } catch (error) {
      if (isTaken(error)) return "held";
      // One that is cut, as on a full disk, tells nobody whose it is, and would stay.
      await this.#files.removeFile(record).catch(() => {});
      throw new SpawnError(`A private home can't be made in ${this.#base}.`, { cause: error });
    }
  }

  /** Removes a home and then its record. Never rejects; what can't be removed keeps its record for the next start. */
  async remove({ path, record, release }: MadeHome): Promise<void> {
    try {
      if (await this.#tree.entry(path) !== null) await this.#files.removeAll(path);
      await this.#files.removeFile(record);
    } catch {
      // Something of codex's still writes there, or somebody else was first.
    } finally {
      release();
    }
  }

  /** Removes the homes whose owners are gone; how many those were. Links are removed, and not followed. */
  async sweep(): Promise<number> {
    let removed = 0;
    const { join } = pathRules(platformName());
    for (const name of await this.#files.list(this.#base).catch(() => null) ?? []) {
      const id = RECORD.exec(name)?.[1];
      if (id === undefined) continue;
      const [path, record] = [join(this.#base, id), join(this.#base, name)];
      const release = await this.#claim(record).catch(() => null);
      if (release === null) continue;
      await this.remove({ path, record, release });
      removed++;
    }
    return removed;
  }

  /** What releases the record of an owner that is gone; `null` for any other. */
  async #claim(record: string): Promise<(() => void) | null> {
    const entry = await this.#tree.entry(record);
    if (entry?.kind !== "file" || entry.size > MAX_RECORD) return null;
    const bytes = await this.#tree.readExpected(record, entry);
    const read = bytes === null ? null : readOwner(new TextDecoder().decode(bytes));
    if (read === null) return null;
    if (read.locked) {
      const held = await this.#tree.hold(record);
      if (held === "held") return null;
      if (held !== null) return held;
    }
    const startOf = (pid: number) => processEntry(pid)?.startTime ?? null;
    return judgeOwner(read.owner, this.#owner, startOf) === "gone" ? () => {} : null;
  }
}

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
  const value = parseObject(text);
  if (value === null || !Number.isSafeInteger(value["pid"])) return null;
  return {
    owner: {
      pid: value["pid"] as number,
      start: stringOf(value, "start"),
      boot: stringOf(value, "boot"),
      space: stringOf(value, "space"),
      machine: stringOf(value, "machine"),
    },
    locked: value["locked"] === true,
  };
}
