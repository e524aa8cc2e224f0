/**
 * M4: from the bytes of a pipe to the turn they belong to, in this process, against `JSON.parse` of the same lines.
 * Slices of each alternate, so that a noisy machine slows both.
 */
import { RuntimeCore } from "../../src/runtime/core.ts";
import { TurnOutcome } from "../../src/session/turn/turn_outcome.ts";
import type { EmitTurnEvent } from "../../src/session/turn/turn_outcome.ts";
import type { Transport, TransportSink } from "../../src/transport/transport.ts";
import { block, chunks, deltaLine, threadId, TURN_ID } from "./_corpus.ts";
import { median, pairedRatio, type Ratio } from "./_measure.ts";

/** A transport whose bytes come from the benchmark. */
export class ManualTransport implements Transport {
  readonly kind = "stdio" as const;
  readonly pid = null;
  readonly maxOutboundBytes = null;
  sink!: TransportSink;
  start(sink: TransportSink): void {
    this.sink = sink;
  }
  write(text: string): Promise<void> {
    if (text.includes('"initialize"')) {
      const answer = block([`{"id":1,"result":{"userAgent":"codex-runtime/0.169.0 (x)"}}`]);
      queueMicrotask(() => this.sink.bytes(answer));
    }
    return Promise.resolve();
  }
  stderrTail(): string {
    return "";
  }
  close(): ReturnType<Transport["close"]> {
    this.kill();
    return Promise.resolve({ gone: true, how: "eof", exit: null, durationMs: 0 });
  }
  kill(): void {
    this.sink.closed({ exit: null, stderrTail: "" });
  }
}

/** A core that talks to the benchmark. */
export async function manualCore(): Promise<{ core: RuntimeCore; transport: ManualTransport }> {
  const transport = new ManualTransport();
  const core = new RuntimeCore({}, () => Promise.resolve(transport));
  await core.start();
  return { core, transport };
}

/** Routes a thread's deltas into a turn, as a session does. */
export function route(core: RuntimeCore, thread: string, emit: EmitTurnEvent): TurnOutcome {
  const outcome = new TurnOutcome(thread, TURN_ID, null);
  core.routes.add(thread, {
    taker: () => ({
      takes(deltas, from, to) {
        outcome.deltas(deltas, from, to, emit);
        return true;
      },
    }),
    notification: (message) => outcome.apply(message.method, message.params, emit),
    oversize() {},
    connectionLost() {},
    connectionRestored: () => Promise.resolve(),
  });
  return outcome;
}

/** Ratios to the floor. */
export interface DecodeResult {
  floorNs: number;
  subscribed: Ratio;
  unsubscribed: Ratio;
}

/** Measures both ways of reading. */
export async function measureDecode(sliceMs = 40, slices = 40): Promise<DecodeResult> {
  const COUNT = 20_000;
  const lines = Array.from({ length: COUNT }, (_, n) => deltaLine(n));
  const feed = chunks(block(lines));
  let events = 0;
  const floor = (): void => {
    for (const line of lines) if (JSON.parse(line).method === "x") events++;
  };
  const reader = async (emit: EmitTurnEvent): Promise<() => void> => {
    const { core, transport } = await manualCore();
    return () => {
      // A new turn each time: the text of a turn is kept, and would grow without end.
      route(core, threadId(), emit);
      for (const chunk of feed) transport.sink.bytes(chunk);
    };
  };
  const subscribed = await reader((event) => {
    if ("delta" in event) events++;
  });
  const unsubscribed = await reader(null);
  const work = [floor, subscribed, unsubscribed];
  const times: number[][] = [[], [], []];
  // Until it is compiled: what that costs is not what is measured here.
  for (const each of work) slice(each, 200);
  for (let i = 0; i < slices; i++) {
    for (let k = 0; k < 3; k++) times[k]!.push(slice(work[k]!, sliceMs));
  }
  if (events === 0) throw new Error("nothing was delivered");
  const ratio = (k: number) => pairedRatio(times[k]!, times[0]!);
  return {
    floorNs: median(times[0]!) / COUNT * 1e6,
    subscribed: ratio(1),
    unsubscribed: ratio(2),
  };
}

/** Milliseconds of one pass, averaged over a slice of time. */
function slice(pass: () => void, ms: number): number {
  const started = performance.now();
  let passes = 0;
  do {
    pass();
    passes++;
  } while (performance.now() - started < ms);
  return (performance.now() - started) / passes;
}
