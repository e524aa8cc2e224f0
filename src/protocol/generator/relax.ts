/**
 * Lowers what is required of the server's messages to what every supported version sends.
 * @module
 */
import type { Field, Ir, Method, ObjectIr, Protocol } from "./ir.ts";

/**
 * Walks the pinned protocol and an older one side by side, from the messages that both have, and marks in the
 * pinned one each field that the older one may leave out or set to `null`. Returns the places where the two
 * differ in a way that marks cannot express.
 */
export function relax(pinned: Protocol, older: Protocol): string[] {
  const differences = new Set<string>();
  const done = new Set<string>();

  const pair = (now: Ir, then: Ir, at: string): void => {
    if (now.k === "ref" || then.k === "ref") {
      const key = `${now.k === "ref" ? now.name : at} ${then.k === "ref" ? then.name : at}`;
      if (done.has(key)) return;
      done.add(key);
      return pair(target(pinned, now), target(older, then), now.k === "ref" ? now.name : at);
    }
    if (now.k === "any") return;
    if (now.k === "nullable") return pair(now.of, then.k === "nullable" ? then.of : then, at);
    if (then.k === "nullable") {
      differences.add(`${at}: may be null`);
      return pair(now, then.of, at);
    }
    if (now.k === "array" && then.k === "array") return pair(now.of, then.of, `${at}[]`);
    if (now.k === "map" && then.k === "map") return pair(now.of, then.of, `${at}{}`);
    if (now.k === "object" && then.k === "object") return pairObjects(now, then, at);
    if (now.k === "tagged" && then.k === "tagged" && now.tag === then.tag) {
      for (const { values, of } of now.variants) {
        for (const variant of then.variants) {
          if (values.some((value) => variant.values.includes(value))) {
            pairObjects(of, variant.of, `${at}.${values[0]}`);
          }
        }
      }
      return;
    }
    if (now.k === "tagged" && then.k === "object") {
      for (const { values, of } of now.variants) pairObjects(of, then, `${at}.${values[0]}`);
      return pairObjects({ ...NOTHING, fields: now.common }, then, at);
    }
    if (now.k === "external" && (then.k === "external" || then.k === "enum")) {
      if (then.k === "enum") return;
      for (const { key, of } of now.keys) {
        const entry = then.keys.find((candidate) => candidate.key === key);
        if (entry !== undefined) pair(of, entry.of, `${at}.${key}`);
      }
      return;
    }
    const isText = (node: Ir): boolean => node.k === "string" || node.k === "enum";
    if (isText(now) && isText(then)) return;
    if (now.k === "number" && then.k === "integer") return;
    if (now.k === then.k && now.k !== "union") return;
    if (JSON.stringify(now) !== JSON.stringify(then)) {
      differences.add(`${at}: ${then.k} → ${now.k}`);
    }
  };

  const pairObjects = (now: ObjectIr, then: ObjectIr, at: string): void => {
    for (const field of now.fields) {
      const old = then.fields.find((candidate) => candidate.name === field.name);
      if (!old?.required) field.requiredIn = false;
      if (old === undefined) continue;
      const [is, was] = [target(pinned, field.of), target(older, old.of)];
      if (was.k === "nullable" && is.k !== "nullable" && is.k !== "any") also(field, { k: "null" });
      const [core, oldCore] = [coreOf(pinned, is), coreOf(older, was)];
      if (isPlain(oldCore) && !isPlain(core)) {
        if (core.k !== "any" && !offers(pinned, core, oldCore)) also(field, oldCore);
      } else pair(core, oldCore, `${at}.${field.name}`);
    }
    if (now.alternatives.length > 0 && then.alternatives.length === 0) {
      const fits = now.alternatives.some((option) =>
        option.fields.every((field) => !field.required || isRequired(then.fields, field.name))
      );
      if (!fits) differences.add(`${at}: no alternative is required`);
    }
  };

  for (const method of pinned.methods) {
    const old = older.methods.find((m) => m.kind === method.kind && m.name === method.name);
    if (old === undefined) continue;
    const [now, then] = [inbound(method), inbound(old)];
    if (now !== null && then !== null) {
      pair({ k: "ref", name: now }, { k: "ref", name: then }, method.name);
    }
  }
  return [...differences].sort();
}

function inbound(method: Method): string | null {
  if (method.kind === "clientRequest") return method.result;
  return method.kind === "clientNotification" ? null : method.params?.name ?? null;
}

function isRequired(fields: readonly Field[], name: string): boolean {
  return fields.some((field) => field.name === name && field.required);
}

/** The type that a name stands for; any other type is returned as it is. */
function target(protocol: Protocol, node: Ir): Ir {
  if (node.k !== "ref") return node;
  const found = protocol.definitions.get(node.name);
  if (found === undefined) throw new Error(`${protocol.version} has no ${node.name}`);
  return target(protocol, found);
}

function coreOf(protocol: Protocol, node: Ir): Ir {
  return node.k === "nullable" ? target(protocol, node.of) : node;
}

function also(field: Field, older: Ir): void {
  if (!field.alsoIn.some((known) => known.k === older.k)) field.alsoIn.push(older);
}

function isPlain({ k }: Ir): boolean {
  return k === "boolean" || k === "string" || k === "enum" || k === "integer" || k === "number";
}

function offers(protocol: Protocol, node: Ir, wanted: Ir): boolean {
  if (node.k === "external") return wanted.k === "enum" || wanted.k === "string";
  return node.k === "union" && node.of.some((member) => target(protocol, member).k === wanted.k);
}

const NOTHING: ObjectIr = { k: "object", fields: [], rest: null, closed: false, alternatives: [] };
