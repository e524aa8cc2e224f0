/**
 * From a configuration to the way to open its connection.
 * @module
 */
import { PermissionDeniedError, PolicyError } from "../errors/mod.ts";
import { type JsonValue, plainSettings } from "../json.ts";
import { withShellEnvironment } from "../permissions/mod.ts";
import { codexTransport, commandTransport } from "../launch/mod.ts";
import { pathRules, platformName, readEnv } from "../platform/mod.ts";
import { type TransportFactory, unixTransport, webSocketTransport } from "../transport/mod.ts";
import type { RuntimeConfig, TransportConfig } from "./config.ts";

/** Whether the server runs on another machine, with files of its own and without this script's permissions. */
export function isRemote(config: RuntimeConfig | undefined): boolean {
  const type = config?.transport?.type;
  return type === "websocket" || type === "command";
}

/** Whether the server runs by itself, and goes on when the connection to it is lost. */
export function isAttached(config: RuntimeConfig | undefined): boolean {
  const type = config?.transport?.type;
  return type === "websocket" || type === "unix" || type === "daemon";
}

/** Opens the configured connection; called again for each restart. */
export function transportFactory(config: RuntimeConfig): TransportFactory {
  const transport = config.transport ?? { type: "stdio" };
  refuseIgnored(config, transport.type);
  switch (transport.type) {
    case "custom":
      return transport.open;
    case "websocket":
      return webSocketTransport(transport);
    case "unix":
      return unixTransport(transport.path);
    case "daemon":
      return unixTransport(
        daemonSocket(transport.codexHome),
        " Start the daemon with `codex app-server daemon start`.",
      );
    case "command":
      return commandTransport(transport.command, config);
    case "stdio":
      return codexTransport({
        ...(config.codexPath === undefined ? {} : { codexPath: config.codexPath }),
        ...(config.env === undefined ? {} : { env: config.env }),
        ...(config.processCwd === undefined ? {} : { cwd: config.processCwd }),
        ...(config.onStderr === undefined ? {} : { onStderr: config.onStderr }),
        ...(transport.pidFile === undefined ? {} : { pidFile: transport.pidFile }),
        configOverrides: configOverrides(config),
      });
  }
}

/** Where codex's own daemon listens. */
function daemonSocket(codexHome: string | undefined): string {
  const rules = pathRules(platformName());
  const userHome = readEnv("HOME");
  const home = codexHome ?? (readEnv("CODEX_HOME") ||
    (userHome === undefined ? undefined : rules.join(userHome, ".codex")));
  if (home === undefined || home === "") {
    throw new PermissionDeniedError("Finding codex's daemon without `codexHome`", [
      "--allow-env=CODEX_HOME,HOME",
    ]);
  }
  return rules.join(home, "app-server-control", "app-server-control.sock");
}

/** Options that are about starting a process say nothing to a server that runs already. */
function refuseIgnored(config: RuntimeConfig, type: TransportConfig["type"]): void {
  if (type === "stdio" || type === "custom") return;
  const started = type === "command";
  const { codexPath, configOverrides = {}, env, onStderr, processCwd } = config;
  const ignored = [
    codexPath === undefined ? "" : "codexPath",
    Object.keys(configOverrides).length === 0 ? "" : "configOverrides",
    started || env?.inherit === undefined ? "" : "env.inherit",
    started || Object.keys(env?.set ?? {}).length === 0 ? "" : "env.set",
    started || onStderr === undefined ? "" : "onStderr",
    started || processCwd === undefined ? "" : "processCwd",
  ].filter((name) => name !== "");
  if (ignored.length === 0) return;
  throw new PolicyError(
    `${ignored.join(", ")}: with \`transport: { type: "${type}" }\` codex ${
      started ? "is started by that command" : "runs already"
    }, and these have no effect on it. ` +
      "Leave them out, set them where that server is started, or pass settings of a thread as the profile's `config`.",
    { data: { ignored } },
  );
}

/** Settings for codex's command line; what the caller set wins. */
function configOverrides(config: RuntimeConfig): Record<string, JsonValue> {
  return withShellEnvironment(plainSettings(config.configOverrides), config.env?.commands);
}
