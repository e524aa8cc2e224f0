/**
 * Contexts in which spans begin.
 * @module
 */
import { type OtelContext, type OtelSpan, quietly, SPAN } from "../../telemetry.ts";

/** A context of nobody's. */
class PlainContext implements OtelContext {
  readonly #values: ReadonlyMap<symbol, unknown>;

  constructor(values: ReadonlyMap<symbol, unknown> = new Map()) {
    this.#values = values;
  }

  getValue(key: symbol): unknown {
    return this.#values.get(key);
  }

  setValue(key: symbol, value: unknown): OtelContext {
    return new PlainContext(new Map([...this.#values, [key, value]]));
  }

  deleteValue(key: symbol): OtelContext {
    return new PlainContext(new Map([...this.#values].filter(([each]) => each !== key)));
  }
}

/** The context of what belongs to no trace: without one, a tracer takes the one that is active, such as the reader's. */
export const NO_CONTEXT: OtelContext = new PlainContext();

/** The context in which a span's children begin. */
export function contextOf(span: OtelSpan, parent: OtelContext): OtelContext {
  return quietly(() => parent.setValue(SPAN, span), NO_CONTEXT.setValue(SPAN, span));
}
