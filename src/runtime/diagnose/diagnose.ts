/**
 * Finding out why codex does not work, also by what the server answers.
 * @module
 */
import { abortable } from "../../async.ts";
import { takeOptions } from "../../check/mod.ts";
import { CodexError, messageOf, RpcError, SpawnError } from "../../errors/mod.ts";
import { locateCodex } from "../../launch/mod.ts";
import { hostProbe, type RulesFile } from "../../permissions/mod.ts";
import {
  archName,
  canReadEnv,
  currentDirectory,
  platformName,
  readEnv,
  runtimeName,
} from "../../platform/mod.ts";
import { redactText } from "../../redact.ts";
import {
  compareVersions,
  LIBRARY_VERSION,
  MIN_CODEX_VERSION,
  servedMethods,
} from "../../protocol/mod.ts";
import type { RuntimeConfig } from "../config.ts";
import { RUNTIME_CONFIG } from "../config_shape.ts";
import type { RuntimeCore } from "../core.ts";
import { spawnCore } from "../spawn.ts";
import type {
  DiagnosedCodex,
  DiagnosedDrift,
  DiagnosedFlag,
  DiagnosedHermetic,
  DiagnosedHost,
  DiagnosedLogin,
  DiagnosedPermissions,
  DiagnosedProblem,
  Diagnosis,
} from "./diagnosis_types.ts";
import { readRulesFiles } from "./evidence.ts";
import { type JsonValue, memberOf, stringOf } from "../../json.ts";

/** No codex will ever have it; the refusal names all those it has. */
const NO_METHOD = "codex-runtime/diagnose";
const VARIABLES =
  "CODEX_PATH CODEX_HOME PATH HOME OPENAI_API_KEY CODEX_API_KEY HTTPS_PROXY HTTP_PROXY NO_PROXY"
    .split(" ");

/** What `runtime.diagnose` does. */
export async function diagnose(given: RuntimeConfig): Promise<Diagnosis> {
  const config = takeOptions("diagnose", given, RUNTIME_CONFIG);
  config.signal?.throwIfAborted();
  const problems: DiagnosedProblem[] = [];
  const { missing, ...place } = locate(config);
  const found = await ask(config, problems);
  if (missing !== null && problems.length > 0) {
    problems.unshift({
      code: "nativeMissing",
      message:
        `npm's launcher ${place.path} is there, but ${missing}, which holds codex itself, is not installed. ` +
        "Reinstall it with `npm install -g @openai/codex`, without leaving optional dependencies out.",
    });
  }
  const { version } = found;
  const required = config.minVersion === undefined ? MIN_CODEX_VERSION : config.minVersion;
  if (version !== null && required !== null && compareVersions(version, required) < 0) {
    problems.push({
      code: "incompatibleVersion",
      message: `codex ${version} is older than ${required}. ` +
        "Update it with `npm install -g @openai/codex`, or set `minVersion: null` to try anyway.",
    });
  }
  const { login, drift } = found;
  if (login !== null && login.required && login.type === null) {
    problems.push({
      code: "notLoggedIn",
      message:
        "codex is not logged in. Run `codex login`, call `client.login()`, or give an `apiKey` to the client; " +
        "codex does not take OPENAI_API_KEY from the environment.",
    });
  }
  return {
    ok: problems.length === 0,
    problems,
    library: LIBRARY_VERSION,
    host: host(),
    codex: {
      transport: config.transport?.type ?? "stdio",
      ...place,
      version,
      required,
      userAgent: found.userAgent,
      home: found.home,
      startMs: found.startMs,
    },
    environment: Object.fromEntries(VARIABLES.map((name) => [name, stateOf(name)])),
    permissions: permissions(config, place.path),
    login,
    rulesFiles: found.rulesFiles,
    hermetic: await hermetic(config),
    drift,
  };
}

/** What a running codex tells. */
interface Found {
  version: string | null;
  userAgent: string | null;
  home: string | null;
  startMs: number | null;
  login: DiagnosedLogin | null;
  rulesFiles: RulesFile[] | null;
  drift: DiagnosedDrift | null;
}

async function ask(config: RuntimeConfig, problems: DiagnosedProblem[]): Promise<Found> {
  const found: Found = {
    version: null,
    userAgent: null,
    home: null,
    startMs: null,
    login: null,
    rulesFiles: null,
    drift: null,
  };
  const { eventLog: _log, hooks: _hooks, approvals: _approvals, ...rest } = config;
  const begun = performance.now();
  let core: RuntimeCore;
  try {
    // An old codex is to be told about, not refused.
    core = await spawnCore({ ...rest, minVersion: null, restart: { type: "never" } }, false);
  } catch (error) {
    config.signal?.throwIfAborted();
    problems.push(problemOf(error));
    return found;
  }
  try {
    const { version, userAgent, codexHome } = core.server;
    found.startMs = Math.round(performance.now() - begun);
    found.version = version === "unknown" ? null : version;
    found.userAgent = redactText(userAgent);
    found.home = codexHome ?? null;
    const call = config.signal === undefined ? {} : { signal: config.signal };
    const tell = async (asked: Promise<unknown>) => {
      try {
        await asked;
      } catch (error) {
        config.signal?.throwIfAborted();
        problems.push(problemOf(error));
      }
    };
    await tell(
      abortable(readRulesFiles(core, null), config.signal).then((files) =>
        found.rulesFiles = files
      ),
    );
    await tell(
      core.call("account/read", { refreshToken: false }, call).then((account) =>
        found.login = loginOf(account)
      ),
    );
    // A codex whose configuration is broken starts, and then refuses each session.
    await tell(core.call("config/read", { includeLayers: false }, call));
    try {
      await core.call(NO_METHOD, {}, call);
    } catch (error) {
      config.signal?.throwIfAborted();
      if (error instanceof RpcError) found.drift = driftOf(error.rpcMessage, await knownMethods());
      else problems.push(problemOf(error));
    }
  } finally {
    const { gone } = await core.shutdown();
    if (!gone) {
      problems.push({
        code: "processLeft",
        message: "codex did not end when it was told to; its process may still be running.",
      });
    }
  }
  return found;
}

async function hermetic(config: RuntimeConfig): Promise<DiagnosedHermetic | null> {
  if (config.isolation !== "hermetic") return null;
  try {
    return (await import("../hermetic/left_out.ts")).describeHermetic(config);
  } catch {
    // Why it can't be told is one of the problems.
    return { login: "none", leftOut: [] };
  }
}

function problemOf(error: unknown): DiagnosedProblem {
  const message = messageOf(error);
  return {
    code: error instanceof CodexError ? error.code : "unknown",
    message: redactText(message),
  };
}

function locate(
  config: RuntimeConfig,
): Pick<DiagnosedCodex, "path" | "native" | "looked"> & { missing: string | null } {
  const nowhere = { path: null, native: null, looked: [], missing: null };
  if ((config.transport?.type ?? "stdio") !== "stdio") return nowhere;
  try {
    const { command, native, missing, looked } = locateCodex(config.codexPath);
    return { path: command, native, missing, looked: [...looked] };
  } catch (error) {
    const looked = error instanceof SpawnError ? error.data?.["looked"] : undefined;
    return Array.isArray(looked) ? { ...nowhere, looked: looked.map(String) } : nowhere;
  }
}

function host(): DiagnosedHost {
  const { Deno, Bun, process } = globalThis as unknown as {
    Deno?: { version?: { deno?: string } };
    Bun?: { version?: string };
    process?: { versions?: Record<string, string | undefined> };
  };
  const version = Deno?.version?.deno ?? Bun?.version ?? process?.versions?.["node"];
  return {
    runtime: runtimeName(),
    runtimeVersion: version ?? null,
    os: platformName(),
    arch: archName(),
  };
}

function stateOf(name: string): "set" | "unset" | "unreadable" {
  if (!canReadEnv(name)) return "unreadable";
  return (readEnv(name) ?? "") === "" ? "unset" : "set";
}

function permissions(config: RuntimeConfig, path: string | null): DiagnosedPermissions {
  const probe = hostProbe();
  const flags: DiagnosedFlag[] = [];
  const add = (flag: string, purpose: string, granted: boolean) =>
    flags.push({ flag, purpose, granted });
  const { transport = { type: "stdio" } } = config;
  if (transport.type === "websocket") {
    const address = hostOf(transport.url);
    if (address !== null) {
      add(`--allow-net=${address}`, "reach the server", probe.net(address));
    }
  } else if (transport.type === "unix") {
    add(`--allow-read=${transport.path}`, "reach the server", probe.read(transport.path));
    add(`--allow-write=${transport.path}`, "reach the server", probe.write(transport.path));
  } else if (transport.type === "stdio" || transport.type === "command") {
    const command = transport.type === "stdio" ? path ?? "codex" : transport.command[0]!;
    add(`--allow-run=${command}`, "start codex", probe.run(command));
    add("--allow-env", "pass the environment on to codex", probe.env());
  }
  const cwd = config.processCwd ?? currentDirectory();
  if (cwd !== null) {
    add(`--allow-read=${cwd}`, "attach files of this directory", probe.read(cwd));
    add(`--allow-write=${cwd}`, "let sessions write to this directory", probe.write(cwd));
  }
  add("--allow-read", "let sessions read every file, as codex does", probe.read());
  return { enforcedBy: probe.enforcedBy, flags };
}

function hostOf(url: string): string | null {
  try {
    return new URL(url).host;
  } catch {
    return null;
  }
}

async function knownMethods(): Promise<Set<string>> {
  const { methodsOfKind } = await import("../../protocol/inventory.ts");
  return new Set(methodsOfKind("clientRequest").map(({ method }) => method));
}

/** Reads the answer to `account/read`, without whose account it is. */
export function loginOf(answer: JsonValue): DiagnosedLogin {
  return {
    type: stringOf(answer, "account", "type"),
    plan: stringOf(answer, "account", "planType"),
    required: memberOf(answer, "requiresOpenaiAuth") === true,
  };
}

/** Reads the methods that a server has from its refusal of one that it has not; `null` when it names none. */
export function driftOf(refusal: string, known: ReadonlySet<string>): DiagnosedDrift | null {
  const served = servedMethods(refusal);
  if (served === null) return null;
  return {
    missing: [...known].filter((method) => !served.has(method)).sort(),
    unknown: [...served].filter((method) => !known.has(method)).sort(),
  };
}
