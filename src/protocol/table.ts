/**
 * The schema table in memory: parsed on first use, each definition unpacked when it is first needed.
 * @module
 */
import { answerSchemaText, schemaText } from "./generated/schema.ts";

/** Kinds of {@linkcode Node}; those up to `NULL` are written as bare numbers in the table. */
export const Kind = {
  ANY: 0,
  STRING: 1,
  NON_EMPTY_STRING: 2,
  NUMBER: 3,
  INTEGER: 4,
  UNSIGNED: 5,
  POSITIVE: 6,
  BOOLEAN: 7,
  NULL: 8,
  REFERENCE: 9,
  NULLABLE: 10,
  ARRAY: 11,
  MAP: 12,
  UNION: 13,
  ENUM: 14,
  OBJECT: 15,
  TAGGED: 16,
  EXTERNAL: 17,
  RECEIVED: 18,
} as const;

/** A type to check against. One shape for all kinds, so that the checking loop stays monomorphic. */
export interface Node {
  /** One of {@linkcode Kind}. */
  readonly kind: number;
  /** Name of a reference, or of the field that tells the variants apart. */
  readonly name: string;
  /** What a reference stands for, once it was looked up. */
  target: Node | null;
  /** Where a reference is looked up. */
  readonly from: Definitions;
  /** Element, members of a union (for `RECEIVED`: the type itself, then the others), or types of the fields. */
  readonly nodes: readonly Node[];
  /** Names of the fields. */
  readonly keys: readonly string[];
  /** Per field: 0 may be missing (-1: and is experimental), 1 must be there in what is sent, 2 in what is received too. */
  readonly needs: readonly number[];
  /** Fields, variants or keys by name; `null` values are those of an enum. */
  readonly by: ReadonlyMap<string, Node | null>;
  /** Type of the members that are no fields, or the fields that all variants have. */
  readonly rest: Node | null;
  /** One of these must fit too. */
  readonly alternatives: readonly Node[];
  /** Open for any string and any object, in both directions. */
  readonly open: boolean;
}

type Packed = number | string | PackedArray;
type PackedArray = [string, ...unknown[]];
/** The definitions of the whole protocol, or of the answers to the server's requests alone. */
export interface Definitions {
  /** Reads the table; called once. */
  readonly read: () => Record<string, Packed>;
  packed: Record<string, Packed> | null;
  readonly unpacked: Map<string, Node>;
}

/**
 * Definitions of the answers to the server's requests. On their own, so that a program that answers them, and makes no
 * raw calls, does not hold the schema of everything else.
 */
export const ANSWERS: Definitions = {
  read: () => JSON.parse(answerSchemaText),
  packed: null,
  unpacked: new Map(),
};

/** All definitions. */
export const EVERYTHING: Definitions = {
  read: () => ({ ...ANSWERS.read(), ...JSON.parse(schemaText) }),
  packed: null,
  unpacked: new Map(),
};

interface Options {
  r?: Packed;
  a?: Packed[];
}

const NONE: readonly never[] = [];
/** What the last character of a field's name in the table means. */
const NEEDS: Readonly<Record<string, number>> = { "~": -1, "?": 0, "!": 1 };
const NO_NAMES: ReadonlyMap<string, null> = new Map();

function node(kind: number, from: Definitions, parts: Partial<Node> = {}): Node {
  return {
    kind,
    name: parts.name ?? "",
    target: null,
    from,
    nodes: parts.nodes ?? NONE,
    keys: parts.keys ?? NONE,
    needs: parts.needs ?? NONE,
    by: parts.by ?? NO_NAMES,
    rest: parts.rest ?? null,
    alternatives: parts.alternatives ?? NONE,
    open: parts.open ?? false,
  };
}

/** The definition of that name. Throws when the table has none, which only a broken build can cause. */
export function definition(name: string, from: Definitions): Node {
  const known = from.unpacked.get(name);
  if (known !== undefined) return known;
  from.packed ??= from.read();
  const source = from.packed[name];
  if (source === undefined) throw new Error(`the schema table has no definition ${name}`);
  const made = unpack(source, from);
  from.unpacked.set(name, made);
  return made;
}

/** Follows references to the type they stand for. */
export function resolve(reference: Node): Node {
  let current = reference;
  while (current.kind === Kind.REFERENCE) {
    current.target ??= definition(current.name, current.from);
    current = current.target;
  }
  return current;
}

function unpack(source: Packed, from: Definitions): Node {
  if (typeof source === "number") return node(source, from);
  if (typeof source === "string") return node(Kind.REFERENCE, from, { name: source });
  const [kind, ...rest] = source;
  const inner = (part: unknown): Node => unpack(part as Packed, from);
  switch (kind) {
    case "?":
      return node(Kind.NULLABLE, from, { nodes: [inner(rest[0])] });
    case "a":
      return node(Kind.ARRAY, from, { nodes: [inner(rest[0])] });
    case "m":
      return node(Kind.MAP, from, { nodes: [inner(rest[0])] });
    case "u":
      return node(Kind.UNION, from, { nodes: rest.map(inner) });
    case "i":
      return node(Kind.RECEIVED, from, { nodes: rest.map(inner) });
    case "e":
      return node(Kind.ENUM, from, {
        by: new Map((rest as string[]).map((value) => [value, null])),
      });
    case "o":
      return unpackObject(rest[0] as 0 | Options, rest.slice(1), from);
    case "t":
      return node(Kind.TAGGED, from, {
        name: rest[0] as string,
        rest: inner(rest[1]),
        by: new Map(pairs(rest.slice(2), from)),
      });
    case "x": {
      const values = (rest[1] as string[]).map((value): [string, null] => [value, null]);
      return node(Kind.EXTERNAL, from, {
        open: rest[0] === 1,
        by: new Map<string, Node | null>([...values, ...pairs(rest.slice(2), from)]),
      });
    }
    default:
      throw new Error(`the schema table has an unknown kind ${kind}`);
  }
}

function unpackObject(options: 0 | Options, source: unknown[], from: Definitions): Node {
  const fields = pairs(source, from);
  const keys = fields.map(([name]) => name.replace(/[?!~]$/, ""));
  const nodes = fields.map(([, type]) => type);
  const { r, a } = options === 0 ? {} as Options : options;
  return node(Kind.OBJECT, from, {
    keys,
    nodes,
    needs: fields.map(([name]) => NEEDS[name.at(-1)!] ?? 2),
    by: new Map(keys.map((key, index) => [key, nodes[index]!])),
    rest: r === undefined ? null : unpack(r, from),
    alternatives: a === undefined ? NONE : a.map((part) => unpack(part, from)),
  });
}

function pairs(source: unknown[], from: Definitions): [string, Node][] {
  const entries: [string, Node][] = [];
  for (let i = 0; i < source.length; i += 2) {
    entries.push([source[i] as string, unpack(source[i + 1] as Packed, from)]);
  }
  return entries;
}
