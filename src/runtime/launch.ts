/**
 * From a configuration to the way to open its connection.
 * @module
 */
import type { JsonValue } from "../json.ts";
import { withShellEnvironment } from "../permissions/mod.ts";
import { codexTransport } from "../launch/mod.ts";
import { type TransportFactory, webSocketTransport } from "../transport/mod.ts";
import type { RuntimeConfig } from "./config.ts";

/** Opens the configured connection; called again for each restart. */
export function transportFactory(config: RuntimeConfig): TransportFactory {
  const transport = config.transport ?? { type: "stdio" };
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
        ...(transport.pidFile === undefined ? {} : { pidFile: transport.pidFile }),
        configOverrides: configOverrides(config),
      });
  }
}

/** Settings for codex's command line; what the caller set wins. */
function configOverrides(config: RuntimeConfig): Record<string, JsonValue> {
  return withShellEnvironment(config.configOverrides ?? {}, config.env?.commands);
}
