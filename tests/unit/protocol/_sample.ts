/** Sample values made from the schema table, and small damage done to them, both from a seed. */
import { definition, EVERYTHING, Kind, type Node, resolve } from "../../../src/protocol/table.ts";
import { methodInfo } from "../../../src/protocol/inventory.ts";

/** A repeatable random source (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }
}

/** How to fill what the type leaves open. */
export interface SampleOptions {
  /** Chooses variants and lengths; without it the first variant is taken. */
  random?: Random;
  /** Chance that an optional field is there; default 0: required fields only. */
  optional?: number;
  /** Text for a string field; default: any text. */
  text?: (field: string) => string;
}

/** A value of a named definition that is valid in both directions. */
export function sample(name: string, options: SampleOptions = {}): unknown {
  return sampleOf(definition(name, EVERYTHING), options, 0, "");
}

/** Sample parameters of a method; `{}` when it takes none. */
export function sampleParams(method: string, options: SampleOptions = {}): unknown {
  const info = methodInfo(method)!;
  return info.params === null ? {} : sample(info.params, options);
}

/** A sample result of a client or server request. */
export function sampleResult(method: string, options: SampleOptions = {}): unknown {
  return sample(methodInfo(method)!.result!, options);
}

function sampleOf(type: Node, options: SampleOptions, depth: number, field: string): unknown {
  const node = resolve(type);
  const { random } = options;
  const pick = <T>(values: readonly T[]): T =>
    random === undefined ? values[0]! : random.pick(values);
  // Recursive types end because deep down only what is required is there.
  const some = random !== undefined && depth < 6 && random.next() < (options.optional ?? 0);
  switch (node.kind) {
    case Kind.ANY:
      return pick([{ any: 1 }, "text", 1, true, [], {}]);
    case Kind.STRING:
    case Kind.NON_EMPTY_STRING:
      return options.text?.(field) ?? pick(["text", "t-1", "/w/é"]);
    case Kind.NUMBER:
      return pick([1.5, 0, -2]);
    case Kind.INTEGER:
      return pick([7, 0, -1, 1_700_000_000_000]);
    case Kind.UNSIGNED:
      return pick([7, 0]);
    case Kind.POSITIVE:
      return pick([7, 1]);
    case Kind.BOOLEAN:
      return pick([true, false]);
    case Kind.NULL:
      return null;
    case Kind.NULLABLE:
      return depth < 6 && pick([true, false])
        ? sampleOf(node.nodes[0]!, options, depth + 1, field)
        : null;
    case Kind.ARRAY:
      return depth > 6 || (random !== undefined && !some)
        ? []
        : [sampleOf(node.nodes[0]!, options, depth + 1, field)];
    case Kind.MAP:
      return some ? { key: sampleOf(node.nodes[0]!, options, depth + 1, field) } : {};
    case Kind.UNION:
      return sampleOf(pick(node.nodes), options, depth + 1, field);
    case Kind.RECEIVED:
      return sampleOf(node.nodes[0]!, options, depth, field);
    case Kind.ENUM:
      return pick([...node.by.keys()]);
    case Kind.OBJECT:
      return sampleObject(node, options, depth);
    case Kind.TAGGED: {
      const [tag, variant] = pick([...node.by]);
      return { ...sampleObject(variant!, options, depth), [node.name]: tag };
    }
    case Kind.EXTERNAL: {
      const [key, of] = pick([...node.by]);
      return of === null ? key : { [key]: sampleOf(of, options, depth + 1, field) };
    }
  }
  throw new Error(`no sample for kind ${node.kind}`);
}

function sampleObject(node: Node, options: SampleOptions, depth: number): Record<string, unknown> {
  const value: Record<string, unknown> = {};
  node.keys.forEach((key, index) => {
    const wanted = node.needs[index]! > 0 ||
      (options.random !== undefined && depth < 6 &&
        options.random.next() < (options.optional ?? 0));
    if (wanted) value[key] = sampleOf(node.nodes[index]!, options, depth + 1, key);
  });
  const { alternatives } = node;
  if (alternatives.length > 0) {
    const chosen = options.random?.pick(alternatives) ?? alternatives[0]!;
    Object.assign(value, sampleObject(chosen, options, depth));
  }
  return value;
}

const JUNK: readonly unknown[] = [null, "", "junk", 0, -1, 1.5, true, [], {}, [null], { a: 1 }];

/** A copy with one to three places removed, replaced, added or renamed. */
export function mutate(value: unknown, random: Random): unknown {
  let copy: unknown = structuredClone(value);
  for (let changes = 1 + random.below(3); changes > 0; changes--) {
    const places: { holder: Record<string, unknown>; key: string }[] = [];
    const visit = (holder: unknown): void => {
      if (typeof holder !== "object" || holder === null) return;
      for (const key of Object.keys(holder)) {
        places.push({ holder: holder as Record<string, unknown>, key });
        visit((holder as Record<string, unknown>)[key]);
      }
    };
    visit(copy);
    if (places.length === 0 || random.next() < 0.02) {
      copy = structuredClone(random.pick(JUNK));
      continue;
    }
    const { holder, key } = random.pick(places);
    const inArray = Array.isArray(holder);
    switch (random.below(5)) {
      case 0:
        if (!inArray) delete holder[key];
        break;
      case 1:
        if (!inArray) holder[`${key}X`] = structuredClone(random.pick(JUNK));
        break;
      case 2:
        if (typeof holder[key] === "string") {
          holder[key] = random.pick(["other", "agentMessage", "never"]);
        }
        break;
      case 3:
        if (!inArray) {
          holder[random.pick(["extra", "id", "type"])] = structuredClone(random.pick(JUNK));
        }
        break;
      default:
        holder[key] = structuredClone(random.pick(JUNK));
    }
  }
  return copy;
}
