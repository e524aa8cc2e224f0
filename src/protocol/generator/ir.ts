/**
 * The protocol as the generator sees it, between the source's JSON Schema and the generated files.
 * @module
 */

/** A type of the protocol. */
export type Ir =
  | { k: "any" }
  | { k: "string"; nonEmpty: boolean }
  | { k: "number" }
  | { k: "integer"; minimum: 0 | 1 | null }
  | { k: "boolean" }
  | { k: "null" }
  | { k: "enum"; values: string[] }
  | { k: "ref"; name: string }
  | { k: "array"; of: Ir }
  | { k: "map"; of: Ir }
  | { k: "nullable"; of: Ir }
  | ObjectIr
  | { k: "tagged"; tag: string; variants: Variant[]; common: Field[] }
  | { k: "external"; values: string[]; keys: { key: string; of: Ir }[]; open: boolean }
  | { k: "union"; of: Ir[] };

/** An object with named fields. */
export interface ObjectIr {
  k: "object";
  fields: Field[];
  /** Type of the members that are no fields, when the source names one. */
  rest: Ir | null;
  /** The source refuses members that are no fields. */
  closed: boolean;
  /** One of these must fit too. */
  alternatives: ObjectIr[];
}

/** A field of an object. */
export interface Field {
  name: string;
  of: Ir;
  /** Must be there in what we send. */
  required: boolean;
  /** Must be there in what we receive, from any supported version. */
  requiredIn: boolean;
  /** What older versions may send instead. */
  alsoIn: Ir[];
  /** Only there with the experimental capability. */
  experimental: boolean;
}

/** A member of a tagged union. */
export interface Variant {
  values: string[];
  of: ObjectIr;
}

/** What a method is, by who starts it and whether it is answered. */
export type MethodKind =
  | "clientRequest"
  | "clientNotification"
  | "serverRequest"
  | "serverNotification";

/** A method of the protocol. */
export interface Method {
  name: string;
  kind: MethodKind;
  experimental: boolean;
  /** `null`: the method takes no parameters. */
  params: { name: string; nullable: boolean } | null;
  /** `null`: a notification. */
  result: string | null;
  /** Oldest known version that has the method. */
  since: string;
}

/** Definitions and methods of one version. */
export interface Protocol {
  version: string;
  definitions: Map<string, Ir>;
  methods: Method[];
}

/** The types directly inside a type, with fields' types included. */
export function children(node: Ir): Ir[] {
  switch (node.k) {
    case "array":
    case "map":
    case "nullable":
      return [node.of];
    case "object":
      return [
        ...node.fields.map((field) => field.of),
        ...(node.rest === null ? [] : [node.rest]),
        ...node.alternatives,
      ];
    case "tagged":
      return node.variants.map((variant) => variant.of);
    case "external":
      return node.keys.map((entry) => entry.of);
    case "union":
      return node.of;
    default:
      return [];
  }
}

/** Every definition that the roots reach. */
export function reachable(
  definitions: ReadonlyMap<string, Ir>,
  roots: Iterable<string>,
): Set<string> {
  const seen = new Set<string>();
  const visit = (node: Ir): void => {
    if (node.k !== "ref") return children(node).forEach(visit);
    if (seen.has(node.name)) return;
    seen.add(node.name);
    const target = definitions.get(node.name);
    if (target === undefined) throw new Error(`no definition ${node.name}`);
    visit(target);
  };
  for (const name of roots) visit({ k: "ref", name });
  return seen;
}

/** Definitions that the server sends: results, its requests' and its notifications' parameters. */
export function inboundRoots(methods: readonly Method[]): string[] {
  return methods.flatMap(({ kind, params, result }) => {
    if (kind === "clientRequest") return result === null ? [] : [result];
    return kind === "clientNotification" || params === null ? [] : [params.name];
  });
}

/** Definitions that the client sends: parameters, and the answers to the server's requests. */
export function outboundRoots(methods: readonly Method[]): string[] {
  return methods.flatMap(({ kind, params, result }) => {
    if (kind === "serverRequest") return result === null ? [] : [result];
    return kind === "serverNotification" || params === null ? [] : [params.name];
  });
}
