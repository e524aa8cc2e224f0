/**
 * Whether a value fits a type of the schema table. Allocates nothing: this runs for every message.
 *
 * Strict (what we send): closed enums and unions, no fields that the type does not name. Open (what we receive):
 * what the type promises must be there, anything unknown passes.
 *
 * @module
 */
import { Kind, type Node, resolve } from "./table.ts";

/** A JSON object under inspection. */
export type Members = Record<string, unknown>;

/** True for a JSON object: not `null`, not an array. */
export function isMembers(value: unknown): value is Members {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether `value` fits. `undefined` counts as missing, as it does when a message is encoded. */
export function fits(type: Node, value: unknown, open: boolean): boolean {
  const node = type.kind === Kind.REFERENCE ? resolve(type) : type;
  switch (node.kind) {
    case Kind.ANY:
      return value !== undefined;
    case Kind.STRING:
      return typeof value === "string";
    case Kind.NON_EMPTY_STRING:
      return typeof value === "string" && value !== "";
    case Kind.NUMBER:
      return typeof value === "number" && Number.isFinite(value);
    case Kind.INTEGER:
      return Number.isInteger(value);
    case Kind.UNSIGNED:
      return Number.isInteger(value) && (value as number) >= 0;
    case Kind.POSITIVE:
      return Number.isInteger(value) && (value as number) > 0;
    case Kind.BOOLEAN:
      return typeof value === "boolean";
    case Kind.NULL:
      return value === null;
    case Kind.NULLABLE:
      return value === null || fits(node.nodes[0]!, value, open);
    case Kind.ARRAY: {
      if (!Array.isArray(value)) return false;
      const element = node.nodes[0]!;
      for (let i = 0; i < value.length; i++) if (!fits(element, value[i], open)) return false;
      return true;
    }
    case Kind.MAP:
      return isMembers(value) && fitsMap(node.nodes[0]!, value, open);
    case Kind.UNION:
      return fitsOne(node.nodes, value, open);
    case Kind.RECEIVED:
      return open ? fitsOne(node.nodes, value, open) : fits(node.nodes[0]!, value, open);
    case Kind.ENUM:
      return typeof value === "string" && (open || node.by.has(value));
    case Kind.OBJECT:
      return isMembers(value) && fitsObject(node, value, open);
    case Kind.TAGGED: {
      if (!isMembers(value)) return false;
      const tag = value[node.name];
      if (typeof tag !== "string") return false;
      const variant = node.by.get(tag);
      if (variant) return fitsObject(variant, value, open);
      return open && fitsObject(node.rest!, value, open);
    }
    case Kind.EXTERNAL:
      return fitsExternal(node, value, open);
    default:
      return false;
  }
}

function fitsOne(options: readonly Node[], value: unknown, open: boolean): boolean {
  for (let i = 0; i < options.length; i++) if (fits(options[i]!, value, open)) return true;
  return false;
}

function fitsMap(type: Node, value: Members, open: boolean): boolean {
  if (type.kind === Kind.ANY) return true;
  for (const key in value) {
    const member = value[key];
    if (member !== undefined && !fits(type, member, open)) return false;
  }
  return true;
}

function fitsObject(node: Node, value: Members, open: boolean): boolean {
  const { keys, nodes, needs } = node;
  const needed = open ? 2 : 1;
  for (let i = 0; i < keys.length; i++) {
    const member = value[keys[i]!];
    if (member === undefined) {
      if (needs[i]! >= needed) return false;
    } else if (!fits(nodes[i]!, member, open)) return false;
  }
  if (node.alternatives.length > 0 && !fitsAlternative(node, value, open)) return false;
  if (node.rest !== null ? node.rest.kind === Kind.ANY : open) return true;
  for (const key in value) {
    if (node.by.has(key) || value[key] === undefined) continue;
    if (node.rest === null ? !isAlternativeKey(node, key) : !fits(node.rest, value[key], open)) {
      return false;
    }
  }
  return true;
}

/** Alternatives share the object with the fields beside them, so that they cannot refuse each other's. */
function fitsAlternative(node: Node, value: Members, open: boolean): boolean {
  const needed = open ? 2 : 1;
  next: for (const { keys, nodes, needs } of node.alternatives) {
    for (let i = 0; i < keys.length; i++) {
      const member = value[keys[i]!];
      if (member === undefined ? needs[i]! >= needed : !fits(nodes[i]!, member, open)) {
        continue next;
      }
    }
    return true;
  }
  return false;
}

/** Whether one of an object's alternatives names the field. */
function isAlternativeKey(node: Node, key: string): boolean {
  for (const alternative of node.alternatives) if (alternative.by.has(key)) return true;
  return false;
}

function fitsExternal(node: Node, value: unknown, open: boolean): boolean {
  const tolerant = open || node.open;
  if (typeof value === "string") return tolerant || node.by.get(value) === null;
  if (!isMembers(value)) return false;
  let known = 0;
  for (const key in value) {
    if (value[key] === undefined) continue;
    const type = node.by.get(key);
    if (type === undefined || type === null) {
      if (!tolerant) return false;
      continue;
    }
    if (!fits(type, value[key], open)) return false;
    known++;
  }
  return tolerant || known === 1;
}

// Where and why a value does not fit. Runs only after a check failed, and never shows a value.

/** The first place at which a value does not fit its type. */
export interface Issue {
  /** The place, such as `$.input[0].type`. */
  readonly path: string;
  /** What is wrong there, such as `expected string, got number`; never a value. */
  readonly expectation: string;
}

/** Finds the first issue of a value that does not fit. */
export function explain(type: Node, value: unknown, open: boolean, path = "$"): Issue {
  const node = resolve(type);
  switch (node.kind) {
    case Kind.NULLABLE:
      return explain(node.nodes[0]!, value, open, path);
    case Kind.RECEIVED:
      return open ? mismatch(node, value, path) : explain(node.nodes[0]!, value, open, path);
    case Kind.ARRAY: {
      if (!Array.isArray(value)) return mismatch(node, value, path);
      const index = value.findIndex((element) => !fits(node.nodes[0]!, element, open));
      return explain(node.nodes[0]!, value[index], open, `${path}[${index}]`);
    }
    case Kind.MAP: {
      if (!isMembers(value)) return mismatch(node, value, path);
      const element = node.nodes[0]!;
      const bad = (key: string): boolean =>
        value[key] !== undefined && !fits(element, value[key], open);
      const key = Object.keys(value).find(bad)!;
      return explain(element, value[key], open, member(path, key));
    }
    case Kind.OBJECT:
      return isMembers(value)
        ? explainObject(node, value, open, path)
        : mismatch(node, value, path);
    case Kind.TAGGED: {
      if (!isMembers(value)) return mismatch(node, value, path);
      const tag = value[node.name];
      const at = member(path, node.name);
      if (typeof tag !== "string") {
        return { path: at, expectation: `expected ${names(node)}, ${got(tag)}` };
      }
      const variant = node.by.get(tag) ?? (open ? node.rest : null);
      if (!variant) return { path: at, expectation: `expected ${names(node)}, got another string` };
      return explainObject(variant, value, open, path);
    }
    case Kind.UNION:
      return explainUnion(node, value, open, path);
    case Kind.EXTERNAL: {
      if (!isMembers(value)) return mismatch(node, value, path);
      for (const key of Object.keys(value)) {
        const of = node.by.get(key);
        if (of && value[key] !== undefined && !fits(of, value[key], open)) {
          return explain(of, value[key], open, member(path, key));
        }
      }
      return { path, expectation: `expected an object with one of the keys ${names(node)} only` };
    }
    default:
      return mismatch(node, value, path);
  }
}

function explainObject(node: Node, value: Members, open: boolean, path: string): Issue {
  for (const [index, key] of node.keys.entries()) {
    const type = node.nodes[index]!;
    const found = value[key];
    if (found === undefined) {
      if (node.needs[index]! < (open ? 2 : 1)) continue;
      return { path: member(path, key), expectation: `expected ${describe(type)}, got nothing` };
    }
    if (!fits(type, found, open)) return explain(type, found, open, member(path, key));
  }
  for (const key of Object.keys(value)) {
    if (value[key] === undefined || node.by.has(key)) continue;
    if (node.rest !== null) {
      if (fits(node.rest, value[key], open)) continue;
      return explain(node.rest, value[key], open, member(path, key));
    }
    if (open || isAlternativeKey(node, key)) continue;
    const near = nearest(key, node);
    const hint = near === null ? "" : `; did you mean \`${near}\`?`;
    return { path: member(path, key), expectation: `expected no field of this name${hint}` };
  }
  const options = node.alternatives.map((option) => option.keys.join(" and "));
  return { path, expectation: `expected ${options.join(", or ")}` };
}

/** Follows the only member of the right kind, or says what the members are. */
function explainUnion(node: Node, value: unknown, open: boolean, path: string): Issue {
  const alike = node.nodes.filter((option) => {
    const { kind } = resolve(option);
    if (Array.isArray(value)) return kind === Kind.ARRAY;
    return isMembers(value) && (kind === Kind.OBJECT || kind === Kind.TAGGED || kind === Kind.MAP);
  });
  if (alike.length === 1) return explain(alike[0]!, value, open, path);
  return mismatch(node, value, path);
}

function mismatch(node: Node, value: unknown, path: string): Issue {
  const another = (node.kind === Kind.ENUM || node.kind === Kind.EXTERNAL) &&
    typeof value === "string";
  return {
    path,
    expectation: `expected ${describe(node)}, ${another ? "got another string" : got(value)}`,
  };
}

/** What a type is, in a few words. */
function describe(type: Node): string {
  const node = resolve(type);
  switch (node.kind) {
    case Kind.ANY:
      return "a value";
    case Kind.STRING:
      return "string";
    case Kind.NON_EMPTY_STRING:
      return "non-empty string";
    case Kind.NUMBER:
      return "number";
    case Kind.INTEGER:
      return "integer";
    case Kind.UNSIGNED:
      return "non-negative integer";
    case Kind.POSITIVE:
      return "positive integer";
    case Kind.BOOLEAN:
      return "boolean";
    case Kind.NULL:
      return "null";
    case Kind.NULLABLE:
      return `${describe(node.nodes[0]!)} or null`;
    case Kind.ARRAY:
      return "array";
    case Kind.ENUM:
      return names(node);
    case Kind.UNION:
    case Kind.RECEIVED:
      return [...new Set(node.nodes.map(describe))].join(" or ");
    case Kind.EXTERNAL:
      return `${names(node)} (a string, or an object with that key)`;
    default:
      return "object";
  }
}

function names(node: Node): string {
  const all = [...node.by.keys()].map((name) => JSON.stringify(name));
  if (all.length === 1) return all[0]!;
  return `one of ${all.slice(0, 12).join(", ")}${all.length > 12 ? ", …" : ""}`;
}

function got(value: unknown): string {
  if (value === undefined) return "got nothing";
  if (value === null) return "got null";
  if (Array.isArray(value)) return "got array";
  if (value === "") return "got an empty string";
  if (typeof value !== "number") return `got ${typeof value}`;
  if (!Number.isFinite(value)) return "got a number that JSON cannot hold";
  return !Number.isInteger(value)
    ? "got fraction"
    : value < 0
    ? "got negative integer"
    : "got integer";
}

function member(path: string, key: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`;
}

function nearest(key: string, node: Node): string | null {
  const known = [...node.keys, ...node.alternatives.flatMap((option) => option.keys)];
  const fold = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, "");
  const close = known.filter((name) => {
    const [a, b] = [fold(name), fold(key)];
    return a === b ||
      (a.length > 3 && b.length > 3 && (isEdit(a, b) || a.startsWith(b) || b.startsWith(a)));
  });
  return close.length === 1 ? close[0]! : close.find((name) => fold(name) === fold(key)) ?? null;
}

/** Whether one insertion, removal or replacement, or one swap of neighbours, makes `b` of `a`. */
function isEdit(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 1) return false;
  let start = 0;
  while (start < a.length && a[start] === b[start]) start++;
  const [restA, restB] = [a.slice(start), b.slice(start)];
  return restA.slice(1) === restB || restA === restB.slice(1) ||
    restA.slice(1) === restB.slice(1) ||
    (restA[0] === restB[1] && restA[1] === restB[0] && restA.slice(2) === restB.slice(2));
}
