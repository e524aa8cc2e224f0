/** OpenTelemetry in memory: what a program's tracer and meter were told. */
import type {
  OtelAttributes,
  OtelContext,
  OtelMeter,
  OtelSpan,
  OtelSpanContext,
  OtelTracer,
} from "../src/telemetry.ts";

const SPAN = Symbol.for("OpenTelemetry Context Key SPAN");

/** A span in memory. */
export class MemorySpan implements OtelSpan {
  readonly name: string;
  readonly kind: number;
  readonly parent: MemorySpan | null;
  readonly attributes: OtelAttributes;
  readonly startTime: number;
  readonly #context: OtelSpanContext;
  status: { code: number; message?: string } = { code: 0 };
  endTime: number | null = null;
  ends = 0;

  constructor(
    name: string,
    kind: number,
    attributes: OtelAttributes,
    startTime: number,
    parent: MemorySpan | null,
    id: number,
  ) {
    this.name = name;
    this.kind = kind;
    this.attributes = { ...attributes };
    this.startTime = startTime;
    this.parent = parent;
    this.#context = {
      traceId: parent?.spanContext().traceId ?? id.toString(16).padStart(32, "a"),
      spanId: id.toString(16).padStart(16, "b"),
      traceFlags: 1,
    };
  }

  spanContext(): OtelSpanContext {
    return this.#context;
  }

  setAttributes(attributes: OtelAttributes): this {
    Object.assign(this.attributes, attributes);
    return this;
  }

  setStatus(status: { code: number; message?: string }): this {
    this.status = status;
    return this;
  }

  end(endTime: number = Date.now()): void {
    this.ends++;
    this.endTime = endTime;
  }
}

/** A tracer and a meter in memory. */
export class MemoryOtel {
  readonly spans: MemorySpan[] = [];
  readonly points: { name: string; value: number; attributes: OtelAttributes }[] = [];
  readonly tracer: OtelTracer = {
    startSpan: (name, options = {}, context) => {
      const parent = (context?.getValue(SPAN) ?? null) as MemorySpan | null;
      const { kind = 0, attributes = {}, startTime = Date.now() } = options;
      const id = this.spans.length + 1;
      const span = new MemorySpan(name, kind, attributes, startTime, parent, id);
      this.spans.push(span);
      return span;
    },
  };
  readonly meter: OtelMeter = {
    createHistogram: (name) => ({
      record: (value, attributes = {}) => void this.points.push({ name, value, attributes }),
    }),
    createCounter: (name) => ({
      add: (value, attributes = {}) => void this.points.push({ name, value, attributes }),
    }),
  };

  /** Spans that were begun and are not over. */
  get open(): MemorySpan[] {
    return this.spans.filter(({ endTime }) => endTime === null);
  }

  /** The names of spans, each under its parent's. */
  tree(): string[] {
    const path = (span: MemorySpan): string =>
      span.parent === null ? span.name : `${path(span.parent)} > ${span.name}`;
    return this.spans.map(path);
  }

  /** The sum of a metric. */
  sum(name: string): number {
    return this.points.filter((point) => point.name === name)
      .reduce((sum, { value }) => sum + value, 0);
  }
}

/** A context with a span. */
export function withSpan(span: OtelSpan): OtelContext {
  const context: OtelContext = {
    getValue: (key) => key === SPAN ? span : undefined,
    setValue: (key, value) => key === SPAN ? withSpan(value as OtelSpan) : context,
    deleteValue: () => context,
  };
  return context;
}

const API = Symbol.for("opentelemetry.js.api.1");

/** Registers an API as a program would, for the time of an act. */
export async function registered(api: object, act: () => Promise<void>): Promise<void> {
  const host = globalThis as { [API]?: unknown };
  const before = host[API];
  host[API] = api;
  try {
    await act();
  } finally {
    if (before === undefined) delete host[API];
    else host[API] = before;
  }
}
