/**
 * The method inventory in memory: what each method of the protocol is. Parsed on first use.
 * @module
 */
import { methodsText } from "./generated/inventory.ts";

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
