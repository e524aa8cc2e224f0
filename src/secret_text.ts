/**
 * What a secret looks like in a text, and under which names secrets stand.
 * @module
 */
import { hideInJson, lazily } from "./json.ts";

/** What stands in the place of a secret. */
export const REDACTED: string = "[redacted]";

/** A cheap look that most texts do not pass. */
const SUSPICIOUS =
  /sk[-_]|sess-|rk_|eyJ|gh[pousr]_|glpat-|npm_|hf_|gsk_|xai-|pypi-|whsec_|shpat_|dop_v1_|hvs\.|SG\.|ya29\.|AKIA|ASIA|AIza|LS0t|xox|hooks\.slack|auth|bearer|cookie|token|secret|pass|pwd|_pat(?![a-z])|(?:\b|\\[nrt])pat\b|jwt|dsn|sig|credential|key|webhook|conn|curl|mysql|mariadb|_ur[li]|redis-cli|\blogin\b|sqlcmd|\bbcp\b|[it]sql|ldap|mongo|mosquitto|\b(?:un)?zip\b|ipmitool|openssl|sudo|vault|smb|rpcclient|\t(?:TRUE|FALSE)\t|:\\?\/\\?\/\S{1,602}@/i;

type Replace = [pattern: RegExp, by: string | ((match: string, ...groups: string[]) => string)];

/** Words that stand where a value would, in code. */
const CODE_WORD =
  /^(?:string|str|number|int|boolean|bool|bytes|any|unknown|undefined|null|none|nil|true|false|void|never|object|required|optional|env|let|const|var)\W*$/i;

/** What stands between the words of a command, in a line or as a list in JSON, however often that is escaped. */
const GAP = String.raw`[\s"',\\]`;
/** What a command holds: also lines that go on, a query (`?a=1&b=2`) and what a header adds (`; charset=utf-8`). */
const HELD = String.raw`(?:[^\n|;&]|(?<=[\\\`]\r?)\n|[;&](?=\s?[\w.-]{1,40}=))`;
/** A program and what stands behind it, up to an option. Where it stands there again, that one is looked at by itself. */
const call = (programs: string) => {
  const program = String.raw`(?<![\w-])(?:${programs})(?![\w-])`;
  return String.raw`${program}(?:(?!${program})${HELD}){0,2000}?${GAP}`;
};
/** A quoted value, or one word that is no option. */
const VALUE = String
  .raw`\s{1,5}"[^"\n]{1,400}"|\s{1,5}'[^'\n]{1,400}'|[\s"',\\=]{0,8}[^\s"',=|;&\\-][^\s"'|;&\\]{0,400}`;

const SECRET = String.raw`[^\s"'\\]{1,2000}`;

/**
 * Secrets that stand behind no word for them: by their programs, what comes before them, and how they end where that is not
 * as in a value.
 */
const PASSED: readonly (readonly [programs: string, before: string, secret?: string])[] = [
  ["redis-cli", "-a"],
  [
    "docker|podman|nerdctl|buildah|skopeo|helm|oras|crane",
    String.raw`login${GAP}(?:${HELD}{0,200}?${GAP})?-p`,
  ],
  ["sqlcmd|bcp|t?isql|tsql", "-[PS]?P"],
  [String.raw`ldap\w{2,10}`, "-w"],
  [String.raw`mongo\w{0,10}`, "-p"],
  [String.raw`mosquitto_\w{2,4}`, "-P"],
  ["ipmitool|zip|unzip", "-P"],
  ["sshpass", "-p"],
  ["openssl", `-(?:[kK]|hmac)(?=${GAP})`],
  [
    "curl",
    String.raw`(?:-[A-Za-z]{0,8}[uU]|--user|--proxy-user)[\s"',\\=]{0,8}[^\s:"'\\]{1,200}:`,
    SECRET,
  ],
  [
    "curl",
    String.raw`-[A-Za-z]{0,8}b[\s,\\]{0,8}["'][\w.-]{1,100}=`,
    String.raw`[^"'\n\\]{1,2000}`,
  ],
  ["curl", String.raw`-[A-Za-z]{0,8}b\s{0,5}[\w.-]{1,100}=`, SECRET],
  [String.raw`mysql\w{0,20}|mariadb[\w-]{0,20}`, "-p", SECRET],
  ["smbclient|rpcclient|smbget", String.raw`-U[\s"',\\]{0,8}[^\s%"'\\]{1,100}%`, SECRET],
  // The last word of `htpasswd -b file user password`.
  [
    "htpasswd",
    String.raw`-\w{0,8}b\w{0,8}(?:${GAP}{1,8}[^\s"',|;&\\]{1,200}){1,4}?${GAP}{1,8}`,
    String.raw`[^\s"'|;&>\\]{1,400}(?=["'\\]{0,4}(?:\]|\s{0,5}(?:[|;&>\n]|$)))`,
  ],
];

const tellers = lazily(() =>
  new RegExp(String.raw`^(?:.*\/)?(?:vault|${PASSED.map(([programs]) => programs).join("|")})$`)
);

/** Whether it is a program that is told secrets without a word for it. */
export function takesSecrets(program: string): boolean {
  return tellers().test(program);
}

const optionValue = (match: string, start: string, value: string): string => {
  const [, open = "", text = ""] = /^([\s"',\\=]*["']?)([\s\S]*?)["']?$/.exec(value) ?? [];
  if (refersTo(text)) return match;
  const close = /["']$/.test(value) ? value.at(-1) : "";
  return `${start}${open}${REDACTED}${close}`;
};

/** A name behind an escaped end of a line, which may also be the beginning of the name: `\token`. */
const named = (escape = "", name: string): string =>
  escape.length < 2 && isSecretName(escape + name) ? escape + name : name;

/** Hides the last group, which the offset and the whole text follow; the second one is a name. */
const valueIf =
  (hides: (value: string) => boolean) =>
  (match: string, before: string, name: string, ...rest: string[]): string => {
    const value = rest.at(-3)!;
    return isSecretName(named(before, name)) && hides(value)
      ? match.slice(0, -value.length) + REDACTED
      : match;
  };
const everyValue = valueIf(() => true);
const plainValue = valueIf(isPlainValue);
const anyValue = valueIf((value) => !refersTo(value.replace(/^["']|["']$/g, "")));

const patterns = lazily((): readonly Replace[] => [
  [
    /(-----BEGIN ([A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?)-----)[\s\S]*?(-----END \2-----|$)/g,
    `$1${REDACTED}$3`,
  ],
  [/\b(bearer\s+)[\w.~+/=-]{6,}/gi, `$1${REDACTED}`],
  [
    /\b((?:proxy-)?authorization\\*["']?\s{0,5}[:=]\s{0,5}\\*["']?)(?:(?:basic|digest|token|bearer)\s+)?[^\s"'\\,;]+/gi,
    `$1${REDACTED}`,
  ],
  [/\b((?:set-)?cookie:\s{0,5})[^\r\n"']+/gi, `$1${REDACTED}`],
  // The last ones are private keys in base64, as Kubernetes has them; certificates and public keys stay.
  [
    /\b(?:(?:sk|sess)-[\w-]{8,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|SG(?:\.[\w-]{10,}){2}|(?:gh[pousr]|npm|hf|gsk)_[A-Za-z\d]{20,}|github_pat_\w{20,}|AGE-SECRET-KEY-1[A-Z\d]{20,}|A(?:KI|SI)A[\dA-Z]{16}|AIza[\w-]{35}|xox[abporse]-[A-Za-z\d.-]{10,}|(?:[sr]k_(?:live|test)_|glpat-|xai-|pypi-|whsec_|shp(?:at|ca|pa|ss)_|dop_v1_|ya29\.|hvs\.)[\w-]{10,}|LS0tLS1CRUdJTi(?!BD|BQVU)[A-Za-z\d+/]{40,}=*)/g,
    REDACTED,
  ],
  [/(hooks\.slack\.com\/(?:services|workflows)\/)[\w/-]{8,}/g, `$1${REDACTED}`],
  // Passwords may hold `/` and `@`; what follows a host's port is none.
  [
    /\b([a-z][a-z0-9+.-]{1,20}:\\?\/\\?\/)(?:([^\s:@/"']{0,200}:)(?!\\?\/\\?\/|\d{1,5}(?:[/\\?#\s"']|$))[^\s"'<>]{1,400}|[^\s:@/"']{12,400})@/gi,
    `$1$2${REDACTED}@`,
  ],
  [/\b(login\s{1,5}\S{1,200}\s{1,5}password\s{1,5})\S{1,400}/g, `$1${REDACTED}`],
  ...PASSED.map(([programs, before, secret = VALUE]): Replace => [
    new RegExp(`(${call(programs)}${before})(${secret})`, "g"),
    optionValue,
  ]),
  [
    new RegExp(
      String
        .raw`((?<![\w-])vault${GAP}{1,8}(?:login|token)${GAP}{1,8}(?:(?:lookup|revoke|renew|capabilities|-[\w-]{1,40})${GAP}{1,8}){0,4})(?=[^\s"'\\]{0,400}\d)([^\s"'=\\-][^\s"'=\\]{7,400})`,
      "g",
    ),
    optionValue,
  ],
  [/(-pass(?:in|out)?[\s"',\\]{1,8}pass:)[^\s"'\\]{1,400}/g, `$1${REDACTED}`],
  // What is piped into something that reads a secret: `echo x | sudo -S y`.
  [
    /((?<![\w-])(?:echo|printf)\s{1,5}(?:-\w{1,3}\s{1,5}|\S{0,9}%s\S{0,9}\s{1,5}){0,2})("[^"\n]{1,400}"|'[^'\n]{1,400}'|[^\s"'|;&]{1,400})(?=\s{0,5}\|\s{0,5}[^\n|;&]{0,200}?(?:-\S{0,20}(?:stdin|token)|sudo\s(?:-\w+\s{1,5}){0,3}-\w{0,5}S|chpasswd)(?![\w-]))/g,
    optionValue,
  ],
  // A line of a cookie jar.
  [
    /^((?:#HttpOnly_)?[\w.-]{1,200}\t(?:TRUE|FALSE)\t[^\t\n]{1,400}\t(?:TRUE|FALSE)\t\d{1,12}\t[^\t\n]{1,200}\t)[^\r\n]{1,4096}/gm,
    `$1${REDACTED}`,
  ],
  [
    /(\\{0,8}["'])(?:name|key|header|variable)\1\s{0,5}:\s{0,5}\1([A-Za-z_][\w.-]{0,60})(\1\s{0,5},\s{0,20}\1value\1\s{0,5}:\s{0,5}\1)((?:(?!\1)[\s\S]){1,8192})(?=\1)/g,
    everyValue,
  ],
  // The same in YAML and XML: `- name: DB_PASSWORD`, `value: …` below it.
  [
    /(\b(?:name|key)(?::[ \t]{1,5}|=)\\{0,8}["']?)([A-Za-z_][\w.-]{0,60})(\\{0,8}["']?(?:\s|\\[nr])[\s+-]{0,200}value(?::[ \t]{1,5}|=)\\{0,8}["']?)((?:[^\r\n"\\]|\\(?![nr"'\\])){1,4096})/g,
    anyValue,
  ],
  // In an address within another one.
  [
    /(%[\dA-F]{2}|\b)([A-Za-z_][\w-]{0,60})%3D((?:(?!%26|%23)[\w.~+*%-]){1,4096})/gi,
    everyValue,
  ],
  // The words of a command line, as JSON within text.
  [
    /(\\{0,8}["'])--?([A-Za-z][\w-]{0,60})(\1\s{0,5},\s{0,20}\1)((?!-)(?:(?!\1)[\s\S]){1,8192})(?=\1)/g,
    everyValue,
  ],
  // Settings, shell assignments, query strings and command-line options.
  // Behind `"a":"` stands an escaped quote within that string.
  ...[`["']`, String.raw`\\{1,8}["']`].map((quote): Replace => [
    new RegExp(
      String
        .raw`(?<![\w$])((?<=\\)[nrt])?([A-Za-z_][\w.-]{0,60})(["']?\]?\s{0,3}(?:=>|[=:])\s{0,3}(${quote}))((?:(?!\4)[^\n]){1,4096})(?=\4)`,
      "g",
    ),
    anyValue,
  ]),
  [
    /(?<![\w$])((?<=\\)(?:[nrt]|u0026))?([A-Za-z_][\w-]{0,60})(?:=|\\u003d)(\([^)\s]{1,400}\)|[^\0\s"'`&;|<>()\\]{1,4096})/g,
    (match, escape, name, value) =>
      match.slice(0, -value!.length) + assigned(named(escape, name!), value!),
  ],
  [
    /(<)([A-Za-z_][\w.-]{0,60})(>)([^<\n]{1,4096})(?=<\/\2>)/g,
    anyValue,
  ],
  // A line of YAML, of an ini file, of a header, in a diff or with its number too; and in a string, where the ends of lines
  // are escaped: `--header 'apikey: …'`.
  ...[
    [String.raw`^[ \t+-]{0,200}(?:[\w./-]{1,200}[:-]\d{1,7}[:-]\s{0,40})?`, ""],
    [String.raw`(?<=\\n|["'])[ \t+-]{0,200}`, String.raw`"'\\`],
  ].map(([start, end]): Replace => [
    new RegExp(
      String
        .raw`(${start}(?:export\s{1,4}|-\s{1,4})?)([A-Za-z_][\w.-]{0,60})([ \t]{0,20}[:=][ \t]{1,20}|[ \t]{1,20}=[ \t]{0,20})([^\s"'${end}][^\r\n${end}]{0,4096})`,
      "gm",
    ),
    plainValue,
  ]),
  [
    /(?<![\w-])()([A-Za-z]\w{0,30}(?:-\w{1,30}){1,6})(:[ \t]{0,5})([^\s"'\\,;]{1,4096})/g,
    anyValue,
  ],
  [
    /((?<!\S)--?)([A-Za-z][\w-]{0,60})(\s+)("[^"\n]{1,4096}"|'[^'\n]{1,4096}'|[^\s"'`&;|<>()\\-][^\s"'`&;|<>()\\]{0,4096})/g,
    anyValue,
  ],
  // A row with a name and a value.
  [
    /((?<![\w$\\./-])|(?<=\\[nt]))([A-Za-z_][\w.-]{0,60})(\t{1,8}|\\{1,8}t)([^\t\r\n"'\\]{1,4096})/g,
    plainValue,
  ],
  [
    /\b((?:set|setx|setenv)\s{1,5}(?:-\w{1,10}\s{1,5}){0,3})([A-Za-z_]\w{0,60})(\s{1,5})([^\s;|&]{1,4096})/g,
    anyValue,
  ],
]);

/** Codex and the libraries that it reads settings with repeat a value that they did not like. */
const REFUSED_VALUE =
  /(invalid (?:type|value|length|character)[^"`\n]{0,60}|unknown variant |did not match[^"`\n]{0,60}|could not parse[^"`\n]{0,60}|failed to parse[^"`\n]{0,60})("(?:[^"\\]|\\.){1,4096}"|`[^`\n]{1,4096}`)/gi;

const JSON_NAMES = {
  hides: isSecretName,
  covers: coversTexts,
  hide: (name: string, text: string) => refersTo(text) ? text : hidden(name, text),
};

/** Whether the text may hold a secret: a cheap look. */
export function isSuspicious(text: string): boolean {
  return SUSPICIOUS.test(text);
}

// deno-lint-ignore no-control-regex
const COLOURS = /(?:\x1b|\\u001b)\[[\d;:?]*[a-z]/gi;

/** A text as terminals show it, since colours stand between a name and its value. */
export function withoutColours(text: string): string {
  return text.replace(COLOURS, "");
}

/**
 * A text without secrets, nor the colours of one with some; the very text that was given when it holds none; nothing of one
 * that can't be looked through.
 */
export function redactText(text: string): string {
  const plain = withoutColours(text);
  if (plain.length < 6 || !isSuspicious(plain)) return text;
  try {
    let clean = hideInJson(redactBlocks(plain), JSON_NAMES);
    for (const [pattern, by] of patterns()) {
      clean = typeof by === "string" ? clean.replace(pattern, by) : clean.replace(pattern, by);
    }
    return clean === plain ? text : clean;
  } catch {
    // Engines give up where one word has millions of characters.
    return REDACTED;
  }
}

/** The head of what YAML has on the lines below a name: `password: |`, `password:`. */
const BLOCK =
  /^(?:.{0,4096}\\{0,8}["'])?([ \t+-]{0,200}?)(["']?)([A-Za-z_][\w.-]{0,60})\2[ \t]{0,5}:(?:[ \t]{1,5}([|>])[-+\d]{0,2})?[ \t]{0,20}(?:#.*)?$/;
const MAYBE_BLOCK = /:[ \t]{0,20}(?:[|>#]|\r?\n|\\{1,8}[nr])/;
const LINE_END = /(\r?\n|\\{1,8}n)/;
/** A line of a mapping or a list: what comes before its value, and the value, or what is between its quotes. */
const LEAF =
  /^([+-]?[ \t]{0,200}(?:-[ \t]{1,5}){0,5}(?:\\{0,8}["']?[\w./-]{1,100}\\{0,8}["']?[ \t]{0,5}:[ \t]{1,5})?)(?:(\\{0,8}["'])(.{1,4096}?)\2|([^\s"'\\#|>{}[\]][^"'\\]{0,4096}))/;

/** The text without what YAML has below a secret's name, also where the ends of lines are escaped. */
function redactBlocks(text: string): string {
  if (!MAYBE_BLOCK.test(text)) return text;
  // Lines and their ends, in turns.
  const parts = text.split(LINE_END);
  const kept: string[] = [];
  for (let i = 0; i < parts.length; i += 2) {
    kept.push(parts[i]!, parts[i + 1] ?? "");
    const head = parts[i]!.includes(":") ? BLOCK.exec(parts[i]!) : null;
    if (head === null || !coversTexts(head[3]!)) continue;
    const last = endOfBlock(parts, i, head[1]!);
    if (last === i) continue;
    if (head[4] === undefined) {
      for (let j = i + 2; j <= last; j += 2) {
        kept.push(withoutLeaf(head[3]!, parts[j]!), parts[j + 1] ?? "");
      }
    } else {
      const indent = /^[+-]?[ \t]*/.exec(parts[i + 2]!)?.[0] ?? "";
      kept.push(`${indent}${REDACTED}`, parts[last + 1] ?? "");
    }
    i = last;
  }
  return kept.join("");
}

/** The last line below a head that has this indent. */
function endOfBlock(parts: readonly string[], at: number, indent: string): number {
  const below = (line: string) =>
    line.replace(/^[+-]/, " ").search(/\S/) > indent.length ||
    (line.startsWith(indent) && line.startsWith("- ", indent.length));
  let last = at;
  for (let j = at + 2; j < parts.length; j += 2) {
    if (below(parts[j]!)) last = j;
    else if (parts[j]!.trim() !== "") break;
  }
  return last;
}

/** A line with its value hidden; a name alone, code and prose stay. */
function withoutLeaf(name: string, line: string): string {
  return line.replace(LEAF, (match, start: string, quote = "", quoted = "", plain = "") => {
    if (quote !== "") {
      return refersTo(quoted) ? match : `${start}${quote}${hidden(name, quoted)}${quote}`;
    }
    const isName = /^[\w./-]{1,100}:\s*$/.test(plain);
    return isName || !isPlainValue(plain) ? match : `${start}${hidden(name, plain)}`;
  });
}

/** What codex said of itself, without secrets and without the values that it refused. */
export function redactDiagnostic(text: string): string {
  return redactText(
    text.replace(REFUSED_VALUE, (match, start: string, value: string) =>
      // The names of methods are what callers ask for.
      /^`[\w/-]+`$/.test(value) ? match : `${start}${value[0]}${REDACTED}${value[0]}`),
  );
}

/** A value that is looked up elsewhere, as in `TOKEN=$CI_TOKEN`, is no secret. */
function refersTo(value: string): boolean {
  return value === REDACTED || value === "$" ||
    /^\$(?:[A-Z_][A-Z0-9_]*|\{[^}]*\}|\([^)]*\)|env:\w+)$/.test(value) ||
    /^(?:\$\{\{.*\}\}|<[\w -]+>)$/.test(value);
}

/** The value of an assignment, which may be one itself: `--env=TOKEN=…`. */
function assigned(name: string, value: string): string {
  if (isSecretName(name)) return refersTo(value) ? value : REDACTED;
  const inner = /^([A-Za-z_][\w-]{0,60})=(.+)$/s.exec(value);
  return inner === null ? value : `${inner[1]}=${assigned(inner[1]!, inner[2]!)}`;
}

/** A value as settings have it, and not the rest of a line of code or of prose. */
function isPlainValue(value: string): boolean {
  const text = value.trim().replace(/\s+#.*$/, "");
  if (text.startsWith(REDACTED) && text.length === REDACTED.length) return false;
  if (CODE_WORD.test(text) || /^[|>][-+\d]*$/.test(text) || refersTo(text)) return false;
  // Prose and code have spaces, brackets or calls; a password seldom has, and is quoted then.
  return !/[\s(){}[\]]/.test(text);
}

// The one table of names that secrets go by: what is redacted, what the agent's commands do not see, and what does not go
// on a command line.

/**
 * Names of environment variables, as patterns of `shell_environment_policy`: `*` stands for any text, letter case does not
 * count. Where a word is part of others (`PAT` of `PATH`, `AUTH` of `GIT_AUTHOR_NAME`) it counts only by itself.
 */
export const SECRET_VARIABLES: readonly string[] = (
  "*KEY* *SECRET* *TOKEN* *PASSWORD* *CREDENTIAL* " +
  "*PASSWD* *PASSPHRASE* PASS *_PASS *_PASS_* DBPASS PGPASS *_PWD *_PWD_* " +
  "PAT *_PAT *_PAT_* AUTH *_AUTH *AUTHORIZATION* *BEARER* *JWT* *COOKIE* " +
  "DSN *_DSN *_DSN_* *CONNECTION_STRING* *CONNSTR* *CONN_STR* *WEBHOOK* " +
  // Addresses that usually hold a password.
  "*DATABASE_URL* *DATABASE_URI* *DB_URL* *DB_URI* *POSTGRES*_URL *MYSQL*_URL " +
  "*MONGO*_UR? *REDIS*_URL *AMQP*_URL *RABBITMQ*_URL *CLOUDINARY_URL *SMTP*_URL"
).split(" ");

/** The same as one expression, for names in capitals. */
const secretVariable = lazily(() =>
  new RegExp(
    `^(?:${
      SECRET_VARIABLES.map((pattern) => pattern.replaceAll("*", ".*").replaceAll("?", ".")).join(
        "|",
      )
    })$`,
  )
);

function words(text: string): ReadonlySet<string> {
  return new Set(text.split(" "));
}

/** Whole names that no word below tells, without their separators and in small letters. */
const NAMES = words(
  "authorization proxyauthorization setcookie apikey xapikey accesstoken refreshtoken idtoken " +
    "sessiontoken authtoken xauthtoken privatetoken bearertoken secretaccesskey accesskeyid privatekey passphrase " +
    "auth usercode sig xamzsignature xgoogsignature webhookurl connectionstring sharedaccesssignature",
);
/** A name with one of these words is a secret's. */
const WORDS = words(
  "secret secrets password passwords passwd passphrase credential credentials apikey jwt cookie cookies",
);
/** A name that ends in one of these words is a secret's. */
const LAST_WORDS = words("token pass pwd pat dsn bearer");
const KEY_KINDS = words(
  "api access private secret signing encryption master service account shared auth",
);
/** What a name ends in when it names where a secret is, or how it is kept, and not the secret. */
const ABOUT = words(
  "store file path stdin dir var vars env name names type kind url uri host count limit usage id ids",
);
const ENV_NAME = /^[A-Z][A-Z0-9_]*$/;
const MAX_LENGTH = 100;

/** Whether what stands under this name is a secret. */
export function isSecretName(name: string): boolean {
  if (name.length > MAX_LENGTH) return false;
  if (ENV_NAME.test(name)) return secretVariable().test(name);
  const bare = name.replace(/^_+|_+$/g, "");
  if (NAMES.has(bare.replace(/[-_.\s]/g, "").toLowerCase())) return true;
  const parts = bare.replace(/([a-z0-9])([A-Z])/g, "$1 $2").toLowerCase().split(/[^a-z0-9]+/);
  const last = parts.at(-1) ?? "";
  if (parts.length > 1 && ABOUT.has(last)) return false;
  if (parts.some((word) => WORDS.has(word))) return true;
  return LAST_WORDS.has(last) || (last === "key" && KEY_KINDS.has(parts.at(-2) ?? ""));
}

/** Under a name of several a number is a count. */
const COUNT = /^[\d.,_ ]+[kKmM%]?$/;

/** Whether every text below this name is a secret. */
export function coversTexts(name: string): boolean {
  return isSecretName(name) || isOfSeveral(name);
}

/** What stands in the place of a text below such a name. */
export function hidden(name: string, text: string): string {
  return text === "" || (COUNT.test(text) && isOfSeveral(name)) ? text : REDACTED;
}

/** Whether it names several secrets, by a name of one. */
function isOfSeveral(name: string): boolean {
  return /s$/i.test(name) && isSecretName(name.slice(0, -1)) && !isSecretName(name);
}
