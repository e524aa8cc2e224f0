/**
 * Taking secrets out of messages before they are written anywhere.
 *
 * Secrets are recognised by the name they stand under (`authorization`, `apiKey`, `OPENAI_API_KEY`, `refresh_token` …) and
 * by their looks (`sk-…`, `Bearer …`, JSON web tokens, private keys …), in base64 too. What has neither is not recognised,
 * nor is a secret that is split over several text deltas.
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
      ) => [
        question,
        secret.has(question)
          ? mapStrings(answer ?? null, (text) => text === "" ? text : REDACTED, 0)
          : answer,
      ]),
    );
    return { ...response, result: { ...result, answers: clean } };
  }
}

function redactValue(value: JsonValue, depth: number): JsonValue {
  if (typeof value === "string") return redactText(value);
  if (typeof value !== "object" || value === null) return value;
  if (depth >= MAX_DEPTH) return REDACTED;
  if (Array.isArray(value)) {
    return redactArray(
      value,
      (element, before) =>
        isSecretOption(before) ? withoutText("", element, depth) : redactValue(element, depth + 1),
    );
  }
  const pair = pairValueKey(value);
  return mapMembers(value, (key, member) => {
    if (key === pair || isSecretName(key)) return withoutText(key, member, depth);
    if (key === "mcp_servers" && isJsonObject(member)) {
      return redactValue(withoutPrivateTables(member), depth + 1);
    }
    if (typeof member === "string" && BASE64.test(key)) return redactBase64(member);
    return redactValue(member, depth + 1);
  });
}

/** What a server is given for itself alone: the names say nothing of which of it is secret. */
const PRIVATE_TABLES: ReadonlySet<string> = new Set(["env", "http_headers"]);

/** MCP servers without the variables and headers that they are given. */
function withoutPrivateTables(servers: JsonObject): JsonObject {
  return mapMembers(
    servers,
    (_name, server) =>
      isJsonObject(server)
        ? mapMembers(
          server,
          (field, table) =>
            PRIVATE_TABLES.has(field) ? mapStrings(table, () => REDACTED, 0) : table,
        )
        : server,
  );
}

/** The object with changed members; the very object when none changed. */
function mapMembers(
  value: JsonObject,
  change: (key: string, member: JsonValue) => JsonValue,
): JsonObject {
  let copy: JsonObject | undefined;
  for (const key of Object.keys(value)) {
    const member = value[key];
    if (member === undefined) continue;
    const clean = change(key, member);
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

const NAME_KEYS: readonly string[] = ["name", "key", "header", "variable"];

/** Where the secret is in `{ name: "API_KEY", value: … }`. */
function pairValueKey(value: JsonObject): string | null {
  const named = NAME_KEYS.some((key) => {
    const name = value[key];
    return typeof name === "string" && isSecretName(name);
  });
  return named && value["value"] !== undefined ? "value" : null;
}

/** Members by which an object says the content of what it stands for. */
const CONTENT_KEYS: ReadonlySet<string> = new Set(
  "value values v val data content contents text raw plain plaintext secret current default".split(
    " ",
  ),
);
/** Under these a number is a secret as well; `token: 5` is a count. */
const NUMERIC_NAME = /passw|passphrase|secret|pin$/i;

/** A member with a secret's name: its text goes. What is within an object has names of its own. */
function withoutText(name: string, value: JsonValue, depth: number): JsonValue {
  if (typeof value === "string") return value === "" ? value : REDACTED;
  if (typeof value === "number") return NUMERIC_NAME.test(name) ? REDACTED : value;
  if (depth >= MAX_DEPTH) return REDACTED;
  if (Array.isArray(value)) {
    return redactArray(value, (element) => withoutText(name, element, depth + 1));
  }
  if (!isJsonObject(value)) return value;
  return mapMembers(
    value,
    (key, member) =>
      CONTENT_KEYS.has(key) || isSecretName(key)
        ? withoutText(name, member, depth + 1)
        : redactValue(member, depth + 1),
  );
}

const BASE64 = /(?:Base64|_base64|_b64)$/;
const MAX_BASE64 = 4 << 20;

/** Base64 of a text with secrets, with the same text without them. */
function redactBase64(encoded: string): string {
  if (encoded.length < 8 || encoded.length > MAX_BASE64) return encoded;
  try {
    const bytes = Uint8Array.from(atob(encoded), (char) => char.charCodeAt(0));
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    const clean = redactText(text);
    if (clean === text) return encoded;
    let binary = "";
    for (const byte of new TextEncoder().encode(clean)) binary += String.fromCharCode(byte);
    return btoa(binary);
  } catch {
    // No base64, or no text.
    return encoded;
  }
}

/** The same value with every string changed. */
function mapStrings(
  value: JsonValue,
  change: (text: string) => string,
  depth: number,
): JsonValue {
  if (typeof value === "string") return change(value);
  if (depth >= MAX_DEPTH) return REDACTED;
  if (Array.isArray(value)) return value.map((element) => mapStrings(element, change, depth + 1));
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map((
      [key, member],
    ) => [key, mapStrings(member ?? null, change, depth + 1)]),
  );
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

const OPTION = /^--?[A-Za-z][\w-]{1,60}$/;

/** A cheap look that most texts do not pass. */
const SUSPICIOUS =
  /sk[-_]|rk_|eyJ|gh[pousr]_|github_pat_|glpat-|npm_|hf_|gsk_|xai-|pypi-|whsec_|shpat_|dop_v1_|hvs\.|SG\.|ya29\.|AKIA|ASIA|AIza|xox|hooks\.slack|AGE-SECRET|BEGIN |auth|bearer|cookie|token|secret|pass|pwd|_pat(?![a-z])|\bpat\b|jwt|dsn|sig|credential|key|webhook|connection|conn|curl|mysql|sshpass|_ur[li]/i;

type Replace = [pattern: RegExp, by: string | ((match: string, ...groups: string[]) => string)];

/** Words that stand where a value would, in code. */
const CODE_WORD =
  /^(?:string|str|number|int|boolean|bool|bytes|any|unknown|undefined|null|none|nil|true|false|void|never|object|required|optional|env|let|const|var)\W*$/i;

const PATTERNS: readonly Replace[] = [
  [
    /(-----BEGIN ([A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?)-----)[\s\S]*?(-----END \2-----|$)/g,
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
    /\b(?:(?:AKIA|ASIA)[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{35}|xox[abporse]-[A-Za-z0-9.-]{10,})/g,
    REDACTED,
  ],
  [
    /\b(?:[sr]k_(?:live|test)_|glpat-|xai-|pypi-|whsec_|shp(?:at|ca|pa|ss)_|dop_v1_|ya29\.|hvs\.)[A-Za-z0-9_-]{10,}/g,
    REDACTED,
  ],
  [/\b(?:npm|hf|gsk)_[A-Za-z0-9]{20,}/g, REDACTED],
  [/\bSG\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}/g, REDACTED],
  [/\bAGE-SECRET-KEY-1[A-Z0-9]{20,}/g, REDACTED],
  [/(hooks\.slack\.com\/(?:services|workflows)\/)[A-Za-z0-9/_-]{8,}/g, `$1${REDACTED}`],
  // Passwords may hold `/` and `@`; what follows a host's port is none.
  [
    /\b([a-z][a-z0-9+.-]{1,20}:\/\/[^\s:@/"']{0,200}:)(?!\/\/|\d{1,5}(?:[/?#\s"']|$))[^\s"'<>]{1,400}@/gi,
    `$1${REDACTED}@`,
  ],
  [/\b([a-z][a-z0-9+.-]{1,20}:\/\/)[^\s:@/"']{12,400}@/gi, `$1${REDACTED}@`],
  [/\b(login\s{1,5}\S{1,200}\s{1,5}password\s{1,5})\S{1,400}/g, `$1${REDACTED}`],
  [
    /(\scurl\b|^curl\b)([^\n|;&]{0,2000}?\s(?:-u|--user|--proxy-user)[\s=]?\s{0,5}["']?[^\s:"']{1,200}:)[^\s"']{1,400}/gm,
    `$1$2${REDACTED}`,
  ],
  [/\b(mysql\w{0,20}\b[^\n|;&]{0,2000}?\s-p)[^\s"'|;&]{1,400}/g, `$1${REDACTED}`],
  [/\b(sshpass\s{1,5}-p\s{0,5})[^\s|;&]{1,400}/g, `$1${REDACTED}`],
  // JSON within text, however often it is escaped.
  [
    /(\\{0,8}["'])([A-Za-z_][\w.-]{0,60})\1(\s{0,5}:\s{0,5})(\\{0,8}["'])((?:(?!\4)[\s\S]){1,8192})\4/g,
    (match, quote, name, colon, open) =>
      isSecretName(name!) ? `${quote}${name}${quote}${colon}${open}${REDACTED}${open}` : match,
  ],
  [
    /(\\{0,8}["'])(?:name|key|header|variable)\1\s{0,5}:\s{0,5}\1([A-Za-z_][\w.-]{0,60})\1\s{0,5},\s{0,20}\1value\1\s{0,5}:\s{0,5}\1((?:(?!\1)[\s\S]){1,8192})\1/g,
    (match, quote, name, value) =>
      isSecretName(name!)
        ? `${match.slice(0, -(value!.length + quote!.length))}${REDACTED}${quote}`
        : match,
  ],
  // The words of a command line, as JSON within text.
  [
    /((\\{0,8}["'])--?([A-Za-z][\w-]{0,60})\2\s{0,5},\s{0,20}\2)((?:(?!\2)[\s\S]){1,8192})\2/g,
    (match, start, quote, name, value) =>
      isSecretName(name!) && !value!.startsWith("-") ? `${start}${REDACTED}${quote}` : match,
  ],
  // Settings, shell assignments, query strings and command-line options.
  [
    /(?<![\w$])([A-Za-z_][\w.-]{0,60})(\s{0,3}[=:]\s{0,3})("[^"\n]{1,4096}"|'[^'\n]{1,4096}')/g,
    (match, name, sign, value) =>
      isSecretName(name!) && !refersTo(value!.slice(1, -1))
        ? `${name}${sign}${value![0]}${REDACTED}${value![0]}`
        : match,
  ],
  [
    /(?<![\w$])([A-Za-z_][\w-]{0,60})=(\([^)\s]{1,400}\)|[^\s"'`&;|<>()\\]{1,4096})/g,
    (match, name, value) =>
      isSecretName(name!) && !refersTo(value!) ? `${name}=${REDACTED}` : match,
  ],
  // A line of YAML, of an ini file, of a header, in a diff or with its number too.
  [
    /^([ \t+-]{0,200}(?:[\w./-]{1,200}[:-]\d{1,7}[:-]\s{0,40})?(?:export\s{1,4}|-\s{1,4})?)([A-Za-z_][\w.-]{0,60})([ \t]{0,20}[:=][ \t]{1,20}|[ \t]{1,20}=[ \t]{0,20})([^\s"'][^\r\n]{0,4096})/gm,
    (match, indent, name, sign, value) =>
      isSecretName(name!) && isPlainValue(value!) ? `${indent}${name}${sign}${REDACTED}` : match,
  ],
  [
    /(?<![\w-])([A-Za-z][\w]{0,30}(?:-[\w]{1,30}){1,6})(:[ \t]{0,5})([^\s"'\\,;]{1,4096})/g,
    (match, name, sign, value) =>
      isSecretName(name!) && !refersTo(value!) ? `${name}${sign}${REDACTED}` : match,
  ],
  [
    /((?<!\S)--?([A-Za-z][\w-]{0,60})\s+)("[^"\n]{1,4096}"|'[^'\n]{1,4096}'|[^\s"'`&;|<>()\\-][^\s"'`&;|<>()\\]{0,4096})/g,
    (match, option, name, value) =>
      isSecretName(name!) && !refersTo(value!.replace(/^["']|["']$/g, ""))
        ? `${option}${REDACTED}`
        : match,
  ],
  [
    /\b((?:set|setx|setenv)\s{1,5}(?:-\w{1,10}\s{1,5}){0,3}([A-Za-z_]\w{0,60})\s{1,5})([^\s;|&]{1,4096})/g,
    (match, start, name, value) =>
      isSecretName(name!) && !refersTo(value!) ? `${start}${REDACTED}` : match,
  ],
];

/** Codex and the libraries that it reads settings with repeat a value that they did not like. */
const REFUSED_VALUE =
  /(invalid (?:type|value|length|character)[^"`\n]{0,60}|unknown variant |did not match[^"`\n]{0,60}|could not parse[^"`\n]{0,60}|failed to parse[^"`\n]{0,60})("(?:[^"\\]|\\.){1,4096}"|`[^`\n]{1,4096}`)/gi;

function isSuspicious(text: string): boolean {
  return SUSPICIOUS.test(text) || (text.includes("@") && text.includes("://"));
}

/** A text without secrets; the very text that was given when it holds none. */
export function redactText(text: string): string {
  if (text.length < 6 || !isSuspicious(text)) return text;
  let clean = text;
  for (const [pattern, by] of PATTERNS) {
    clean = typeof by === "string" ? clean.replace(pattern, by) : clean.replace(pattern, by);
  }
  return clean === text ? text : clean;
}

/** What codex said of itself, without secrets and without the values that it refused. */
export function redactDiagnostic(text: string): string {
  return redactText(
    text.replace(REFUSED_VALUE, (match, start: string, value: string) =>
      // The names of methods are what callers ask for.
      /^`[\w/-]+`$/.test(value) ? match : `${start}${value[0]}${REDACTED}${value[0]}`),
  );
}

/** The same for the data of an error. */
export function redactDiagnosticData(data: JsonValue): JsonValue {
  return mapStrings(redact(data), redactDiagnostic, 0);
}

/** A value that is looked up elsewhere, as in `TOKEN=$CI_TOKEN`, is no secret. */
function refersTo(value: string): boolean {
  return value === REDACTED || value === "$" ||
    /^\$(?:[A-Z_][A-Z0-9_]*|\{[^}]*\}|\([^)]*\)|env:\w+)$/.test(value) ||
    /^(?:\$\{\{.*\}\}|<[\w -]+>)$/.test(value);
}

/** A value as settings have it, and not the rest of a line of code or of prose. */
function isPlainValue(value: string): boolean {
  const text = value.trim().replace(/\s+#.*$/, "");
  if (text.startsWith(REDACTED) && text.length === REDACTED.length) return false;
  if (CODE_WORD.test(text) || refersTo(text)) return false;
  // Prose and code have spaces, brackets or calls; a password seldom has, and is quoted then.
  return !/[\s(){}[\]]/.test(text);
}

// The one table of names that secrets go by: what is redacted, what the agent's commands do not see, and what does not go
// on a command line.

/**
 * Names of environment variables, as patterns of `shell_environment_policy`: `*` stands for any text, letter case does not
 * count. Where a word is part of others (`PAT` of `PATH`, `AUTH` of `GIT_AUTHOR_NAME`) it counts only by itself.
 */
export const SECRET_VARIABLES: readonly string[] = [
  ["*KEY*", "*SECRET*", "*TOKEN*", "*PASSWORD*", "*CREDENTIAL*"],
  [
    "*PASSWD*",
    "*PASSPHRASE*",
    "PASS",
    "*_PASS",
    "*_PASS_*",
    "DBPASS",
    "PGPASS",
    "*_PWD",
    "*_PWD_*",
  ],
  ["PAT", "*_PAT", "*_PAT_*", "AUTH", "*_AUTH", "*AUTHORIZATION*", "*BEARER*", "*JWT*", "*COOKIE*"],
  ["DSN", "*_DSN", "*_DSN_*", "*CONNECTION_STRING*", "*CONNSTR*", "*CONN_STR*", "*WEBHOOK*"],
  // Addresses that usually hold a password.
  ["*DATABASE_URL*", "*DATABASE_URI*", "*DB_URL*", "*DB_URI*", "*POSTGRES*_URL", "*MYSQL*_URL"],
  ["*MONGO*_UR?", "*REDIS*_URL", "*AMQP*_URL", "*RABBITMQ*_URL", "*CLOUDINARY_URL", "*SMTP*_URL"],
].flat();

/** The same as one expression, for names in capitals. */
const SECRET_VARIABLE = new RegExp(
  `^(?:${
    SECRET_VARIABLES.map((pattern) => pattern.replaceAll("*", ".*").replaceAll("?", ".")).join("|")
  })$`,
);

/** Whole names, without their separators and in small letters. */
const NAMES: ReadonlySet<string> = new Set(
  [
    "authorization proxyauthorization cookie cookies setcookie apikey xapikey token accesstoken refreshtoken idtoken",
    "sessiontoken authtoken xauthtoken privatetoken bearertoken bearer secretaccesskey accesskeyid privatekey passphrase",
    "passwd pwd pass auth jwt dsn pat usercode sig xamzsignature xamzsecuritytoken xgoogsignature webhookurl",
    "connectionstring experimentalbearertoken",
  ].join(" ").split(" "),
);
/** A name with one of these words is a secret's. */
const WORDS: ReadonlySet<string> = new Set(
  "secret secrets password passwords passwd passphrase credential credentials apikey jwt cookie cookies"
    .split(" "),
);
/** A name that ends in one of these words is a secret's. */
const LAST_WORDS: ReadonlySet<string> = new Set("token pass pwd pat dsn".split(" "));
const KEY_KINDS: ReadonlySet<string> = new Set(
  "api access private secret signing encryption master service account shared auth".split(" "),
);
/** What a name ends in when it names where a secret is, or how it is kept, and not the secret. */
const ABOUT: ReadonlySet<string> = new Set(
  "store file path dir var vars env name names type kind url uri host count limit usage id ids"
    .split(" "),
);
const ENV_NAME = /^[A-Z][A-Z0-9_]*$/;
const MAX_LENGTH = 100;

/** Whether what stands under this name is a secret. */
export function isSecretName(name: string): boolean {
  if (name.length > MAX_LENGTH) return false;
  if (ENV_NAME.test(name)) return SECRET_VARIABLE.test(name);
  const bare = name.replace(/^_+|_+$/g, "");
  if (NAMES.has(bare.replace(/[-_.\s]/g, "").toLowerCase())) return true;
  const words = bare.replace(/([a-z0-9])([A-Z])/g, "$1 $2").toLowerCase().split(/[^a-z0-9]+/);
  const last = words.at(-1) ?? "";
  if (words.length > 1 && ABOUT.has(last)) return false;
  if (words.some((word) => WORDS.has(word))) return true;
  return LAST_WORDS.has(last) || (last === "key" && KEY_KINDS.has(words.at(-2) ?? ""));
}
