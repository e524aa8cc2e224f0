/**
 * Writes `generated/methods.ts`, the method constants, and `generated/inventory.ts`, what each method is.
 * @module
 */
import { header } from "./header.ts";
import type { Method, Protocol } from "./ir.ts";

/** The text of `methods.ts`. */
export function emitMethods({ methods, version }: Protocol): string {
  const requests = methods.filter((method) => method.kind === "clientRequest");
  return `${header(version)}
/** The methods that a client can call on every server that knows them, by constant name. */
${constants("rpcMethods", requests.filter((method) => !method.experimental))}
/** The methods that need the experimental capability, by constant name. */
${constants("experimentalRpcMethods", requests.filter((method) => method.experimental))}
`;
}

/** The text of `inventory.ts`. A file of its own: few programs need more than the names. */
export function emitInventory({ methods, version }: Protocol): string {
  return `${header(version)}
/** The inventory as JSON: \`[kind, name, experimental, params, paramsOptional, result, since]\` each. */
export const methodsText: string = \`[${methods.map(row).join(",\n")}]\`;
`;
}

function constants(name: string, methods: readonly Method[]): string {
  const names = methods.map((method) => constantName(method.name));
  if (new Set(names).size !== names.length) throw new Error(`two methods share a name in ${name}`);
  const lines = methods.map((m, i) => `  ${names[i]}: ${JSON.stringify(m.name)},\n`);
  return `export const ${name} = {\n${lines.join("")}} as const;\n`;
}

/** `thread/name/set` → `THREAD_NAME_SET`, `config/batchWrite` → `CONFIG_BATCH_WRITE`. */
export function constantName(method: string): string {
  return method.replace(/([a-z0-9])([A-Z])/g, "$1_$2").replace(/[^A-Za-z0-9]+/g, "_").toUpperCase();
}

function row(method: Method): string {
  return JSON.stringify([
    method.kind,
    method.name,
    method.experimental ? 1 : 0,
    method.params?.name ?? null,
    method.params === null || method.params.nullable ? 1 : 0,
    method.result,
    method.since,
  ]);
}
