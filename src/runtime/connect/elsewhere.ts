/**
 * The way to a codex that this library does not start itself: one that runs already, or one that a command reaches.
 * @module
 */
import { InvalidArgumentError } from "../../errors/mod.ts";
import { codexHomeIn, pathRules, platformName, readEnv } from "../../platform/mod.ts";
import { commandTransport } from "../../launch/command.ts";
import { homeUnknown } from "../../launch/mod.ts";
import type { TransportFactory } from "../../transport/mod.ts";
import { unixTransport } from "../../transport/unix.ts";
import { webSocketTransport } from "../../transport/websocket.ts";
import type { RuntimeConfig, TransportConfig } from "../config.ts";

/** Opens the connection. Throws for options that would have no effect. */
export function elsewhere(
  config: RuntimeConfig,
  transport: Exclude<TransportConfig, { type: "stdio" | "custom" }>,
): TransportFactory {
  refuseIgnored(config, transport.type);
  switch (transport.type) {
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
  }
}

/** Where codex's own daemon listens. */
function daemonSocket(codexHome: string | undefined): string {
  const rules = pathRules(platformName());
  const home = codexHome ?? codexHomeIn(platformName(), readEnv);
  if (home === undefined) throw homeUnknown("Finding codex's daemon without `codexHome`");
  return rules.join(home, "app-server-control", "app-server-control.sock");
}

/** Options that are about starting a process say nothing to a server that runs already. */
function refuseIgnored(config: RuntimeConfig, type: TransportConfig["type"]): void {
  const started = type === "command";
  const { codexPath, configOverrides = {}, env, onStderr, processCwd } = config;
  const ignored = [
    codexPath === undefined ? "" : "codexPath",
    config.apiKey === undefined ? "" : "apiKey",
    Object.keys(configOverrides).length === 0 ? "" : "configOverrides",
    started || env?.inherit === undefined ? "" : "env.inherit",
    started || Object.keys(env?.set ?? {}).length === 0 ? "" : "env.set",
    started || onStderr === undefined ? "" : "onStderr",
    started || processCwd === undefined ? "" : "processCwd",
  ].filter((name) => name !== "");
  if (ignored.length === 0) return;
  const what = started ? "is started by that command" : "runs already";
  throw new InvalidArgumentError("connect", {
    argument: ignored[0]!,
    received: "an option",
    accepts: `left out with transport.type "${type}"`,
    sentence: `${
      ignored.join(", ")
    }: with \`transport: { type: "${type}" }\` codex ${what}, and these have no effect on it`,
    hint:
      "Leave them out, set them where that server is started, or pass settings of a thread as the profile's `config`.",
  }, { data: { ignored } });
}
