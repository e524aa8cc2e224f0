/**
 * Writes `generated/types.ts`: every type of the protocol, and the maps from method to types.
 * @module
 */
import { header } from "./header.ts";
import {
  children,
  type Field,
  inboundRoots,
  type Ir,
  type Method,
  type MethodKind,
  type ObjectIr,
  outboundRoots,
  type Protocol,
  reachable,
  type Variant,
} from "./ir.ts";

const PRELUDE = `import type { JsonValue } from "../../json.ts";

/**
 * Stands for the tag of a variant that this version of the protocol does not know: on the wire it is the server's
 * own name. Only a pattern lets the compiler tell it from every known tag, so that these still narrow.
 */
export type UnknownTag = \`unknown \${string}\`;

/** Parameters of a method that takes none. */
export type NoParams = Record<string, never> | null | undefined;
`;

const POSTLUDE = `
/** What each client request takes and answers. */
export interface ClientRequests extends StableClientRequests, ExperimentalClientRequests {}

/** What each server request brings and expects. */
export interface ServerRequests extends StableServerRequests, ExperimentalServerRequests {}

/** Methods of client requests. */
export type ClientMethod = keyof ClientRequests;

/** Methods of client requests that need no capability. */
export type StableClientMethod = keyof StableClientRequests;

/** Methods of client requests that need the experimental capability. */
export type ExperimentalClientMethod = keyof ExperimentalClientRequests;

/** Parameters of a client request. */
export type Params<M extends ClientMethod> = ClientRequests[M]["params"];

/** Result of a client request. */
export type Result<M extends ClientMethod> = ClientRequests[M]["result"];

/** Methods of client notifications. */
export type ClientNotificationMethod = keyof ClientNotifications;

/** Parameters of a client notification. */
export type ClientNotificationParams<M extends ClientNotificationMethod> = ClientNotifications[M]["params"];

/** Methods of server requests. */
export type ServerRequestMethod = keyof ServerRequests;

/** Parameters of a server request. */
export type ServerRequestParams<M extends ServerRequestMethod> = ServerRequests[M]["params"];

/** Answer to a server request. */
export type ServerRequestResult<M extends ServerRequestMethod> = ServerRequests[M]["result"];

/** Methods of server notifications. */
export type ServerNotificationMethod = keyof ServerNotifications;

/** Parameters of a server notification. */
export type NotificationParams<M extends ServerNotificationMethod> = ServerNotifications[M]["params"];

/** A known server notification, told apart by its method. */
export type ServerNotification = {
  [M in ServerNotificationMethod]: { method: M; params: NotificationParams<M> };
}[ServerNotificationMethod];

/** A known server request, told apart by its method. */
export type ServerRequest = {
  [M in ServerRequestMethod]: { method: M; id: RequestId; params: ServerRequestParams<M> };
}[ServerRequestMethod];
`;

/** The text of `types.ts`. */
export function emitTypes(protocol: Protocol): string {
  const { definitions, methods } = protocol;
  const received = reachable(definitions, inboundRoots(methods));
  const sent = reachable(definitions, outboundRoots(methods));
  const differing = differingTypes(definitions);
  const receivedName = (name: string): string =>
    sent.has(name) && differing.has(name) ? `Received${name}` : name;
  const inbound = new Writer(true, receivedName);
  const outbound = new Writer(false, (name) => name);
  let text = header(protocol.version) + PRELUDE;
  for (const [name, node] of definitions) {
    if (sent.has(name)) text += outbound.declaration(name, node);
    if (received.has(name) && (!sent.has(name) || receivedName(name) !== name)) {
      text += inbound.declaration(receivedName(name), node);
    }
  }
  const map = (title: string, kind: MethodKind, experimental: boolean | null): string => {
    const lines = methods
      .filter((m) => m.kind === kind && (experimental === null || m.experimental === experimental))
      .map((method) => `  ${JSON.stringify(method.name)}: ${entryOf(method, receivedName)};\n`);
    return `\n/** Types by method. */\nexport interface ${title} {\n${lines.join("")}}\n`;
  };
  return text +
    map("StableClientRequests", "clientRequest", false) +
    map("ExperimentalClientRequests", "clientRequest", true) +
    map("ClientNotifications", "clientNotification", null) +
    map("StableServerRequests", "serverRequest", false) +
    map("ExperimentalServerRequests", "serverRequest", true) +
    map("ServerNotifications", "serverNotification", null) +
    POSTLUDE;
}

function entryOf(method: Method, receivedName: (name: string) => string): string {
  const toServer = method.kind === "clientRequest" || method.kind === "clientNotification";
  const named = (name: string, sending: boolean): string => sending ? name : receivedName(name);
  const params = method.params === null
    ? "NoParams"
    : named(method.params.name, toServer) + (method.params.nullable ? " | null | undefined" : "");
  const result = method.result === null ? "" : `; result: ${named(method.result, !toServer)}`;
  return `{ params: ${params}${result} }`;
}

/** Definitions whose type depends on who sends them: open or closed, with more or less required. */
function differingTypes(definitions: ReadonlyMap<string, Ir>): Set<string> {
  const differing = new Set<string>();
  const differs = (node: Ir): boolean => {
    if (node.k === "enum" || node.k === "tagged" || node.k === "external") return true;
    if (node.k === "ref") return differing.has(node.name);
    if (node.k === "object") {
      if (node.fields.length === 0) return true;
      if (node.fields.some((f) => f.required !== f.requiredIn || f.alsoIn.length > 0)) return true;
    }
    return children(node).some(differs);
  };
  for (let size = -1; size !== differing.size;) {
    size = differing.size;
    for (const [name, node] of definitions) if (differs(node)) differing.add(name);
  }
  return differing;
}

/** Writes types for one direction. */
class Writer {
  readonly #open: boolean;
  readonly #name: (name: string) => string;

  constructor(open: boolean, name: (name: string) => string) {
    this.#open = open;
    this.#name = name;
  }

  declaration(name: string, node: Ir): string {
    if (node.k === "object" && node.alternatives.length === 0 && node.fields.length > 0) {
      return `\nexport interface ${name} ${this.#object(node, "")}\n`;
    }
    return `\nexport type ${name} = ${this.#type(node, "")};\n`.replace(" = \n", " =\n");
  }

  #type(node: Ir, indent: string): string {
    switch (node.k) {
      case "any":
        return "JsonValue";
      case "integer":
        return "number";
      case "string":
      case "number":
      case "boolean":
      case "null":
        return node.k;
      case "ref":
        return this.#name(node.name);
      case "nullable":
        return `${this.#type(node.of, indent)} | null`;
      case "array":
        return `${this.#grouped(node.of, indent)}[]`;
      case "map":
        return `{ [key: string]: ${this.#type(node.of, indent)} }`;
      case "enum":
        return union(
          this.#open ? [...literals(node.values), "(string & {})"] : literals(node.values),
        );
      case "union":
        return union(node.of.map((member) => this.#type(member, indent)));
      case "external":
        return union([
          ...literals(node.values),
          ...(this.#open || node.open ? ["(string & {})"] : []),
          ...node.keys.map(({ key, of }) => `{ ${quoted(key)}: ${this.#type(of, indent)} }`),
          ...(this.#open || node.open ? ["object"] : []),
        ]);
      case "tagged":
        return this.#tagged(node, indent);
      case "object":
        return this.#object(node, indent);
    }
  }

  #grouped(node: Ir, indent: string): string {
    const text = this.#type(node, indent);
    return /[|&]/.test(text) && !text.startsWith("{") ? `(${text})` : text;
  }

  #tagged(node: Ir & { k: "tagged" }, indent: string): string {
    const inner = `${indent}  `;
    const members = node.variants.map((variant) => this.#variant(node.tag, variant, inner));
    if (this.#open) {
      const common = node.common.map((field) => this.#field(field, inner)).join("");
      members.push(
        `{\n${inner}  ${
          quoted(node.tag)
        }: UnknownTag;\n${common}${inner}  [key: string]: unknown;\n${inner}}`,
      );
    }
    return members.map((member) => `\n${inner}| ${member}`).join("");
  }

  #variant(tag: string, { values, of }: Variant, indent: string): string {
    const literal = `${indent}  ${quoted(tag)}: ${union(literals(values))};\n`;
    const fields = of.fields.filter((field) => field.name !== tag);
    return this.#object({ ...of, fields }, indent, literal);
  }

  #object(node: ObjectIr, indent: string, first = ""): string {
    if (node.fields.length === 0 && first === "" && node.rest === null) {
      return this.#open ? "Record<string, unknown>" : "Record<string, never>";
    }
    const fields = node.fields.map((field) => this.#field(field, indent)).join("");
    const rest = node.rest === null ? "" : `${indent}  [key: string]: ${this.#rest(node)};\n`;
    const text = `{\n${first}${fields}${rest}${indent}}`;
    if (node.alternatives.length === 0) return text;
    const alternatives = node.alternatives.map((option) => this.#object(option, indent));
    return `${text} & (${union(alternatives)})`;
  }

  #rest(node: ObjectIr): string {
    // An index signature has to admit the named fields too.
    return node.rest!.k === "any" || node.fields.length > 0
      ? "unknown"
      : this.#type(node.rest!, "");
  }

  #field(field: Field, indent: string): string {
    const required = this.#open ? field.requiredIn : field.required;
    const inner = `${indent}  `;
    let type = this.#type(field.of, inner);
    if (this.#open) {
      for (const also of field.alsoIn) type = union([type, this.#type(also, inner)]);
    }
    const doc = field.experimental ? `${inner}/** Experimental. */\n` : "";
    return `${doc}${inner}${quoted(field.name)}${required ? "" : "?"}: ${type};\n`;
  }
}

function literals(values: readonly string[]): string[] {
  return values.map((value) => JSON.stringify(value));
}

function union(members: readonly string[]): string {
  return members.join(" | ");
}

function quoted(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name);
}
