/**
 * The schema table and the method inventory in memory: parsed on first use, each definition unpacked when it is first needed.
 * @module
 */
import { methodsText } from "./generated/methods.ts";
import { schemaText } from "./generated/schema.ts";
export { experimentalRpcMethods, rpcMethods } from "./generated/methods.ts";

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
interface Options {
  r?: Packed;
  a?: Packed[];
}

const NONE: readonly never[] = [];
/** What the last character of a field's name in the table means. */
const NEEDS: Readonly<Record<string, number>> = { "~": -1, "?": 0, "!": 1 };
const NO_NAMES: ReadonlyMap<string, null> = new Map();

function node(kind: number, parts: Partial<Node> = {}): Node {
  return {
    kind,
    name: parts.name ?? "",
    target: null,
    nodes: parts.nodes ?? NONE,
    keys: parts.keys ?? NONE,
    needs: parts.needs ?? NONE,
    by: parts.by ?? NO_NAMES,
    rest: parts.rest ?? null,
    alternatives: parts.alternatives ?? NONE,
    open: parts.open ?? false,
  };
}

let packed: Record<string, Packed> | null = null;
const unpacked = new Map<string, Node>();
const primitives: readonly Node[] = Array.from({ length: Kind.NULL + 1 }, (_, kind) => node(kind));

/** The definition of that name. Throws when the table has none, which only a broken build can cause. */
export function definition(name: string): Node {
  const known = unpacked.get(name);
  if (known !== undefined) return known;
  packed ??= JSON.parse(schemaText) as Record<string, Packed>;
  const source = packed[name];
  if (source === undefined) throw new Error(`the schema table has no definition ${name}`);
  const made = unpack(source);
  unpacked.set(name, made);
  return made;
}

/** Follows references to the type they stand for. */
export function resolve(reference: Node): Node {
  let current = reference;
  while (current.kind === Kind.REFERENCE) {
    current.target ??= definition(current.name);
    current = current.target;
  }
  return current;
}

function unpack(source: Packed): Node {
  if (typeof source === "number") return primitives[source]!;
  if (typeof source === "string") return node(Kind.REFERENCE, { name: source });
  const [kind, ...rest] = source;
  switch (kind) {
    case "?":
      return node(Kind.NULLABLE, { nodes: [unpack(rest[0] as Packed)] });
    case "a":
      return node(Kind.ARRAY, { nodes: [unpack(rest[0] as Packed)] });
    case "m":
      return node(Kind.MAP, { nodes: [unpack(rest[0] as Packed)] });
    case "u":
      return node(Kind.UNION, { nodes: (rest as Packed[]).map(unpack) });
    case "i":
      return node(Kind.RECEIVED, { nodes: (rest as Packed[]).map(unpack) });
    case "e":
      return node(Kind.ENUM, { by: new Map((rest as string[]).map((value) => [value, null])) });
    case "o":
      return unpackObject(rest[0] as 0 | Options, rest.slice(1));
    case "t":
      return node(Kind.TAGGED, {
        name: rest[0] as string,
        rest: unpack(rest[1] as Packed),
        by: new Map(pairs(rest.slice(2))),
      });
    case "x": {
      const values = (rest[1] as string[]).map((value): [string, null] => [value, null]);
      return node(Kind.EXTERNAL, {
        open: rest[0] === 1,
        by: new Map<string, Node | null>([...values, ...pairs(rest.slice(2))]),
      });
    }
    default:
      throw new Error(`the schema table has an unknown kind ${kind}`);
  }
}

function unpackObject(options: 0 | Options, source: unknown[]): Node {
  const fields = pairs(source);
  const keys = fields.map(([name]) => name.replace(/[?!~]$/, ""));
  const nodes = fields.map(([, type]) => type);
  const { r, a } = options === 0 ? {} as Options : options;
  return node(Kind.OBJECT, {
    keys,
    nodes,
    needs: fields.map(([name]) => NEEDS[name.at(-1)!] ?? 2),
    by: new Map(keys.map((key, index) => [key, nodes[index]!])),
    rest: r === undefined ? null : unpack(r),
    alternatives: a === undefined ? NONE : a.map(unpack),
  });
}

function pairs(source: unknown[]): [string, Node][] {
  const entries: [string, Node][] = [];
  for (let i = 0; i < source.length; i += 2) {
    entries.push([source[i] as string, unpack(source[i + 1] as Packed)]);
  }
  return entries;
}

// The method inventory: what each method of the protocol is.

/** Who starts a method, and whether it is answered. */
export type MethodKind =
  | "clientRequest"
  | "clientNotification"
  | "serverRequest"
  | "serverNotification";

/** A method of the protocol. */
export interface MethodInfo {
  /** Wire name, such as `"thread/start"`. */
  readonly method: string;
  /** Who starts it, and whether it is answered. */
  readonly kind: MethodKind;
  /** `"experimental"`: only with the experimental capability. */
  readonly stability: "stable" | "experimental";
  /** Name of the parameters' type; `null` when the method takes none. */
  readonly params: string | null;
  /** Whether the parameters may be left out. */
  readonly paramsOptional: boolean;
  /** Name of the result's type; `null` for notifications. */
  readonly result: string | null;
  /** Oldest known codex version that has the method: at most this, as only some versions were looked at. */
  readonly since: string;
}

type Row = [MethodKind, string, 0 | 1, string | null, 0 | 1, string | null, string];

let inventory: Map<string, MethodInfo> | null = null;

function table(): Map<string, MethodInfo> {
  if (inventory !== null) return inventory;
  inventory = new Map();
  for (const row of JSON.parse(methodsText) as Row[]) {
    const [kind, method, experimental, params, optional, result, since] = row;
    inventory.set(
      method,
      Object.freeze({
        method,
        kind,
        stability: experimental === 1 ? "experimental" : "stable",
        params,
        paramsOptional: optional === 1,
        result,
        since,
      }),
    );
  }
  return inventory;
}

/** What is known about a method, by its wire name; `undefined` when it is unknown. */
export function methodInfo(method: string): MethodInfo | undefined {
  return table().get(method);
}

/** All methods of a kind, sorted by name. */
export function methodsOfKind(kind: MethodKind): MethodInfo[] {
  return [...table().values()].filter((info) => info.kind === kind);
}
