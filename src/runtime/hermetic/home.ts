/**
 * A home of its own for one codex, which holds the user's login and nothing else of the user's.
 *
 * The login is a link: every codex from 0.104 to 0.169 writes refreshed tokens through it, 0.169 by replacing the file that it
 * leads to. A copy would leave the user with tokens that are used up.
 * @module
 */
import { InvalidArgumentError, PermissionDeniedError, PolicyError } from "../../errors/mod.ts";
import { defined, type JsonValue, plainSettings } from "../../json.ts";
import { treeFiles } from "../../platform/fs.ts";
import {
  atScriptEnd,
  isGranted,
  missingForLinks,
  pathKind,
  pathRules,
  platformName,
  readEnv,
  readTextFile,
  removeTree,
} from "../../platform/mod.ts";
import type { RuntimeConfig } from "../config.ts";
import { configuredHome } from "../diagnose/evidence.ts";
import { Homes } from "./homes.ts";

/** Below the user's own codex home, which is on a disk of the user's and not in a directory that agents may write in. */
export const HOMES = "hermetic";

/** The login, and what codex 0.169 locks while it changes it: two of them must not refresh one token. */
export const LOGIN_FILES: readonly string[] = ["auth.json", "auth.json.lock", "auth.lock"];

/** Where codex keeps its login. */
const STORE = "cli_auth_credentials_store";
const COMMANDS_HOME = "shell_environment_policy.set.HOME";

/** Where the user's own things lie. */
export interface UserPlace {
  /** The user's codex home. */
  codexHome: string;
  /** The user's home; `null` when codex would not know it either. */
  home: string | null;
}

/** A private home, and the configuration with which codex lives in it. */
export interface HermeticHome {
  /** What codex is started with. */
  readonly config: RuntimeConfig;
  /** Removes it. Never rejects; idempotent. */
  remove(): Promise<void>;
}

/** The user's places for a configuration. Rejects with the flags that are missing. */
export function userPlace(config: RuntimeConfig): UserPlace {
  const codexHome = configuredHome(config);
  if (codexHome === null) {
    throw new PermissionDeniedError('`isolation: "hermetic"`, which looks for the login,', [
      "--allow-env=CODEX_HOME,HOME",
    ]);
  }
  const { set = {}, inherit = "all" } = config.env ?? {};
  const passed = typeof inherit === "string" || inherit.includes("HOME");
  return { codexHome, home: set["HOME"] ?? (passed ? readEnv("HOME") : undefined) ?? null };
}

/** Makes a home, after the homes of processes that are gone were removed. Rejects before anything is made. */
export async function openHermeticHome(config: RuntimeConfig): Promise<HermeticHome> {
  refuseOthers(config);
  const user = userPlace(config);
  const { join } = pathRules(platformName());
  const base = join(user.codexHome, HOMES);
  const linked = decideLogin(config, user, base);
  const homes = await Homes.open(base);
  await homes.sweep();
  const made = await homes.make();
  const codexHome = join(made.path, "codex");
  const home = join(made.path, "home");
  const forget = atScriptEnd(() => {
    removeTree(made.path);
    removeTree(made.record);
  });
  let removal: Promise<void> | null = null;
  const remove = () => removal ??= homes.remove(made).finally(forget);
  try {
    const tree = (await treeFiles())!;
    for (const path of [codexHome, home]) await tree.makeDirectory(path);
    for (const name of linked ? LOGIN_FILES : []) {
      await tree.makeLink(join(user.codexHome, name), join(codexHome, name));
    }
  } catch (error) {
    await remove();
    throw error;
  }
  return { config: inHome(config, user, codexHome, home), remove };
}

/** The configuration of a codex in its home; its commands keep the home of the user. Pure. */
export function inHome(
  config: RuntimeConfig,
  user: UserPlace,
  codexHome: string,
  home: string,
): RuntimeConfig {
  const own: Record<string, JsonValue> = plainSettings(config.configOverrides);
  return {
    ...config,
    env: {
      ...config.env,
      set: { ...config.env?.set, HOME: home, CODEX_HOME: codexHome, CODEX_SQLITE_HOME: codexHome },
    },
    configOverrides: {
      [STORE]: "file",
      ...defined({ [COMMANDS_HOME]: user.home ?? undefined }),
      ...own,
    },
  };
}

function refuseOthers(config: RuntimeConfig): void {
  const type = config.transport?.type ?? "stdio";
  const wrong = type !== "stdio"
    ? `transport.type "${type}", whose codex has its home already`
    : platformName() === "win32"
    ? "Windows, where a login can't be linked for certain"
    : null;
  if (wrong === null) return;
  throw new InvalidArgumentError("connect", {
    argument: "isolation",
    received: `"hermetic", with ${wrong}`,
    accepts: 'left out, or "user"',
    hint: "A codex that this library starts itself on Linux or macOS can be hermetic.",
  });
}

/** Whether the user's login is linked; rejects when it can't be used from another home, or this script may not. */
function decideLogin(config: RuntimeConfig, user: UserPlace, base: string): boolean {
  const { join } = pathRules(platformName());
  const what = '`isolation: "hermetic"`';
  const missing = [
    isGranted({ name: "read", path: user.codexHome }) ? "" : `--allow-read=${user.codexHome}`,
    isGranted({ name: "write", path: base }) ? "" : `--allow-write=${base}`,
  ].filter((flag) => flag !== "");
  if (missing.length > 0) throw new PermissionDeniedError(what, missing);
  if (config.apiKey !== undefined) return false;
  const there = pathKind(join(user.codexHome, "auth.json")) !== "missing";
  const chosen = plainSettings(config.configOverrides)[STORE];
  const store = chosen === undefined
    ? storeIn(readTextFile(join(user.codexHome, "config.toml")))
    : "";
  if (store === "keyring" || store === "auto" && !there) {
    throw new PolicyError(
      `${what}: the user's codex keeps its login in the system's keyring (\`${STORE} = "${store}"\`), under a key that ` +
        "belongs to its home, so that no other home can use it. Give an `apiKey` to the client, log in with " +
        `\`${STORE} = "file"\`, or set \`configOverrides: { ${STORE}: "file" }\` when no login is needed.`,
      { data: { reason: "loginInKeyring" } },
    );
  }
  if (!there) return false;
  const unscoped = missingForLinks();
  if (unscoped.length > 0) {
    throw new PermissionDeniedError(
      `${what} without an \`apiKey\`: a link to the user's login, which Deno lets no script with scoped flags make,`,
      unscoped.map((name) => `--allow-${name}`),
    );
  }
  return true;
}

/** Where a config.toml says that logins are kept; `null` when it says nothing. */
export function storeIn(toml: string | null): string | null {
  return /^\s*cli_auth_credentials_store\s*=\s*["'](\w+)["']/m.exec(toml ?? "")?.[1] ?? null;
}
