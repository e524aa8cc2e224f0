/**
 * Which of a session's tools codex offers by itself, and which are served to it.
 * @module
 */
import { delay } from "../../async.ts";
import {
  InvalidArgumentError,
  PermissionDeniedError,
  RpcError,
  UnsupportedError,
} from "../../errors/mod.ts";
import {
  asList,
  defined,
  isJsonObject,
  memberOf,
  objectsOf,
  parseObject,
  stringOf,
} from "../../json.ts";
import { flagsFor, hostProbe, missingNeeds, type PermissionNeed } from "../../permissions/mod.ts";
import { dotenvIsDirect } from "../../launch/mod.ts";
import { fileSystem } from "../../platform/fs.ts";
import { canRead } from "../../platform/mod.ts";
import { featureSince, isRefusal, supports } from "../../protocol/mod.ts";
import { assertGoesOn } from "../history/materialise.ts";
import { isAttached, isRemote, readHomeFile, type RuntimeCore } from "../../runtime/mod.ts";
import { firstLine } from "../history/rollout.ts";
import type { ResolvedProfile } from "../profile.ts";
import { LEAVING_MS, whenClosed } from "../thread/when_closed.ts";
import { keyOf, rememberedTools } from "./begun_with.ts";
import { configuredMcpServers, mcpServerNames } from "./server_settings.ts";
import { TOOLS_SERVER } from "./servers.ts";
import { toolSpecs } from "./tool_specs.ts";
import { type ServedTools, serveTools, toolServerGone, type ToolSpec } from "./tool_server.ts";

export { toolServerGone };

/** Tools that are served to codex. */
export interface SessionTools extends ServedTools {
  /** The name of their MCP server. */
  readonly name: string;
  /** Rejects when a proxy may stand between codex, which was started anew, and this process. */
  check(): Promise<void>;
}

const LOOPBACK: PermissionNeed = { kind: "net", host: "127.0.0.1" };

/**
 * Serves those tools of a session that a thread, which is there already, was not begun with; `null` when it has them all.
 * Rejects with `InvalidArgumentError` where codex can't reach this process, and with `PermissionDeniedError` where this script
 * may not listen.
 */
export async function serveMissingTools(
  core: RuntimeCore,
  threadId: string,
  cwd: string,
  profile: ResolvedProfile,
): Promise<SessionTools | null> {
  const wanted = toolSpecs(profile.tools);
  if (wanted.length === 0) return null;
  const offered = new Set(await begunWith(core, threadId));
  const missing = wanted.filter((spec) => !offered.has(keyOf(spec)));
  if (missing.length === 0) return null;
  const names = missing.map(({ name }) => name).slice(0, 5).join(", ");
  const check = () => assertDirect(core, names);
  await check();
  const taken = new Set([
    ...Object.keys(profile.mcpServers),
    ...mcpServerNames(profile.config),
    ...await configuredMcpServers(core, cwd),
  ]);
  return { ...await serveTools(core, missing), name: freeName(taken), check };
}

/** What codex puts over the environment that it is started with. */
const DOTENV = ".env";

/** Rejects unless codex certainly reaches this process, and no proxy comes to know of what it says. */
async function assertDirect(core: RuntimeCore, names: string): Promise<void> {
  const own = core.config.transport?.type ?? "stdio";
  if (isRemote(core.config)) {
    throw outOfReach(names, "and this one, on another machine, can't reach it");
  }
  // What its environment says of proxies can't be known, nor changed.
  if (isAttached(core.config) || (own === "custom" && !core.direct)) {
    throw outOfReach(
      names,
      "and this one, which another program started, may come by way of a proxy",
    );
  }
  const env = await readHomeFile(core, DOTENV);
  if (env.text !== null && !dotenvIsDirect(env.text)) {
    throw outOfReach(
      names,
      `which NO_PROXY in ${env.path} leads it to by way of a proxy`,
      `Add 127.0.0.1 to that NO_PROXY, and start codex anew.`,
    );
  }
  const flags = [
    ...flagsFor(missingNeeds([LOOPBACK], hostProbe()), hostProbe().enforcedBy),
    ...(core.direct ? [] : ["--allow-env=NO_PROXY,no_proxy"]),
    ...(env.text === null ? [`--allow-read=${env.path ?? `CODEX_HOME/${DOTENV}`}`] : []),
  ];
  if (flags.length > 0) {
    throw new PermissionDeniedError(
      "Offering tools on a thread that was begun without them, which are served to codex on a loopback port " +
        "that no proxy may come to know of,",
      flags,
    );
  }
}

function outOfReach(
  names: string,
  why: string,
  hint: string = "Start a new session with them, or let this process start the codex.",
): InvalidArgumentError {
  return new InvalidArgumentError("session", {
    argument: "tools",
    received: "others, as far as can be told",
    accepts: "those that it was begun with, by this client",
    sentence:
      `${names}: tools that a thread was not begun with are served to codex by this process, ${why}`,
    hint,
  }, { data: { reason: "toolsOutOfReach" } });
}

function freeName(taken: ReadonlySet<string>): string {
  for (let i = 1;; i++) {
    const name = i === 1 ? TOOLS_SERVER : `${TOOLS_SERVER}_${i}`;
    if (!taken.has(name)) return name;
  }
}

/** What a thread was begun with: by this client, or by its file where this script may read it. */
async function begunWith(core: RuntimeCore, threadId: string): Promise<readonly string[]> {
  const known = rememberedTools(core, threadId);
  if (known !== undefined || isRemote(core.config)) return known ?? [];
  // A thread that can't be read can't be opened either; that call says why.
  const result = await core.call("thread/read", { threadId, includeTurns: false }).catch(() =>
    null
  );
  const path = stringOf(result, "thread", "path");
  const files = fileSystem();
  if (path === null || files === null || !canRead(path)) return [];
  const line = await firstLine(files, path).catch(() => "");
  return line === "" ? [] : toolsInMeta(line).map(keyOf);
}

/** The tools in the first line of a thread's file: `session_meta`, whose `dynamic_tools` are as they were sent (0.104 to 0.169). */
export function toolsInMeta(line: string): ToolSpec[] {
  const meta = parseObject(line);
  if (stringOf(meta, "type") !== "session_meta") return [];
  return objectsOf(meta, "payload", "dynamic_tools").flatMap((tool) => {
    const [name, description] = [stringOf(tool, "name"), stringOf(tool, "description")];
    const { inputSchema } = tool;
    if (name === null || description === null || !isJsonObject(inputSchema)) return [];
    return [{ name, description, inputSchema }];
  });
}

// A thread that is still loaded.

/**
 * Rejects a thread that codex before 0.145 would spoil. Makes codex forget one that it has loaded: before 0.145 it takes no
 * settings for such a one, and before 0.136 it goes on with what was accepted for the session before. Where the thread has
 * `agents`, it stays with them and with what was accepted when it is released (0.145). Nothing but archiving drops them, and the
 * thread is brought back at once. On a codex that others use as well, rejects with `UnsupportedError` when it is `needed` for
 * settings, and else leaves it.
 */
export async function unloadThread(
  core: RuntimeCore,
  threadId: string,
  signal: AbortSignal | undefined,
  needed: boolean,
  agents: boolean,
): Promise<void> {
  const takesSettings = supports(core.server.version, "settingsOfLoaded");
  if (takesSettings && !agents) return;
  if (!takesSettings) await assertGoesOn(core, threadId);
  const options = defined({ signal });
  const closes = supports(core.server.version, "closesReleased");
  const end = performance.now() + (closes ? LEAVING_MS : 0);
  for (;;) {
    const list = await core.call("thread/loaded/list", {}, options);
    if (!asList(memberOf(list, "data")).includes(threadId)) return;
    if (performance.now() >= end) break;
    await delay(20, signal);
  }
  if (isAttached(core.config)) {
    if (!needed || takesSettings) return;
    throw new UnsupportedError(
      "MCP servers and tools for a thread that is loaded in a shared codex",
      featureSince("settingsOfLoaded"),
      core.server.version,
    );
  }
  // Not to be given up halfway: the thread would stay out of the history.
  const back = () => core.call("thread/unarchive", { threadId });
  try {
    const archive = () => core.call("thread/archive", { threadId });
    // One that has just been released is missing for a moment, and written to (0.169).
    await whenClosed(archive, undefined, LEAVING_MS, "threadLeaving", "threadInUse");
  } catch (error) {
    // One that was never used has no file, and can't be resumed anyway.
    if (isRefusal(error, "threadGone")) return;
    // What has no answer may be done all the same.
    if (!(error instanceof RpcError)) await back().catch(() => {});
    throw error;
  }
  await back();
  signal?.throwIfAborted();
}
