/**
 * Taking secrets out of messages before they are written anywhere.
 *
 * Secrets are recognised by the name they stand under (`authorization`, `apiKey`, `OPENAI_API_KEY`, `refresh_token` …) and
 * by their looks (`sk-…`, `Bearer …`, JSON web tokens, private keys …). A secret that is split over several text deltas
 * is not recognised.
 * @module
 */
import { isJsonObject, type JsonObject, type JsonValue } from "./json.ts";

/** What stands in the place of a secret. */
export const REDACTED: string = "[redacted]";

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
  /** Ids of the secret questions in each request that has not been answered. */
  readonly #secretQuestions: Map<number | string, ReadonlySet<string>> = new Map();

  /** A message without secrets; the very message that was given when it holds none. */
  message(direction: "inbound" | "outbound" | "local", message: JsonValue): JsonValue {
    const clean = redact(message);
    if (!isJsonObject(clean)) return clean;
    const id = clean["id"];
    if (typeof id !== "number" && typeof id !== "string") return clean;
    if (direction === "inbound" && clean["method"] !== undefined) this.#remember(id, clean);
    return direction === "outbound" && clean["method"] === undefined
      ? this.#withoutAnswers(id, clean)
      : clean;
  }

  #remember(id: number | string, request: JsonObject): void {
    const params = request["params"];
    const questions = isJsonObject(params) ? params["questions"] : undefined;
    if (!Array.isArray(questions)) return;
    const secret = questions.filter(isJsonObject)
      .filter((question) => question["isSecret"] === true)
      .map((question) => String(question["id"]));
    if (secret.length === 0) return;
    if (this.#secretQuestions.size >= MAX_QUESTIONS) {
      this.#secretQuestions.delete(this.#secretQuestions.keys().next().value!);
    }
    this.#secretQuestions.set(id, new Set(secret));
  }

  #withoutAnswers(id: number | string, response: JsonObject): JsonObject {
    const secret = this.#secretQuestions.get(id);
    if (secret === undefined) return response;
    this.#secretQuestions.delete(id);
    const result = response["result"];
    const answers = isJsonObject(result) ? result["answers"] : undefined;
    if (!isJsonObject(result) || !isJsonObject(answers)) return response;
    const clean = Object.fromEntries(
      Object.entries(answers).map((
        [question, answer],
      ) => [question, secret.has(question) ? withoutStrings(answer ?? null, 0) : answer]),
    );
    return { ...response, result: { ...result, answers: clean } };
  }
}

function redactValue(value: JsonValue, depth: number): JsonValue {
  if (typeof value === "string") return redactText(value);
  if (typeof value !== "object" || value === null) return value;
  if (depth >= MAX_DEPTH) return REDACTED;
  if (Array.isArray(value)) return redactArray(value, (element) => redactValue(element, depth + 1));
  let copy: JsonObject | undefined;
  for (const key of Object.keys(value)) {
    const member = value[key];
    if (member === undefined) continue;
    const clean = isSecretName(key) ? withoutText(member, depth) : redactValue(member, depth + 1);
    if (clean === member) continue;
    copy ??= { ...value };
    // An own member of this name would be set as the prototype by an assignment.
    Object.defineProperty(copy, key, {
      value: clean,
      enumerable: true,
      writable: true,
      configurable: true,
    });
  }
  return copy ?? value;
}

/** A member with a secret's name: its text goes. What is within an object has names of its own. */
function withoutText(value: JsonValue, depth: number): JsonValue {
  if (typeof value === "string") return value === "" ? value : REDACTED;
  if (Array.isArray(value)) {
    return redactArray(
      value,
      (element) =>
        typeof element === "string" && element !== "" ? REDACTED : redactValue(element, depth + 1),
    );
  }
  return redactValue(value, depth + 1);
}

function withoutStrings(value: JsonValue, depth: number): JsonValue {
  if (typeof value === "string") return value === "" ? value : REDACTED;
  if (depth >= MAX_DEPTH) return REDACTED;
  if (Array.isArray(value)) return value.map((element) => withoutStrings(element, depth + 1));
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [key, withoutStrings(member ?? null, depth + 1)]),
  );
}

function redactArray(
  array: JsonValue[],
  change: (element: JsonValue) => JsonValue,
): JsonValue[] {
  let copy: JsonValue[] | undefined;
  for (let i = 0; i < array.length; i++) {
    const clean = change(array[i]!);
    if (clean === array[i]) continue;
    copy ??= array.slice();
    copy[i] = clean;
  }
  return copy ?? array;
}

const SECRET_NAMES: ReadonlySet<string> = new Set(
  [
    "authorization proxyauthorization cookie setcookie apikey xapikey token accesstoken refreshtoken idtoken",
    "sessiontoken authtoken bearertoken secretaccesskey accesskeyid privatekey passphrase passwd pwd usercode",
  ].join(" ").split(" "),
);
const SECRET_WORDS: ReadonlySet<string> = new Set(
  "secret secrets password passwords passwd credential credentials apikey".split(" "),
);
const KEY_KINDS: ReadonlySet<string> = new Set("api access private secret signing".split(" "));
const ENV_NAME = /^[A-Z][A-Z0-9_]*$/;
const ENV_SECRET = /KEY|SECRET|TOKEN|PASSWORD|PASSWD|CREDENTIAL/;

/** Whether what stands under this name is a secret. */
export function isSecretName(name: string): boolean {
  if (name.length > 100) return false;
  if (ENV_NAME.test(name)) return ENV_SECRET.test(name);
  if (SECRET_NAMES.has(name.replace(/[-_.\s]/g, "").toLowerCase())) return true;
  const words = name.replace(/([a-z0-9])([A-Z])/g, "$1 $2").toLowerCase().split(/[^a-z0-9]+/);
  if (words.some((word) => SECRET_WORDS.has(word))) return true;
  const last = words.at(-1);
  return last === "token" || (last === "key" && KEY_KINDS.has(words.at(-2) ?? ""));
}

/** A cheap look that most texts do not pass. */
const SUSPICIOUS =
  /sk-|eyJ|gh[pousr]_|github_pat_|AKIA|ASIA|AIza|xox|bearer|authorization|cookie|token|secret|passw|passphrase|pwd|credential|key|:\/\/[^\s/]*@/i;

type Replace = [pattern: RegExp, by: string | ((match: string, ...groups: string[]) => string)];

const PATTERNS: readonly Replace[] = [
  [
    /(-----BEGIN ([A-Z ]{0,40}PRIVATE KEY)-----)[\s\S]*?(-----END \2-----|$)/g,
    `$1${REDACTED}$3`,
  ],
  [/\b(bearer\s+)[A-Za-z0-9._~+/=-]{6,}/gi, `$1${REDACTED}`],
  [
    /\b((?:proxy-)?authorization\\*["']?\s{0,5}[:=]\s{0,5}\\*["']?)(?:(?:basic|digest|token|bearer)\s+)?[^\s"'\\,;]+/gi,
    `$1${REDACTED}`,
  ],
  [/\b((?:set-)?cookie:\s{0,5})[^\r\n"']+/gi, `$1${REDACTED}`],
  [/\b(?:sk|sess)-[A-Za-z0-9_-]{8,}/g, REDACTED],
  [/\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*/g, REDACTED],
  [/\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})/g, REDACTED],
  [
    /\b(?:(?:AKIA|ASIA)[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{35}|xox[abpors]-[A-Za-z0-9-]{10,})/g,
    REDACTED,
  ],
  [/\b([a-z][a-z0-9+.-]{1,20}:\/\/[^\s:@/"']{0,200}:)[^\s@/"']{1,400}@/gi, `$1${REDACTED}@`],
  // JSON within text, however often it is escaped.
  [
    /(\\{0,8}["'])([A-Za-z][\w.-]{0,60})\1(\s{0,5}:\s{0,5})(\\{0,8}["'])((?:(?!\4)[\s\S]){1,8192})\4/g,
    (match, quote, name, colon, open) =>
      isSecretName(name!) ? `${quote}${name}${quote}${colon}${open}${REDACTED}${open}` : match,
  ],
  // Settings, shell assignments, query strings and command-line options.
  [
    /\b([A-Za-z][\w.-]{0,60})(\s{0,3}[=:]\s{0,3})("[^"\n]{1,4096}"|'[^'\n]{1,4096}')/g,
    (match, name, sign, value) =>
      isSecretName(name!) && !refersTo(value!.slice(1))
        ? `${name}${sign}${value![0]}${REDACTED}${value![0]}`
        : match,
  ],
  [
    /\b([A-Za-z][\w-]{0,60})=([^\s"'`&;|<>()\\]{1,4096})/g,
    (match, name, value) =>
      isSecretName(name!) && !refersTo(value!) ? `${name}=${REDACTED}` : match,
  ],
  [
    /(\s--?([A-Za-z][\w-]{0,60})\s+)([^\s"'`&;|<>()\\-][^\s"'`&;|<>()\\]{0,4096})/g,
    (match, option, name, value) =>
      isSecretName(name!) && !refersTo(value!) ? `${option}${REDACTED}` : match,
  ],
];

/** A text without secrets; the very text that was given when it holds none. */
export function redactText(text: string): string {
  if (text.length < 6 || !SUSPICIOUS.test(text)) return text;
  let clean = text;
  for (const [pattern, by] of PATTERNS) {
    clean = typeof by === "string" ? clean.replace(pattern, by) : clean.replace(pattern, by);
  }
  return clean === text ? text : clean;
}

/** A value that is looked up elsewhere, as in `TOKEN=$CI_TOKEN`, is no secret. */
function refersTo(value: string): boolean {
  return value.startsWith("$") || value.startsWith(REDACTED);
}
