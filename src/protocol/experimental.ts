/**
 * Finds what needs the experimental capability in parameters.
 * @module
 */
import { fits, isMembers } from "./check.ts";
import { definition, Kind, type Node, resolve } from "./table.ts";
import { methodInfo } from "./methods.ts";

/** Keys that the server refuses without the capability although its schema calls them stable. */
const EXPERIMENTAL_KEYS: ReadonlySet<string> = new Set(["granular"]);

/** Experimental fields whose `null` is a value: threads of no project. */
const NULL_COUNTS: Readonly<Record<string, string>> = { "thread/list": "projectId" };

/**
 * Where parameters use what needs the experimental capability: `$` for the method itself, else the place of the first
 * such field, as `$.dynamicTools`. `null` when they use none, or when the method is unknown. A field that is `null`, or
 * a flag that is `false`, is not used: the server sees it so too.
 */
export function findExperimental(method: string, params: unknown): string | null {
  const info = methodInfo(method);
  if (info === undefined || !info.kind.startsWith("client")) return null;
  if (info.stability === "experimental") return "$";
  if (info.params === null) return null;
  const nullable = NULL_COUNTS[method];
  if (nullable !== undefined && isMembers(params) && params[nullable] === null) {
    return `$.${nullable}`;
  }
  return find(definition(info.params), params, "$");
}

function find(type: Node, value: unknown, path: string): string | null {
  if (value === undefined || value === null) return null;
  const node = resolve(type);
  switch (node.kind) {
    case Kind.NULLABLE:
    case Kind.RECEIVED:
      return find(node.nodes[0]!, value, path);
    case Kind.ARRAY:
      return Array.isArray(value)
        ? first(value.map((_, index) => index), (index) => {
          return find(node.nodes[0]!, value[index], `${path}[${index}]`);
        })
        : null;
    case Kind.UNION: {
      const member = node.nodes.find((option) => fits(option, value, false));
      return member === undefined ? null : find(member, value, path);
    }
    case Kind.OBJECT:
      return inObject(node, value, path);
    case Kind.TAGGED: {
      const variant = isMembers(value) ? node.by.get(String(value[node.name])) : undefined;
      return variant ? inObject(variant, value, path) : null;
    }
    case Kind.EXTERNAL:
      if (!isMembers(value)) return null;
      return first(Object.keys(value), (key) => {
        if (EXPERIMENTAL_KEYS.has(key)) return `${path}.${key}`;
        const of = node.by.get(key);
        return of ? find(of, value[key], `${path}.${key}`) : null;
      });
    default:
      return null;
  }
}

function inObject(node: Node, value: unknown, path: string): string | null {
  if (!isMembers(value)) return null;
  return first(node.keys, (key, index) => {
    const field = value[key];
    if (field === undefined || field === null) return null;
    const type = node.nodes[index]!;
    const off = field === false && resolve(type).kind === Kind.BOOLEAN;
    if (node.needs[index] === -1 && !off) return `${path}.${key}`;
    return find(type, field, `${path}.${key}`);
  });
}

function first<T>(
  values: readonly T[],
  look: (value: T, index: number) => string | null,
): string | null {
  for (const [index, value] of values.entries()) {
    const found = look(value, index);
    if (found !== null) return found;
  }
  return null;
}
