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
export function isAlternativeKey(node: Node, key: string): boolean {
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
