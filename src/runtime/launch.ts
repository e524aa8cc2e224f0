/**
 * From a configuration to the way to open its connection.
 * @module
 */
import { PolicyError } from "../errors/mod.ts";
import type { JsonValue } from "../json.ts";
import { withShellEnvironment } from "../permissions/mod.ts";
import { codexTransport } from "../launch/mod.ts";
import { type TransportFactory, webSocketTransport } from "../transport/mod.ts";
import type { RuntimeConfig, TransportConfig } from "./config.ts";

/** Whether the server runs on another machine, with files of its own and without this script's permissions. */
export function isRemote(config: RuntimeConfig | undefined): boolean {
  return config?.transport?.type === "websocket";
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

/** Options that are about starting a process say nothing to a server that runs already. */
function refuseIgnored(config: RuntimeConfig, type: TransportConfig["type"]): void {
  if (type !== "websocket") return;
  const { codexPath, configOverrides = {}, env, onStderr, processCwd } = config;
  const ignored = [
    codexPath === undefined ? "" : "codexPath",
    Object.keys(configOverrides).length === 0 ? "" : "configOverrides",
    env?.inherit === undefined ? "" : "env.inherit",
    Object.keys(env?.set ?? {}).length === 0 ? "" : "env.set",
    onStderr === undefined ? "" : "onStderr",
    processCwd === undefined ? "" : "processCwd",
  ].filter((name) => name !== "");
  if (ignored.length === 0) return;
  throw new PolicyError(
    `${
      ignored.join(", ")
    }: with \`transport: { type: "${type}" }\` codex runs already, and these have no effect on it. ` +
      "Leave them out, set them where that server is started, or pass settings of a thread as the profile's `config`.",
    { data: { ignored } },
  );
}

/** Settings for codex's command line; what the caller set wins. */
function configOverrides(config: RuntimeConfig): Record<string, JsonValue> {
  return withShellEnvironment(config.configOverrides ?? {}, config.env?.commands);
}
