/**
 * The life of a client from its start to its shutdown, which tells when each phase is reached. As a program: the same in a
 * user's script that ends in one of these phases. Arguments: the configuration, the directory, the prompt, the phase and
 * how it ends, as JSON.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { ClientConfig } from "../../src/runtime/config.ts";
import type { EventEnvelope } from "../../src/runtime/log/event_envelope.ts";
import { Client } from "../../src/session/client/client.ts";

/** Phases of a life, in order; the process is started before the first one. */
export const PHASES = [
  "initialize",
  "thread/start",
  "turn/start",
  "deltas",
  "approval",
  "command",
  "interrupt",
  "close",
  "shutdown",
] as const;

/** One of them. */
export type Phase = (typeof PHASES)[number];

/** What became of one call. */
export interface Settled {
  call: string;
  value?: unknown;
  error?: Error & { code?: string; stopped?: boolean | null };
}

/** What a life was, seen from outside. */
export interface Life {
  settled: Settled[];
  /** The statuses of the turns that the server said had ended. */
  ended: string[];
}

const OUTBOUND: Record<string, Phase> = {
  initialize: "initialize",
  "thread/start": "thread/start",
  "turn/start": "turn/start",
  "turn/interrupt": "interrupt",
  "thread/archive": "close",
};
const INBOUND: Record<string, Phase> = {
  "item/agentMessage/delta": "deltas",
  "item/commandExecution/requestApproval": "approval",
};

/** Connects, asks, interrupts when the command runs, closes and shuts down; goes as far as the server lets it. */
export async function live(
  config: ClientConfig,
  cwd: string,
  prompt: string,
  reached: (phase: Phase) => void,
): Promise<Life> {
  const life: Life = { settled: [], ended: [] };
  const seen = new Set<Phase>();
  const running = Promise.withResolvers<void>();
  const tell = (phase: Phase | undefined): void => {
    if (phase === undefined || seen.has(phase)) return;
    seen.add(phase);
    if (phase === "command") running.resolve();
    reached(phase);
  };
  const write = ({ direction, kind, method, message }: EventEnvelope): void => {
    const table = direction === "outbound" ? OUTBOUND : INBOUND;
    if (method !== undefined && kind !== "response") tell(table[method]);
    if (method === "turn/completed") {
      const { params } = message as { params: { turn: { status: string } } };
      life.ended.push(params.turn.status);
    }
  };
  async function call<T>(name: string, promise: Promise<T>): Promise<T | undefined> {
    try {
      const value = await promise;
      life.settled.push({ call: name, value });
      return value;
    } catch (error) {
      life.settled.push({ call: name, error: error as Error });
      return undefined;
    }
  }
  const client = await call(
    "connect",
    Client.connect({
      ...config,
      requestTimeoutMs: 4_000,
      unresponsiveAfterMs: 800,
      eventLog: { write },
      approvals: () => ({ decision: "accept" }),
    }),
  );
  if (client === undefined) return life;
  const session = await call(
    "startSession",
    client.startSession({
      cwd,
      sandbox: "workspace-write",
      approvalPolicy: "untrusted",
      allowPrivilegedEscalation: true,
    }),
  );
  if (session !== undefined) {
    const asked = call("ask", session.ask(prompt, { timeoutMs: 20_000 }));
    // Only the command itself can tell that it runs.
    const looks = setInterval(() => existsSync(join(cwd, "begun")) && tell("command"), 5);
    await Promise.race([running.promise, asked]);
    clearInterval(looks);
    await call("interrupt", session.interrupt());
    await asked;
    await call("close", session.close());
  }
  const shutdown = client.runtime.shutdown();
  tell("shutdown");
  await call("shutdown", shutdown);
  return life;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [config, cwd, prompt, at, how] = JSON.parse(process.argv[2]!);
  await live(config, cwd, prompt, (phase) => {
    if (phase !== at) return;
    if (how === "exit") process.exit(3);
    if (how === "throw") {
      setTimeout(() => {
        throw new Error("uncaught, on purpose");
      });
    } else process.stdout.write("reached\n");
  });
}
