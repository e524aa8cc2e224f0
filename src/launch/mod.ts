/**
 * The transport to a codex that we start ourselves: found, given its environment, owned.
 * @module
 */
import { SpawnError } from "../errors/mod.ts";
import { defined, type JsonValue } from "../json.ts";
import { canSpawn, spawnProcess } from "../platform/mod.ts";
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

export { locateCodex } from "./locate_codex.ts";
export { dotenvIsDirect, homeUnknown } from "./settings.ts";

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
  const remembered = pidFile === undefined ? null : await import("./pid_file.ts");
  remembered?.reapLeftovers(pidFile!);
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
    if (remembered !== null && transport.exit === null) {
      try {
        forget = remembered.rememberProcess(pidFile!, transport.pid);
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
