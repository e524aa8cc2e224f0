/**
 * Checks messages against the protocol: strictly what is sent, tolerantly what is received.
 *
 * - **Sent** (parameters of client methods, answers to server requests): required fields, types, closed enums and
 *   unions. A field that the type does not name is refused wherever it is, because the server would ignore it
 *   silently, and a misspelt sandbox option must not.
 * - **Received** (results, parameters of server requests and notifications): what every supported version
 *   promises must be there, with its type; unknown fields, enum values, variants and methods pass.
 *
 * @module
 */
import { explain, fits, isMembers, type Issue } from "./check.ts";
import { answerTypes } from "./generated/schema.ts";
import { methodInfo, type MethodKind } from "./inventory.ts";
import { ANSWERS, definition, EVERYTHING, Kind, type Node, resolve } from "./table.ts";
export type { Issue } from "./check.ts";

/**
 * Checks the parameters of a client request or notification before they are sent.
 * Returns `null` when they fit. An unknown method is an issue too.
 */
export function validateParams(method: string, value: unknown): Issue | null {
  const info = methodInfo(method);
  if (info === undefined || !info.kind.startsWith("client")) {
    return { path: "$", expectation: `expected a method of the client, got ${quoted(method)}` };
  }
  return parameters(info.params, info.paramsOptional, value, false);
}

/** Checks the result of a client request. Returns `null` when it fits or the method is unknown. */
export function validateResult(method: string, value: unknown): Issue | null {
  const info = methodInfo(method);
  if (info?.kind !== "clientRequest" || info.result === null) return null;
  return against(definition(info.result, EVERYTHING), value, true);
}

/** Checks the parameters of a server request. Returns `null` when they fit or the method is unknown. */
export function validateServerRequestParams(method: string, value: unknown): Issue | null {
  return received(method, "serverRequest", value);
}

/** Checks an answer before it is sent. Returns `null` when it fits or the method is unknown. */
export function validateServerRequestResult(method: string, value: unknown): Issue | null {
  if (!Object.hasOwn(answerTypes, method)) return null;
  return against(definition(answerTypes[method]!, ANSWERS), value, false);
}

/** Checks the parameters of a server notification. Returns `null` when they fit or the method is unknown. */
export function validateNotification(method: string, value: unknown): Issue | null {
  return received(method, "serverNotification", value);
}

function received(method: string, kind: MethodKind, value: unknown): Issue | null {
  const info = methodInfo(method);
  if (info?.kind !== kind) return null;
  return parameters(info.params, info.paramsOptional, value, true);
}

function parameters(
  name: string | null,
  optional: boolean,
  value: unknown,
  open: boolean,
): Issue | null {
  if (optional && (value === undefined || value === null)) return null;
  if (name !== null) return against(definition(name, EVERYTHING), value, open);
  // The server takes an empty object for no parameters.
  if (open || (typeof value === "object" && Object.keys(value as object).length === 0)) return null;
  return { path: "$", expectation: "expected no parameters" };
}

function against(type: Node, value: unknown, open: boolean): Issue | null {
  return fits(type, value, open) ? null : explain(type, value, open);
}

/** A method name for a message: shortened, since it may be anything. */
function quoted(method: string): string {
  return JSON.stringify(method.length > 80 ? `${method.slice(0, 79)}…` : method);
}

// Finds what needs the experimental capability in parameters.

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
  return find(definition(info.params, EVERYTHING), params, "$");
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
