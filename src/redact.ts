/**
 * Taking secrets out of messages before they are written anywhere.
 *
 * Secrets are recognised by the name they stand under (`authorization`, `apiKey`, `OPENAI_API_KEY`, `refresh_token` …) and
 * by their looks (`sk-…`, `Bearer …`, JSON web tokens, private keys …), in base64 too. What has neither is not recognised, nor
 * what stands in a table below the name of a column. Of a secret that is split over several deltas, what came before it could be told for one stays.
 * @module
 */
import {
  base64,
  bytesOfBase64,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  keepNewest,
  memberOf,
} from "./json.ts";
import {
  coversTexts,
  hidden,
  isSecretName,
  isSuspicious,
  redactDiagnostic,
  REDACTED,
  redactText,
  takesSecrets,
  withoutColours,
} from "./secret_text.ts";

export {
  isSecretName,
  redactDiagnostic,
  REDACTED,
  redactText,
  SECRET_VARIABLES,
  withoutColours,
} from "./secret_text.ts";

/** Nothing that the server sends is deeper. */
const MAX_DEPTH = 500;
/** Questions for secrets remembered until they are answered. */
const MAX_QUESTIONS = 256;

/** A JSON value without secrets; the very value that was given when it holds none. */
export function redact(value: JsonValue): JsonValue {
  return redactValue(value, 0);
}

/** Takes secrets out of the messages of one connection, answers to secret questions included. */
export class Redactor {
  /** Ids of the secret questions in each request that has not been answered; what is not known may be secret. */
  readonly #secretQuestions: Map<number | string, ReadonlySet<string>> = new Map();
  readonly #deltas: DeltaRedactor = new DeltaRedactor();

  /** A message without secrets; the very message that was given when it holds none. */
  message(direction: "inbound" | "outbound" | "local", message: JsonValue): JsonValue {
    const clean = redact(this.#deltas.message(message));
    if (!isJsonObject(clean) || !isJsonObject(message)) return clean;
    const id = clean["id"];
    if (typeof id !== "number" && typeof id !== "string") return clean;
    // By the names that the answer will have.
    if (direction === "inbound" && clean["method"] !== undefined) this.#remember(id, message);
    return direction === "outbound" && clean["method"] === undefined
      ? this.#withoutAnswers(id, clean)
      : clean;
  }

  #remember(id: number | string, request: JsonObject): void {
    const questions = memberOf(request, "params", "questions");
    if (!Array.isArray(questions)) return;
    const secret = questions.filter(isJsonObject)
      .filter((question) => question["isSecret"] === true)
      .map((question) => cleanName(String(question["id"])));
    this.#secretQuestions.set(id, new Set(secret));
    keepNewest(this.#secretQuestions, MAX_QUESTIONS);
  }

  #withoutAnswers(id: number | string, response: JsonObject): JsonObject {
    const secret = this.#secretQuestions.get(id);
    this.#secretQuestions.delete(id);
    const result = response["result"];
    const answers = memberOf(result, "answers");
    if (!isJsonObject(result) || !isJsonObject(answers)) return response;
    const clean = Object.fromEntries(
      Object.entries(answers).map((
        [question, answer],
      ) => [
        question,
        secret?.has(question) !== false ? hide(answer ?? null) : answer,
      ]),
    );
    return { ...response, result: { ...result, answers: clean } };
  }
}

/** Streams whose end is remembered, oldest first to go. */
const MAX_STREAMS = 64;
/** Characters of a stream that are looked at with its next piece. */
const TAIL = 256;
/** The same while a secret may still go on. */
const OPEN_TAIL = 16_384;
/** What begins a secret is no longer. */
const LONGEST_HINT = 20;

/** The end of a stream. */
interface Tail {
  text: string;
  /** Characters since something in it looked like the beginning of a secret. */
  calm: number;
}

/** Looks at each piece of a stream together with what came before it. */
class DeltaRedactor {
  readonly #tails: Map<string, Tail> = new Map();

  /** The message with its piece of text clean of what began in an earlier one. */
  message(message: JsonValue): JsonValue {
    if (!isJsonObject(message) || !isJsonObject(message["params"])) return message;
    const { params } = message;
    for (const field of DELTA_FIELDS) {
      const delta = params[field];
      if (typeof delta !== "string" || delta === "") continue;
      const { itemId, processId, stream, contentIndex, summaryIndex, threadId } = params;
      const key = JSON.stringify([
        ...[message["method"], threadId, itemId, processId, stream],
        ...[contentIndex, summaryIndex],
      ]);
      const clean = field === "delta" ? this.#next(key, delta) : this.#nextBytes(key, delta);
      return clean === delta ? message : { ...message, params: { ...params, [field]: clean } };
    }
    return message;
  }

  #nextBytes(key: string, encoded: string): string {
    try {
      const bytes = atob(encoded);
      const clean = this.#next(key, bytes);
      return clean === bytes ? encoded : btoa(clean);
    } catch {
      return encoded;
    }
  }

  #next(key: string, given: string): string {
    const delta = withoutColours(given);
    const { text: tail, calm: before } = this.#tails.get(key) ?? { text: "", calm: Infinity };
    const joined = tail + delta;
    const near = tail.slice(-LONGEST_HINT) + delta;
    const hinted = isSuspicious(near) || AUTHORITY.test(near);
    const calm = hinted ? 0 : before + delta.length;
    const { lead, kept, open } = calm > TAIL ? untouched(delta) : overBorder(tail, delta);
    this.#tails.delete(key);
    this.#tails.set(key, {
      text: joined.slice(open ? -OPEN_TAIL : -TAIL),
      calm: open ? 0 : calm,
    });
    keepNewest(this.#tails, MAX_STREAMS);
    return kept === delta.length
      ? given
      : delta.slice(0, lead) + REDACTED + delta.slice(delta.length - kept);
  }
}

/** How a piece is to be cut: what of its beginning and its end belongs to no secret, and whether one goes on after it. */
interface Cut {
  lead: number;
  kept: number;
  open: boolean;
}

function untouched({ length }: string): Cut {
  return { lead: length, kept: length, open: false };
}

/** What stands before the authority of a URL. */
const AUTHORITY = /:\\?\/\\?\//;
/** An element of XML, up to its end at most. */
const ELEMENT = /<([\w.:-]+)(?:\s[^<>]*)?>[^<]*(<[\w.:/-]*)?$/;
/** A URL up to the middle of its password, or of the number of its port, which is shorter. */
const PASSWORD = /:\\?\/\\?\/[^\s/@:[]*:(?!\d{0,5}[)\]`"'>,.;]*$)[^\s/@]*$/;

function overBorder(tail: string, delta: string): Cut {
  const joined = tail + delta;
  const cut = untouched(delta);
  let apart: string | undefined;
  // A quoted value is known by the quote that ends it, which may be in a later piece; others by what is behind them.
  const quotes = ['"', "'", '\\"', ")"].filter((each) =>
    joined.includes(each === ")" ? "(" : each)
  );
  const [, tag = "", begun = ""] = ELEMENT.exec(joined) ?? [];
  const end = tag && `</${tag}>`;
  const ends = [
    ...quotes,
    ...PASSWORD.test(joined) ? ["@"] : [],
    ...end && end.startsWith(begun) ? [end.slice(begun.length)] : [],
  ];
  for (const close of ["", ...ends]) {
    const whole = redactText(joined + close);
    const closed = whole.endsWith(close);
    // The quote alone was taken for a value.
    if (!closed && whole.startsWith(joined)) continue;
    const clean = closed ? whole.slice(0, whole.length - close.length) : whole;
    if (clean === joined) continue;
    cut.open ||= /\[redacted\][\s"'\\]*$/.test(clean);
    apart ??= redactText(tail) + redactText(delta);
    if (clean === apart) continue;
    // A secret goes over the border: what comes before and after it is the same in both.
    const before = same(joined, clean, (text, at) => text[at]) - tail.length;
    cut.lead = Math.min(cut.lead, Math.max(0, before));
    cut.kept = Math.min(cut.kept, same(delta, clean, (text, at) => text.at(-1 - at)));
  }
  if (cut.kept < delta.length) cut.lead = Math.min(cut.lead, delta.length - cut.kept);
  return cut;
}

/** How many characters two texts share, from the end that `char` reads from. */
function same(a: string, b: string, char: (text: string, at: number) => string | undefined) {
  let count = 0;
  while (count < a.length && char(a, count) === char(b, count)) count++;
  return count;
}

const DELTA_FIELDS = ["delta", "deltaBase64"] as const;

function redactValue(value: JsonValue, depth: number): JsonValue {
  if (typeof value === "string") return redactText(value);
  if (typeof value !== "object" || value === null) return value;
  if (depth >= MAX_DEPTH) return REDACTED;
  if (Array.isArray(value)) {
    const words = redactWords(value);
    return redactArray(
      words,
      (element, before) =>
        isSecretOption(before) || isHeader(words, element, before) || isVariable(words, before)
          ? withoutText("", element, depth)
          : redactValue(element, depth + 1),
    );
  }
  const pair = pairValueKey(value);
  return mapMembers(value, (key, member) => {
    if (key === pair || coversTexts(key)) return withoutText(key, member, depth);
    if (HEADERS.test(key)) return hide(member);
    if (key.startsWith("mcp_servers")) {
      return redactValue(withoutEnv(key.split(".").slice(1), member), depth + 1);
    }
    if (typeof member === "string" && BASE64.test(key)) return redactBase64(member);
    return redactValue(member, depth + 1);
  });
}

/** What a server is told, dotted or nested: the names say nothing of which of it is secret. */
const HEADERS = /(?:^|\.)http_headers(?:\.|$)/;

/** The same value with every string changed; the very value when none is. */
function mapStrings(value: JsonValue, change: (text: string) => string): JsonValue {
  if (typeof value === "string") return change(value);
  if (Array.isArray(value)) return redactArray(value, (each) => mapStrings(each, change));
  if (!isJsonObject(value)) return value;
  return mapMembers(value, (_key, member) => mapStrings(member, change));
}

/** The value with no text in it. */
function hide(value: JsonValue): JsonValue {
  return mapStrings(value, (text) => text && REDACTED);
}

/** MCP servers without the variables that they are given, wherever below them the value stands. */
function withoutEnv([server, table]: string[], value: JsonValue): JsonValue {
  if (table !== undefined) return table === "env" ? hide(value) : value;
  if (!isJsonObject(value)) return value;
  return mapMembers(
    value,
    (key, member) => withoutEnv(server === undefined ? [key] : [server, key], member),
  );
}

/** No secret that is known by its looks is shorter, and few names that the protocol has are longer. */
const LONG_NAME = 16;

/** The name of a member, which may be a secret itself, as in a table of what keys have used. */
function cleanName(name: string): string {
  return name.length < LONG_NAME ? name : redactText(name);
}

/** The object with changed members, and with no secrets for names; the very object when none changed. */
function mapMembers(
  value: JsonObject,
  change: (key: string, member: JsonValue) => JsonValue,
): JsonObject {
  let copy: JsonObject | undefined;
  for (const key of Object.keys(value)) {
    const member = value[key];
    if (member === undefined) continue;
    const clean = change(key, member);
    const name = cleanName(key);
    if (clean === member && name === key) continue;
    copy ??= { ...value };
    if (name !== key) delete copy[key];
    // An own member of this name would be set as the prototype by an assignment.
    Object.defineProperty(copy, name, {
      value: clean,
      enumerable: true,
      writable: true,
      configurable: true,
    });
  }
  return copy ?? value;
}

const NAME_KEYS: readonly string[] = ["name", "key", "header", "variable"];

/** Where the secret is in `{ name: "API_KEY", value: … }`. */
function pairValueKey(value: JsonObject): string | null {
  const named = NAME_KEYS.some((key) => {
    const name = value[key];
    return typeof name === "string" && isSecretName(name);
  });
  return named && value["value"] !== undefined ? "value" : null;
}

/** Members that tell what a value is like, in a JSON schema. */
const SCHEMA_WORDS: ReadonlySet<string> = new Set(
  "type format title description pattern required $ref".split(" "),
);
const SCHEMA_TYPE = /^(?:string|number|integer|boolean|object|array|null)$/;

/** Whether it says what a secret is like, and is none. */
function isSchema({ type, $ref }: JsonObject): boolean {
  const types = Array.isArray(type) ? type : [type];
  return types.every((one) => typeof one === "string" && SCHEMA_TYPE.test(one)) ||
    (type === undefined && typeof $ref === "string" && $ref.startsWith("#"));
}

/** Under these a number is a secret as well; `token: 5` is a count. */
const NUMERIC_NAME = /passw|passphrase|secret|pin$/i;

/** A member with a secret's name: all texts below it go. */
function withoutText(name: string, value: JsonValue, depth: number): JsonValue {
  if (typeof value === "string") return hidden(name, value);
  if (typeof value === "number") return NUMERIC_NAME.test(name) ? REDACTED : value;
  if (depth >= MAX_DEPTH) return REDACTED;
  if (Array.isArray(value)) {
    return redactArray(value, (element) => withoutText(name, element, depth + 1));
  }
  if (!isJsonObject(value)) return value;
  const schema = isSchema(value);
  return mapMembers(
    value,
    (key, member) =>
      schema && SCHEMA_WORDS.has(key)
        ? redactValue(member, depth + 1)
        : withoutText(coversTexts(key) ? key : name, member, depth + 1),
  );
}

const BASE64 = /(?:Base64|_base64|_b64)$/;
const MAX_BASE64 = 4 << 20;

/** Base64 of a text with secrets, with the same text without them. */
function redactBase64(encoded: string): string {
  if (encoded.length < 8 || encoded.length > MAX_BASE64) return encoded;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytesOfBase64(encoded));
    const clean = redactText(text);
    return clean === text ? encoded : base64(new TextEncoder().encode(clean));
  } catch {
    // No base64, or no text.
    return encoded;
  }
}

function redactArray(
  array: JsonValue[],
  change: (element: JsonValue, before: JsonValue | undefined) => JsonValue,
): JsonValue[] {
  let copy: JsonValue[] | undefined;
  for (let i = 0; i < array.length; i++) {
    const clean = change(array[i]!, array[i - 1]);
    if (clean === array[i]) continue;
    copy ??= array.slice();
    copy[i] = clean;
  }
  return copy ?? array;
}

/** Whether it is an option of a command line, in words, whose value comes next. */
function isSecretOption(word: JsonValue | undefined): boolean {
  return typeof word === "string" && OPTION.test(word) && isSecretName(word.replace(/^-+/, ""));
}

/** Whether these two are a variable, whose value comes second. */
function isVariable({ length }: readonly JsonValue[], name: JsonValue | undefined): boolean {
  return length === 2 && typeof name === "string" && VARIABLE.test(name) && isSecretName(name);
}

const VARIABLE = /^[A-Z_][A-Z0-9_]{1,60}$/;
const OPTION = /^--?[A-Za-z][\w-]{1,60}$/;

/** Whether it is the value of a header that is told as a pair: `["Cookie", "sid=…"]`. */
function isHeader(
  pair: readonly JsonValue[],
  value: JsonValue,
  name: JsonValue | undefined,
): boolean {
  return pair.length === 2 && typeof name === "string" && HEADER.test(name) &&
    typeof value === "string" && !HEADER.test(value);
}

const HEADER = /^(?:(?:set-)?cookie|(?:proxy-)?authorization|x-[\w-]{0,60}(?:key|token))$/i;

/** The words of a command whose options bring secrets. Words with spaces are read by themselves. */
function redactWords(words: JsonValue[]): JsonValue[] {
  const [program] = words;
  if (typeof program !== "string" || words.length > MAX_WORDS || !takesSecrets(program)) {
    return words;
  }
  const line = words.map((word) => typeof word === "string" && /^\S+$/.test(word) ? word : "-");
  const clean = redactText(line.join(" ")).split(" ");
  if (clean.length !== line.length) return words;
  return clean.every((word, i) => word === line[i])
    ? words
    : words.map((word, i) => clean[i] === line[i] ? word : clean[i]!);
}

const MAX_WORDS = 1000;

/** The same for the data of an error. */
export function redactDiagnosticData(data: JsonValue): JsonValue {
  return mapStrings(redact(data), redactDiagnostic);
}
