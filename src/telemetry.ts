/**
 * OpenTelemetry, as far as it is used here: the shape of its API, and where a program registered one. Nothing of it is
 * imported, and nothing of it may disturb what is traced: a tracer that throws is as good as none.
 * @module
 */

import { defined } from "./json.ts";

/** A value of an attribute. */
export type OtelAttribute = string | number | boolean | string[];

/** What is told with a span or a measurement. */
export type OtelAttributes = Record<string, OtelAttribute | undefined>;

/** What travels with the work of a program; `Context` of `@opentelemetry/api`. */
export interface OtelContext {
  /** A value under a key. */
  getValue(key: symbol): unknown;
  /** The same context with one more value. */
  setValue(key: symbol, value: unknown): OtelContext;
  /** The same context without a value. */
  deleteValue(key: symbol): OtelContext;
}

/** What names a span everywhere. */
export interface OtelSpanContext {
  /** The trace, as 32 hexadecimal digits. */
  traceId: string;
  /** The span, as 16 hexadecimal digits. */
  spanId: string;
  /** 1: the trace is recorded. */
  traceFlags: number;
  /** What tracing systems say of it to themselves. */
  traceState?: {
    /** As it is written into the header `tracestate`. */
    serialize(): string;
  } | undefined;
}

/** Something that takes time; `Span` of `@opentelemetry/api`. */
export interface OtelSpan {
  /** What names it. */
  spanContext(): OtelSpanContext;
  /** Tells something more of it. */
  setAttributes(attributes: OtelAttributes): unknown;
  /** How it went; code 2 is an error. */
  setStatus(status: {
    /** 0: not told, 1: well, 2: an error. */
    code: number;
    /** Why. */
    message?: string;
  }): unknown;
  /** It is over, now or at a time in milliseconds since 1970. */
  end(endTime?: number): void;
}

/** Begins spans; `Tracer` of `@opentelemetry/api`. */
export interface OtelTracer {
  /** Begins a span below the one in the context. */
  startSpan(
    name: string,
    options?: {
      /** 0: internal, 2: client. */
      kind?: number;
      /** What is told of it from its beginning. */
      attributes?: OtelAttributes;
      /** When it began, in milliseconds since 1970. */
      startTime?: number;
    },
    context?: OtelContext,
  ): OtelSpan;
}

/** What a measurement is. */
export interface OtelInstrumentOptions {
  /** In words. */
  description?: string;
  /** Its unit. */
  unit?: string;
  /** How it is best kept. */
  advice?: {
    /** Bounds of a histogram's buckets. */
    explicitBucketBoundaries?: number[];
  };
}

/** Makes instruments; `Meter` of `@opentelemetry/api`. */
export interface OtelMeter {
  /** One that keeps how often values came. */
  createHistogram(name: string, options?: OtelInstrumentOptions): {
    /** A value came. */
    record(value: number, attributes?: OtelAttributes): void;
  };
  /** One that adds values up. */
  createCounter(name: string, options?: OtelInstrumentOptions): {
    /** Adds a value. */
    add(value: number, attributes?: OtelAttributes): void;
  };
}

/** Where spans and metrics go, and what they tell. */
export interface TelemetryOptions {
  /** Begins the spans. Default: the tracer of the global API, if the program registered one. */
  tracer?: OtelTracer;
  /** Takes the metrics. Default: the meter of the global API; none with a `tracer` of your own. */
  meter?: OtelMeter;
  /**
   * Whether spans carry prompts, answers, and what tools were given and gave back: up to 32,768 characters each, without
   * what looks like a secret. Default `false`.
   */
  captureContent?: boolean;
}

/** `"auto"`: the global OpenTelemetry API, where the program registered one; `"off"`: none. */
export type TelemetryConfig = "auto" | "off" | TelemetryOptions;

/** The caller's trace, as the server is told of it beside a request. */
export interface TraceContext {
  /** As in the header of this name. */
  traceparent: string;
  /** As in the header of this name. */
  tracestate?: string;
}

/** Where `@opentelemetry/api` of version 1 and Deno register what the program chose. */
const API = Symbol.for("opentelemetry.js.api.1");
/** Where a context has its span. */
export const SPAN: symbol = Symbol.for("OpenTelemetry Context Key SPAN");
/** Longer ones would make the header of the model's request too large. */
const MAX_TRACESTATE = 512;

/** What the program registered; every part may be missing. */
interface GlobalApi {
  trace?: { getTracer(name: string, version?: string): OtelTracer };
  metrics?: { getMeter(name: string, version?: string): OtelMeter };
  context?: {
    active(): OtelContext;
    with?<T>(context: OtelContext, act: () => T): T;
  };
}

/** What `act` returns; `undefined`, or `fallback`, when it throws. A promise that comes in place of it may reject: nobody waits for it. */
export function quietly<T>(act: () => T): T | undefined;
export function quietly<T>(act: () => T, fallback: T): T;
export function quietly<T>(act: () => T, fallback?: T): T | undefined {
  try {
    const value = act();
    if (value instanceof Promise) value.catch(() => {});
    return value;
  } catch {
    return fallback;
  }
}

/** Where the spans and metrics of one client go. */
export class Telemetry {
  /** Whether spans carry what was said. */
  readonly captureContent: boolean;
  readonly #options: TelemetryOptions;

  /** `null` where nothing is to be told. */
  static of(config: TelemetryConfig = "auto"): Telemetry | null {
    return config === "off" ? null : new Telemetry(config === "auto" ? {} : config);
  }

  private constructor(options: TelemetryOptions) {
    const { tracer, meter } = options;
    this.#options = { ...defined({ tracer, meter }) };
    this.captureContent = options.captureContent === true;
  }

  /** Whether anything is told now. */
  get listens(): boolean {
    const { tracer, meter } = this.#options;
    return tracer !== undefined || meter !== undefined ||
      quietly(() => globalApi() !== undefined, false);
  }

  /** Begins spans; `null` while the program has registered none. */
  tracer(name: string, version: string): OtelTracer | null {
    return this.#options.tracer ??
      quietly(() => globalApi()?.trace?.getTracer(name, version) ?? null, null);
  }

  /** Takes metrics; `null` while the program has registered none. */
  meter(name: string, version: string): OtelMeter | null {
    const { tracer, meter } = this.#options;
    if (meter !== undefined || tracer !== undefined) return meter ?? null;
    return quietly(() => globalApi()?.metrics?.getMeter(name, version) ?? null, null);
  }

  /** The caller's context. */
  active(): OtelContext | null {
    return quietly(() => globalApi()?.context?.active() ?? null, null);
  }

  /** Does something in a context, once, whatever the program's way to do that is good for. */
  within<T>(context: OtelContext, act: () => T): T {
    const done: ({ value: T } | { error: unknown })[] = [];
    const once = () => {
      if (done.length > 0) return;
      try {
        done[0] = { value: act() };
      } catch (error) {
        done[0] = { error };
      }
    };
    quietly(() => globalApi()?.context?.with?.(context, once));
    once();
    const result = done[0]!;
    if ("error" in result) throw result.error;
    return result.value;
  }

  /** The caller's span, as a request tells it. */
  activeTrace(): TraceContext | undefined {
    const context = this.active();
    if (context === null) return undefined;
    const span = quietly(() => context.getValue(SPAN) as OtelSpan | undefined);
    return span === undefined ? undefined : traceOf(span);
  }
}

function globalApi(): GlobalApi | undefined {
  return (globalThis as { [API]?: GlobalApi })[API];
}

/** How the server is told of a span; `undefined` for one that names no trace. */
export function traceOf(span: OtelSpan | undefined): TraceContext | undefined {
  return quietly(() => {
    const { traceId, spanId, traceFlags, traceState } = span!.spanContext();
    if (!isId(traceId, 32) || !isId(spanId, 16)) return undefined;
    const flags = (traceFlags & 0xff).toString(16).padStart(2, "0");
    const traceparent = `00-${traceId}-${spanId}-${flags}`;
    const tracestate = quietly(() => traceState?.serialize() ?? "", "");
    const fits = /^[\x20-\x7e]+$/.test(tracestate) && tracestate.length <= MAX_TRACESTATE;
    return fits ? { traceparent, tracestate } : { traceparent };
  });
}

function isId(id: string, digits: number): boolean {
  return id.length === digits && /^[0-9a-f]+$/.test(id) && !/^0+$/.test(id);
}
