/**
 * The one table of names that secrets go by: what is redacted, what the agent's commands do not see, and what does not go
 * on a command line.
 * @module
 */

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
