/**
 * Whether what callers give is what the library takes.
 *
 * @module
 */
import { CodexError, InvalidArgumentError } from "../errors/mod.ts";
import { defined, kindOf } from "../json.ts";
import {
  isOptions,
  type Kind,
  memberMisfit,
  type Misfit,
  object,
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
  if (value === undefined && !needed && optionMisfit({}, shape, "") === null) return;
  refuse(where, () =>
    isOptions(value) ? optionMisfit(value, shape, "") : {
      path: "options",
      received: kindOf(value),
      accepts: object(shape).accepts(),
      hint: typeof value === "object" && value !== null && "aborted" in value
        ? "Write `{ signal }`."
        : undefined,
    });
}

/** Throws `InvalidArgumentError` unless an argument has its kind. */
export function checkArgument(where: string, argument: string, value: unknown, kind: Kind): void {
  refuse(where, () => memberMisfit(kind, value, argument));
}

/** Throws `InvalidArgumentError` where a class was called with `new` whose objects a function of its own makes. */
export function refuseNew(maker: string): never {
  throw new InvalidArgumentError("new", {
    argument: "new",
    received: "new",
    accepts: maker,
    sentence: `write \`await ${maker}(…)\``,
  });
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
  return copyOf(given, new Map(), 0) as T;
}

/** Deeper than what any check lets pass. */
const MAX_LEVELS = 256;

function copyOf(value: unknown, known: Map<unknown, unknown>, level: number): unknown {
  if (typeof value !== "object" || value === null || level > MAX_LEVELS) return value;
  if (known.has(value)) return known.get(value);
  const prototype: unknown = Object.getPrototypeOf(value);
  const isList = Array.isArray(value);
  if (!isList && prototype !== Object.prototype && prototype !== null) return value;
  // Each is read once: what a getter says next was not checked.
  const members = Object.entries(value);
  // What has members that no copy would show is more than data: a JSON Schema that is a Standard Schema as well.
  const isData = isList || level === 0 ||
    members.length === Reflect.ownKeys(value).length &&
      members.every(([, member]) => typeof member !== "function");
  if (!isData) return value;
  const copy: object = isList ? [] : Object.create(prototype as object | null);
  known.set(value, copy);
  for (const [name, member] of members) {
    Object.defineProperty(copy, name, {
      value: copyOf(member, known, level + 1),
      enumerable: true,
      writable: true,
      configurable: true,
    });
  }
  return copy;
}

/** What a caller gave, read once: what is checked is what is used. Throws like {@linkcode checkOptions}. */
export function takeOptions<T>(where: string, given: T, of: Shape, needed = false): T {
  const taken = readable(where, "options", () => copied(isOptions(given) ? all(given, of) : given));
  checkOptions(where, taken, of, needed);
  return taken as T;
}

/** An argument, read once like {@linkcode takeOptions}. Throws like {@linkcode checkArgument}. */
export function takeArgument<T>(where: string, argument: string, given: T, of: Kind): T {
  const taken = readable(where, argument, () => copied(given));
  checkArgument(where, argument, taken, of);
  return taken;
}

/** All options of an object: of a class of the caller's they may be its prototype's, and some are hidden from loops. */
function all(given: Readonly<Record<string, unknown>>, { options }: Shape): object {
  const members = { ...given };
  for (const name in options) {
    const member = Object.hasOwn(members, name) ? undefined : given[name];
    if (member !== undefined) members[name] = member;
  }
  return members;
}

function refuse(where: string, find: () => Misfit | null): void {
  const misfit = readable(where, "options", find);
  if (misfit === null) return;
  const { path, received, accepts, hint } = misfit;
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
