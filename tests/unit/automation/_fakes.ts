/** A clock that moves when told, and a session whose turns end when told. */
import type { AutomationClock } from "../../../src/automation/runner.ts";
import type { AutomationSession } from "../../../src/automation/types.ts";
import type { TurnEvent } from "../../../src/session/turn/turn_event.ts";
import type { PromptRunResult } from "../../../src/session/turn/turn_result.ts";

/** Lets everything that is ready run: a macrotask behind all microtasks. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** A clock that stands still until it is advanced. */
export class FakeClock implements AutomationClock {
  /** Timers set and neither fired nor cancelled. */
  timers: Set<{ at: number; ms: number; callback: () => void }> = new Set();
  /** The longest timer ever asked for. */
  longest = 0;
  time: number;

  constructor(time: number) {
    this.time = time;
  }

  now(): number {
    return this.time;
  }

  after(ms: number, callback: () => void): () => void {
    this.longest = Math.max(this.longest, ms);
    const timer = { at: this.time + ms, ms, callback };
    this.timers.add(timer);
    return () => this.timers.delete(timer);
  }

  /** Moves on, firing each timer at its own time. */
  async advance(ms: number): Promise<void> {
    const end = this.time + ms;
    await settle();
    for (;;) {
      const next = [...this.timers].sort((a, b) => a.at - b.at)[0];
      if (next === undefined || next.at > end) break;
      this.time = Math.max(this.time, next.at);
      this.timers.delete(next);
      next.callback();
      await settle();
    }
    this.time = end;
    await settle();
  }

  /** The machine slept: time has passed, but the timers fire late. */
  async suspend(ms: number): Promise<void> {
    this.time += ms;
    for (const timer of this.timers) timer.at += ms;
    await settle();
  }
}

/** One ask that waits for its end. */
export interface FakeAsk {
  prompt: string;
  signal: AbortSignal;
  begin(): void;
  /** The turn is over; the ask is not yet. */
  complete(): void;
  succeed(text?: string): Promise<void>;
  fail(error: unknown): Promise<void>;
}

/** A session whose turns end when the test says so. */
export class FakeSession implements AutomationSession {
  readonly threadId = "t1";
  closed = false;
  interrupts = 0;
  asks: FakeAsk[] = [];
  /** Called by each ask; default: it begins and waits. */
  onAsk: (ask: FakeAsk) => void = (ask) => ask.begin();
  /** What an interrupt does; default: the running ask fails. */
  onInterrupt: () => void = () => void this.last.fail(new Error("interrupted"));

  get last(): FakeAsk {
    return this.asks.at(-1)!;
  }

  ask(
    prompt: string,
    options: { signal: AbortSignal; onEvent: (event: TurnEvent) => void },
  ): Promise<PromptRunResult> {
    const { promise, resolve, reject } = Promise.withResolvers<PromptRunResult>();
    const event = (type: string): void =>
      options.onEvent({ type, threadId: "t1", turnId: "u1" } as TurnEvent);
    options.signal.addEventListener("abort", () => reject(options.signal.reason));
    const ask: FakeAsk = {
      prompt,
      signal: options.signal,
      begin: () => event("turnStarted"),
      complete: () => event("turnCompleted"),
      succeed: (text = "done") => {
        resolve({ threadId: "t1", turnId: "u1", assistantText: text } as PromptRunResult);
        return settle();
      },
      fail: (error) => {
        reject(error);
        return settle();
      },
    };
    this.asks.push(ask);
    this.onAsk(ask);
    return promise;
  }

  interrupt(): Promise<void> {
    this.interrupts++;
    this.onInterrupt();
    return Promise.resolve();
  }
}
