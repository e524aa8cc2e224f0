/**
 * Whether what callers give is what the library takes.
 *
 * @module
 */
import { defined } from "../json.ts";
import { CodexError, InvalidArgumentError } from "../errors/mod.ts";
import { kindOf } from "../json.ts";
import {
  isOptions,
  type Kind,
  type Misfit,
  optionMisfit,
  type Shape,
  UNKNOWN_OPTION,
} from "./kind.ts";
export { kindOf, memberPath } from "../json.ts";
export type { Kind, OptionKinds, Shape } from "./kind.ts";
export {
  callback,
  count,
  date,
  either,
  elsewhere,
  flag,
  having,
  hinted,
  json,
  jsonObject,
  kind,
  list,
  milliseconds,
  name,
  nothing,
  object,
  oneOf,
  path,
  pauseMilliseconds,
  record,
  required,
  shape,
  signal,
  text,
  token,
  typeOf,
  variants,
} from "./kind.ts";

// Checks what callers give, before anything is done with it.

/** Throws `InvalidArgumentError` unless `value` has the options that `shape` declares; `undefined` has none, unless they are `needed`. */
export function checkOptions(where: string, value: unknown, shape: Shape, needed = false): void {
  if (value === undefined && !needed && !shape.required) return;
  let misfit: Misfit | null;
  try {
    misfit = isOptions(value) ? optionMisfit(value, shape, "") : {
      path: "options",
      received: kindOf(value),
      accepts: `an object { ${Object.keys(shape.options).join(", ")} }`,
      hint: typeof value === "object" && value !== null && "aborted" in value
        ? "Write `{ signal }`."
        : undefined,
    };
  } catch (cause) {
    throw unreadable(where, "options", cause);
  }
  if (misfit !== null) refuse(where, misfit);
}

/** Throws `InvalidArgumentError` unless an argument has its kind. */
export function checkArgument(where: string, argument: string, value: unknown, kind: Kind): void {
  if (value === undefined && kind.required !== true) return;
  let misfit: Misfit | null;
  try {
    misfit = kind.misfit(value, argument);
  } catch (cause) {
    throw unreadable(where, "options", cause);
  }
  if (misfit !== null) refuse(where, misfit);
}

/** Throws `InvalidArgumentError` unless every argument has its kind; none may be left out that is `required`. */
export function checkArguments(
  where: string,
  given: Readonly<Record<string, readonly [value: unknown, kind: Kind]>>,
): void {
  for (const argument of Object.keys(given)) checkArgument(where, argument, ...given[argument]!);
}

/**
 * What a caller gave, as it is now: what becomes of it later was not checked. Lists and plain data are copied; what can be
 * called, or was made by a class, is the caller's own.
 */
export function copied<T>(given: T): T {
  return copyOf(given, new Map(), true) as T;
}

function copyOf(value: unknown, known: Map<unknown, unknown>, isOptions = false): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (known.has(value)) return known.get(value);
  const prototype: unknown = Object.getPrototypeOf(value);
  const isList = Array.isArray(value);
  if (!isList && prototype !== Object.prototype && prototype !== null) return value;
  const members = Object.entries(Object.getOwnPropertyDescriptors(value));
  // What has members that no copy would show is more than data: a JSON Schema that is a Standard Schema as well.
  const isData = isList || isOptions ||
    Object.keys(value).length === Reflect.ownKeys(value).length &&
      members.every(([, member]) => "value" in member && typeof member.value !== "function");
  if (!isData) return value;
  const copy: object = isList ? [] : Object.create(prototype as object | null);
  known.set(value, copy);
  for (const [name, { enumerable, get, value: member }] of members) {
    if (enumerable !== true) continue;
    const data = copyOf(get === undefined ? member : get.call(value), known);
    Object.defineProperty(copy, name, {
      value: data,
      enumerable: true,
      writable: true,
      configurable: true,
    });
  }
  return copy;
}

function refuse(where: string, { path, received, accepts, hint }: Misfit): never {
  throw new InvalidArgumentError(where, {
    argument: path,
    received,
    accepts,
    ...defined({ hint }),
    unknown: received === UNKNOWN_OPTION,
  });
}

/** Reads what a caller gave. Throws `InvalidArgumentError` when it can't be read: a getter or a proxy of the caller's may throw. */
export function readable<T>(where: string, argument: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw unreadable(where, argument, error);
  }
}

/** The error for what can't be read; one that the library has made already stays what it is. */
export function unreadable(where: string, argument: string, cause: unknown): CodexError {
  if (cause instanceof CodexError) return cause;
  const received = "an object that can't be read";
  return new InvalidArgumentError(where, { argument, received, accepts: "plain data" }, { cause });
}
