/**
 * Kinds of values that options may have, as data: what is accepted, in words, and how a value misses it.
 *
 * What makes them is marked as free of side effects, so that bundlers leave out the kinds that a program does not use.
 * @module
 */
import { fitsJson, jsonMisfit, kindOf, memberPath } from "../json.ts";

/** How a value misses its kind. Says kinds and names, never values. */
export interface Misfit {
  /** The option, such as `retry.attempts` or `attachments[0].path`. */
  path: string;
  /** What was received, such as `a number`. */
  received: string;
  /** What is accepted, such as `a function`. */
  accepts: string;
  /** What was probably meant. */
  hint?: string | undefined;
}

/** What JavaScript calls a value, with lists and `null` told apart. */
export type ValueType =
  | "string"
  | "number"
  | "boolean"
  | "function"
  | "array"
  | "object"
  | "null"
  | "undefined"
  | "bigint"
  | "symbol";

/** Guesses what was meant by a value that does not fit; `undefined` where there is no guess. */
type Hint = (value: unknown) => string | undefined;

/** What an option may be. */
export interface Kind {
  /** What is accepted, in words: `a string`. Put together when something is refused, as most programs never need it. */
  accepts(): string;
  /** Whether values of this type may fit; where not, none does. */
  takes(type: ValueType): boolean;
  /** Whether the option may not be left out. */
  readonly required?: true;
  /** How a value misses this kind, or `null`. */
  misfit(value: unknown, path: string): Misfit | null;
}

/** The options of an object. */
export interface Shape {
  /** The kind of each option, by name. */
  readonly options: Readonly<Record<string, Kind>>;
  /** What to write in place of names that other libraries use. Put together when an option is refused. */
  meant(): Readonly<Record<string, string>>;
}

/** One kind for each option of `T`; an option that is declared and not checked, or the other way round, does not compile. */
export type OptionKinds<T> = { readonly [Name in keyof T]-?: Kind };

/** Declares the options of an object; `meant` says what to write in place of names that other libraries use. */
/* @__NO_SIDE_EFFECTS__ */
export function shape<T>(
  options: OptionKinds<T>,
  meant: Readonly<Record<string, string>> | Shape["meant"] = {},
): Shape {
  return { options, meant: asked(meant) };
}

const asked = <T>(value: T | (() => T)) => value instanceof Function ? value : () => value;

/** What to say of options that another shape has. */
export function elsewhere(other: Shape, sentence: string): Record<string, string> {
  return Object.fromEntries(Object.keys(other.options).map((name) => [name, sentence]));
}

/** The type of a value, with lists and `null` told apart. */
export function typeOf(value: unknown): ValueType {
  return value === null ? "null" : Array.isArray(value) ? "array" : typeof value;
}

/** A kind from a test; `fits` is asked for values of the given types only. */
/* @__NO_SIDE_EFFECTS__ */
export function kind(
  says: string | Kind["accepts"],
  types: readonly ValueType[],
  fits: (value: never) => boolean = () => true,
  hint: Hint = () => undefined,
): Kind {
  const takes = (type: ValueType) => types.includes(type);
  const accepts = asked(says);
  return {
    accepts,
    takes,
    misfit: (value, path) => {
      const isType = takes(typeOf(value));
      if (isType && fits(value as never)) return null;
      const received = isType ? receivedOf(value) : kindOf(value);
      return { path, received, accepts: accepts(), hint: hint(value) };
    },
  };
}

/** What a value is whose type is right and which is not. */
function receivedOf(value: unknown): string {
  if (value === "") return "an empty string";
  if (typeof value === "string") return "another string";
  if (typeof value !== "number" || !Number.isFinite(value)) return kindOf(value);
  return value < 0 ? "a negative number" : value === 0 ? "0" : "another number";
}

/** The same kind for an option that may not be left out. */
/* @__NO_SIDE_EFFECTS__ */
export function required(of: Kind): Kind {
  return { ...of, required: true };
}

/** The same kind, with a guess at what was meant by what does not fit; `undefined` where there is none. */
/* @__NO_SIDE_EFFECTS__ */
export function hinted(of: Kind, hint: Hint): Kind {
  return {
    ...of,
    misfit: (value, path) => {
      const misfit = of.misfit(value, path);
      return misfit === null ? null : { ...misfit, hint: hint(value) ?? misfit.hint };
    },
  };
}

/** A string. */
export const text: Kind = kind("a string", ["string"]);

/** A string with something in it. */
export const name: Kind = kind(
  "a string that is not empty",
  ["string"],
  (value: string) => value !== "",
);

/** A path; what no system can open is none. */
export const path: Kind = kind(
  "a path that is not empty",
  ["string"],
  (value: string) => value !== "" && !value.includes("\0"),
);

/** `null`. */
export const nothing: Kind = kind("null", ["null"]);

/** A boolean. */
export const flag: Kind = kind("true or false", ["boolean"]);

/** A function. */
export const callback: Kind = kind("a function", ["function"]);

/** What goes into a header as one word, such as a key. */
export function token(accepts: string): Kind {
  return kind(accepts, ["string"], (value: string) => /^[\x21-\x7e]+$/.test(value));
}

/** A time of waiting; `Infinity` for ever. */
export const milliseconds: Kind = kind(
  "a positive number of milliseconds",
  ["number"],
  (value: number) => value > 0,
);

/** A pause, which may be none; it ends. */
export const pauseMilliseconds: Kind = kind(
  "a number of milliseconds, 0 or more",
  ["number"],
  (value: number) => value >= 0 && Number.isFinite(value),
);

/** A number of things; at least `least`. */
/* @__NO_SIDE_EFFECTS__ */
export function count(least: number): Kind {
  return kind(
    `a whole number, ${least} or more`,
    ["number"],
    (value: number) => value >= least && (Number.isInteger(value) || value === Infinity),
  );
}

/** A point in time. */
export const date: Kind = kind(
  "a valid Date",
  ["object"],
  (value: object) => value instanceof Date && Number.isFinite(value.getTime()),
);

/** Something to abort with. */
export const signal: Kind = kind(
  "an AbortSignal",
  ["object"],
  (value: object) =>
    typeof (value as Partial<AbortSignal>).aborted === "boolean" &&
    typeof (value as Partial<AbortSignal>).addEventListener === "function",
  (value) =>
    typeof value === "object" && value !== null && "signal" in value
      ? "Give the controller's `signal`."
      : undefined,
);

/** One of some words. */
/* @__NO_SIDE_EFFECTS__ */
export function oneOf(words: readonly string[], hint?: Hint): Kind {
  return kind(
    () => words.map((word) => `"${word}"`).join(words.length > 2 ? ", " : " or "),
    ["string"],
    (value: string) => words.includes(value),
    (value) => {
      const near = typeof value === "string" ? nearest(value, words) : undefined;
      return hint?.(value) ?? (near === undefined ? undefined : `Did you mean "${near}"?`);
    },
  );
}

/** Any value that JSON can say. */
export const json: Kind = jsonKind("a value that JSON can carry", [
  "string",
  "number",
  "boolean",
  "null",
  "array",
  "object",
]);

/** An object that JSON can say. */
export const jsonObject: Kind = jsonKind("an object that JSON can carry", ["object"]);

/* @__NO_SIDE_EFFECTS__ */
function jsonKind(accepts: string, types: readonly ValueType[]): Kind {
  const plain = kind(accepts, types);
  return {
    ...plain,
    misfit: (value, path) => {
      const misfit = plain.misfit(value, path);
      // Some levels are the message's own.
      if (misfit !== null || fitsJson(value, JSON_LEVELS)) return misfit;
      const { path: at = path, found = kindOf(value) } = jsonMisfit(value, path, JSON_LEVELS) ?? {};
      return { path: at, received: found, accepts };
    },
  };
}

const JSON_LEVELS = 120;

/** A kind of what holds other things: what is not such a thing is told like any other, else `inner` looks at what it holds. */
/* @__NO_SIDE_EFFECTS__ */
function holder<T>(
  type: "array" | "object",
  accepts: () => string,
  isOne: (value: unknown) => value is T,
  hint: Hint = () => undefined,
  inner: (value: T, path: string) => Misfit | null,
): Kind {
  return {
    accepts,
    takes: (given) => given === type,
    misfit: (value, path) =>
      isOne(value)
        ? inner(value, path)
        : { path, received: kindOf(value), accepts: accepts(), hint: hint(value) },
  };
}

/** The first of some members that misses the kind. */
function firstMisfit(
  of: Kind,
  path: string,
  members: Iterable<readonly [key: string | number, value: unknown]>,
): Misfit | null {
  for (const [key, value] of members) {
    const misfit = of.misfit(value, memberPath(path, key));
    if (misfit !== null) return misfit;
  }
  return null;
}

/** A list of one kind. */
/* @__NO_SIDE_EFFECTS__ */
export function list(of: Kind, hint?: Hint): Kind {
  const accepts = () => `a list, each ${of.accepts()}`;
  return holder<unknown[]>("array", accepts, Array.isArray, hint, (value, path) => {
    return firstMisfit(of, path, value.entries());
  });
}

/** An object whose values have one kind, under any names. */
/* @__NO_SIDE_EFFECTS__ */
export function record(of: Kind, hint?: Hint): Kind {
  const accepts = () => `an object, each value ${of.accepts()}`;
  return holder("object", accepts, isOptions, hint, (value, path) => {
    return firstMisfit(of, path, Object.entries(value));
  });
}

/** An object with these options. */
/* @__NO_SIDE_EFFECTS__ */
export function object(of: Shape, hint: Hint = () => undefined): Kind {
  const accepts = () => {
    let names = Object.keys(of.options);
    if (names.length > 12) names = [...names.filter((each) => of.options[each]!.required), "…"];
    return `an object { ${names.join(", ")} }`;
  };
  const options = holder("object", accepts, isOptions, undefined, (value, path) => {
    return optionMisfit(value, of, path);
  });
  return hinted(options, hint);
}

/** An object of one of several shapes, told apart by its `type`; the shapes leave it out. */
/* @__NO_SIDE_EFFECTS__ */
export function variants<T extends { type: string }>(
  of: { readonly [Word in T["type"]]: Shape },
  hint: Hint = () => undefined,
): Kind {
  const words = () => Object.keys(of);
  const accepts = () =>
    `an object whose \`type\` is ${words().map((word) => `"${word}"`).join(", ")}`;
  return holder("object", accepts, isOptions, hint, (value, path) => {
    const { type, ...rest } = value;
    const tag = hinted(oneOf(words()), () => hint(value)).misfit(type, memberPath(path, "type"));
    return tag ?? optionMisfit(rest, of[type as T["type"]], path);
  });
}

/** An object of anybody's making that has these members; what else it has does not matter. */
/* @__NO_SIDE_EFFECTS__ */
export function having(accepts: string, members: Readonly<Record<string, Kind>>): Kind {
  return kind(
    accepts,
    ["object"],
    (value: Readonly<Record<string, unknown>>) =>
      Object.entries(members).every(([key, of]) => memberMisfit(of, value[key], key) === null),
  );
}

/** One of several kinds. What does not fit is explained by the kind for its type, where only one is. */
/* @__NO_SIDE_EFFECTS__ */
export function either(...kinds: readonly Kind[]): Kind {
  const accepts = () => kinds.map((each) => each.accepts()).join(", or ");
  return {
    accepts,
    takes: (type) => kinds.some((each) => each.takes(type)),
    misfit: (value, path) => {
      const misfits: Misfit[] = [];
      for (const each of kinds) {
        const misfit = each.misfit(value, path);
        if (misfit === null) return null;
        if (each.takes(typeOf(value))) misfits.push(misfit);
        else if (misfit.hint !== undefined) misfits.push(misfit);
      }
      const [only] = misfits;
      if (only !== undefined && misfits.length === 1) {
        return only.path === path ? { ...only, accepts: accepts() } : only;
      }
      const hint = misfits.find((each) => each.hint !== undefined)?.hint;
      return { path, received: kindOf(value), accepts: accepts(), hint };
    },
  };
}

/** The first option of an object that does not fit: an unknown one, a wrong one, a missing one. */
export function optionMisfit(
  value: Options,
  { options, meant: told }: Shape,
  path: string,
): Misfit | null {
  const at = (key: string) => path === "" ? key : memberPath(path, key);
  for (const key of Object.keys(value)) {
    if (Object.hasOwn(options, key) || value[key] === undefined) continue;
    const meant = told();
    const shown = shortName(key);
    const camel = key.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
    const near = Object.hasOwn(meant, camel) ? meant[camel]! : nearest(key, Object.keys(options));
    return {
      path: at(shown),
      received: UNKNOWN_OPTION,
      accepts: Object.keys(options).join(", "),
      hint: near === undefined || near.includes(" ")
        ? near
        : Object.hasOwn(options, near)
        ? `Did you mean \`${near}\`?`
        : `It is called \`${near}\`. ${meant[near] ?? "There is none here."}`,
    };
  }
  for (const key in options) {
    const misfit = memberMisfit(options[key]!, value[key], at(key));
    if (misfit !== null) return misfit;
  }
  return null;
}

/** How a member that may be left out, unless it is required, misses its kind. */
export function memberMisfit(of: Kind, value: unknown, path: string): Misfit | null {
  return value === undefined && of.required !== true ? null : of.misfit(value, path);
}

/** What is said of an option that does not exist. */
export const UNKNOWN_OPTION = "an option that does not exist";

/** What a caller gives by names. */
type Options = Readonly<Record<string, unknown>>;

/** Options come in an object of the caller's: not in a list, a Map, a signal, a promise. */
export function isOptions(value: unknown): value is Options {
  return typeof value === "object" && value !== null &&
    Object.prototype.toString.call(value) === "[object Object]";
}

function shortName(key: string): string {
  return key.length > 40 ? `${key.slice(0, 40)}…` : key;
}

/** The word that was most likely meant by one that is not known, or `undefined`. */
function nearest(word: string, words: readonly string[]): string | undefined {
  const plain = (each: string) => each.toLowerCase().replaceAll(/[-_ ]/g, "");
  const wanted = plain(word);
  if (wanted === "" || word.length > 60) return undefined;
  let best: string | undefined;
  let least = 1 + Math.min(2, Math.floor(wanted.length / 3));
  for (const each of words) {
    const away = distance(wanted, plain(each));
    if (away < least) [best, least] = [each, away];
  }
  return best;
}

/** Insertions, deletions, replacements and swaps of neighbours between two words. */
function distance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 2) return Infinity;
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let row = 1; row <= a.length; row++) {
    const here = [row];
    for (let column = 1; column <= b.length; column++) {
      const cost = a[row - 1] === b[column - 1] ? 0 : 1;
      let best = Math.min(above[column]! + 1, here[column - 1]! + 1, above[column - 1]! + cost);
      if (
        row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      ) best = Math.min(best, before[column - 2]! + 1);
      here.push(best);
    }
    before = above;
    above = here;
  }
  return above[b.length]!;
}
