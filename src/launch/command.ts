/**
 * The transport to a codex that a command of the caller's reaches: `ssh`, `docker exec`, `podman exec`, `wsl`.
 * @module
 */
import { InvalidArgumentError } from "../errors/mod.ts";
import { defined, kindOf } from "../json.ts";
import { openStdio, type Transport, type TransportFactory } from "../transport/mod.ts";
import { buildEnv, type EnvRules } from "./settings.ts";

/** What the command is started with. */
export interface CommandOptions {
  /** What it inherits. Default: everything. */
  env?: EnvRules;
  /** Its working directory. Default: the script's own. */
  processCwd?: string;
  /** Receives its stderr as it comes. */
  onStderr?: (text: string) => void;
}

/** Starts the command and talks over its pipes; each call of the factory starts it anew. */
export function commandTransport(
  [command, ...args]: readonly string[],
  options: CommandOptions = {},
): TransportFactory {
  if (typeof command !== "string" || command === "") {
    throw new InvalidArgumentError("connect", {
      argument: "transport.command",
      received: kindOf(command),
      accepts: "a list that begins with a program: `[program, …]`",
    });
  }
  return async ({ signal } = {}) => {
    const { clearEnv, env } = buildEnv(options.env);
    const { processCwd, onStderr } = options;
    const transport = await openStdio({
      process: {
        command,
        args,
        env,
        clearEnv,
        ...defined({ cwd: processCwd }),
      },
      ...defined({ signal, onStderr }),
    });
    return new Elsewhere(transport);
  };
}

/** The process here is only the way to codex: its id and its end say nothing about codex itself. */
class Elsewhere implements Transport {
  readonly kind = "stdio" as const;
  readonly pid: null = null;
  readonly maxOutboundBytes: null = null;
  readonly start: Transport["start"];
  readonly write: Transport["write"];
  readonly stderrTail: Transport["stderrTail"];
  readonly close: Transport["close"];
  readonly kill: Transport["kill"];
  readonly ref: () => void;
  readonly unref: () => void;

  constructor(transport: Transport) {
    this.start = (sink) => transport.start(sink);
    this.write = (text) => transport.write(text);
    this.stderrTail = () => transport.stderrTail();
    this.close = (options) => transport.close(options);
    this.kill = () => transport.kill();
    this.ref = () => transport.ref?.();
    this.unref = () => transport.unref?.();
  }
}
