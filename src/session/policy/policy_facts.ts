/**
 * What the decisions about a policy depend on: this machine, codex's own, and what the server tells of itself.
 * @module
 */
import { RpcError } from "../../errors/mod.ts";
import { type JsonObject, stringOf } from "../../json.ts";
import {
  codexHomeOfThread,
  type EffectivePolicy,
  loadServerFiles,
  ownRootIn,
  type PolicyFacts,
  realPathOf,
  type SandboxPolicy,
  type ServerFiles,
} from "../../permissions/mod.ts";
import { platformName } from "../../platform/mod.ts";
import { supports } from "../../protocol/mod.ts";
import { codexEnv, configuredHome, isRemote, type RuntimeCore } from "../../runtime/mod.ts";

/** The server's files, asked for once a connection. */
const serverFiles: WeakMap<RuntimeCore, Promise<ServerFiles | null>> = new WeakMap();

/** Follows links where the server's files are this machine's; those of a remote one are taken as spelled. */
export function realPathFor({ config }: RuntimeCore): typeof realPathOf {
  return isRemote(config) ? (path) => path : realPathOf;
}

/** What is known before a thread is. */
export function policyFacts(core: RuntimeCore): PolicyFacts {
  return {
    realPath: realPathFor(core),
    ...temporaries(core),
    serverVersion: core.server.version,
    platform: serverSystem(core),
    ...(supports(core.server.version, "addsOwnRoot") ? { ownRoot: ownRoot(core) } : {}),
  };
}

/** Where codex lets commands write temporary files: Windows has three variables for it. */
function temporaries(core: RuntimeCore): Pick<PolicyFacts, "tmpdir" | "moreTmpdirs" | "windows"> {
  const value = (name: string) => codexEnv(core.config, name);
  const windows = isWindows(core);
  if (!windows) return { tmpdir: value("TMPDIR") ?? null };
  const all = ["TEMP", "TMP", "TMPDIR"].map(value);
  // One that can't be read may lead anywhere.
  const known = all.includes(null) ? [] : all.filter((path) => typeof path === "string");
  return { tmpdir: known[0] ?? null, moreTmpdirs: known.slice(1), windows };
}

/** Whether the server runs on Windows, by its own word where it gives one. */
export function isWindows(core: RuntimeCore): boolean {
  const { platformFamily } = core.server;
  if (platformFamily !== undefined) return platformFamily === "windows";
  return !isRemote(core.config) && platformName() === "win32";
}

/** The server's operating system, as codex names it. */
export function serverSystem(core: RuntimeCore): string | null {
  const { platformOs } = core.server;
  if (platformOs !== undefined) return platformOs;
  // Old servers do not tell.
  if (isRemote(core.config)) return null;
  const here = platformName();
  return here === "win32" ? "windows" : here === "darwin" ? "macos" : here;
}

/** Where codex makes a directory of its own writable, as far as it is known before a thread is. */
function ownRoot(core: RuntimeCore): string | null {
  const home = codexHomeOf(core);
  return home === undefined ? null : ownRootIn(home);
}

/** Codex's home, as far as it is known before a thread is. */
export function codexHomeOf({ server, config }: RuntimeCore): string | undefined {
  return server.codexHome ?? configuredHome(config) ?? undefined;
}

/** The same, with the home that the thread's file lies in: codex 0.110 to 0.115 tell it nowhere else. */
export function ownRoots(core: RuntimeCore, echo: JsonObject): string[] {
  if (!supports(core.server.version, "addsOwnRoot")) return [];
  const path = stringOf(echo, "thread", "path");
  const told = path === null ? null : codexHomeOfThread(path);
  return [ownRoot(core), told === null ? null : ownRootIn(told)].filter((root) => root !== null);
}

/** Whether commands have the network. */
export function reachesNetwork(sandbox: SandboxPolicy): boolean {
  return "networkAccess" in sandbox && sandbox.networkAccess === true;
}

/** Whether what turns have left running can be ended. */
export function endsLeft({ server, config }: RuntimeCore): boolean {
  return supports(server.version, "commandsOutliveTurns") && config.experimentalApi !== false;
}

/** How far commands get, as JSON. */
export function reachOf({ sandbox, readRoots }: EffectivePolicy): string {
  return JSON.stringify({ sandbox, readRoots });
}

/** The same with what they ask about: what an agent or a script keeps of the turn that began it. */
export function keptOf({ sandbox, approvalPolicy, readRoots }: EffectivePolicy): string {
  return JSON.stringify({ sandbox, approvalPolicy, readRoots });
}

/** The server's files, asked for once a connection; `null` when it does not tell. */
export function filesOf(core: RuntimeCore): Promise<ServerFiles | null> {
  let asked = serverFiles.get(core);
  if (asked === undefined) {
    asked = loadServerFiles().then(({ method, params, read }) =>
      core.callNow(method, params).then(read, (error) => {
        if (error instanceof RpcError) return null;
        // What was not answered is asked again.
        serverFiles.delete(core);
        throw error;
      })
    );
    serverFiles.set(core, asked);
  }
  return asked;
}
