/**
 * Logging in and out.
 * @module
 */
import { abortable, longTimeout } from "../../async.ts";
import {
  checkArgument,
  checkOptions,
  type Kind,
  milliseconds,
  required,
  type Shape,
  shape,
  signal,
  token,
  variants,
} from "../../check/mod.ts";
import { ConnectionClosedError, LoginError, PolicyError } from "../../errors/mod.ts";
import { isJsonObject, type JsonObject, present, stringOf } from "../../json.ts";
import { redactText } from "../../redact.ts";
import { readLog } from "../../runtime/log/log_reader.ts";
import type { EventEnvelope, Runtime, RuntimeCore } from "../../runtime/mod.ts";
import type { WaitOptions } from "../profile.ts";
import { WAIT_OPTIONS } from "../profile_shape.ts";
import { assertSupported } from "../thread/thread_host.ts";
import { type Account, readAccount } from "./threads.ts";

/** How to log in. Codex stores the login for every later process of the user. */
export type LoginRequest =
  /** With an API key. For one process alone give the key to `Client.connect` instead. */
  | { type: "apiKey"; apiKey: string }
  /** In a browser on this machine: open {@linkcode Login.verificationUrl}. */
  | { type: "chatgpt" }
  /** In a browser anywhere: open {@linkcode Login.verificationUrl} and type {@linkcode Login.userCode}. Needs codex 0.125. */
  | { type: "deviceCode" };

/** Options of {@linkcode Client.login}. */
export interface LoginOptions extends WaitOptions {
  /** Milliseconds until a login that nobody finishes is given up. Default 900,000. */
  timeoutMs?: number;
}

/** A login that is under way. */
export interface Login extends AsyncDisposable {
  /** The page to open; absent with an API key. */
  readonly verificationUrl?: string;
  /** What to type there; only with `deviceCode`. */
  readonly userCode?: string;
  /**
   * Settles with the account. Rejects with `LoginError` (refused, cancelled, too late, or another login took its place),
   * `ConnectionClosedError` (codex ended), or the signal's reason.
   */
  readonly done: Promise<Account>;
  /** Gives the login up; {@linkcode done} then rejects. Does nothing when it has ended. */
  cancel(): Promise<void>;
}

/** How to log in. */
const loginKind: Kind = required(variants<LoginRequest>(
  {
    apiKey: shape<{ apiKey: string }>({ apiKey: required(token("an API key, without spaces")) }, {
      key: "apiKey",
    }),
    chatgpt: shape<Record<never, never>>({}),
    deviceCode: shape<Record<never, never>>({}),
  },
  (value) => {
    const type = (value as { type?: unknown } | null)?.type;
    return type === "chatgptDeviceCode" ? 'Write `{ type: "deviceCode" }`.' : undefined;
  },
));

/** Options of a login. */
const LOGIN_OPTIONS: Shape = shape<LoginOptions>({ signal, timeoutMs: milliseconds });

/** The caller asks for it by name, which is the consent; what this script may do is looked at all the same. */
const CONSENT = { allowPrivilegedEscalation: true };
const DEFAULT_TIMEOUT_MS = 900_000;
const CANCEL_MS = 10_000;

/** Begins a login. */
export async function login(
  runtime: Runtime,
  core: RuntimeCore,
  request: LoginRequest,
  loginOptions: LoginOptions,
): Promise<Login> {
  checkArgument("login", "request", request, loginKind);
  checkOptions("login", loginOptions, LOGIN_OPTIONS);
  const { signal, timeoutMs = DEFAULT_TIMEOUT_MS } = loginOptions;
  signal?.throwIfAborted();
  refuseHermetic(core, "login");
  if (request.type === "deviceCode") assertSupported(core, "login with deviceCode", "deviceLogin");
  const params: JsonObject = request.type === "deviceCode"
    ? { type: "chatgptDeviceCode" }
    : { ...request };
  // What comes at once is not missed.
  const after = core.log.newest;
  const asked = runtime.request("account/login/start", params, CONSENT)
    .then((begun) => isJsonObject(begun) ? begun : {});
  const answer = await abortable(asked, signal).catch((error) => {
    // What begins for nobody would be stored when somebody finished it.
    asked.then((late) => cancelLogin(core, stringOf(late, "loginId"))).catch(() => {});
    throw error;
  });
  const loginId = stringOf(answer, "loginId");
  if (request.type === "apiKey" || loginId === null) {
    return handle({}, loggedIn(core), () => Promise.resolve());
  }
  const given = new AbortController();
  const late = new AbortController();
  const cancelLimit = longTimeout(() => late.abort(), timeoutMs);
  const stop = AbortSignal.any([
    given.signal,
    late.signal,
    ...(signal === undefined ? [] : [signal]),
  ]);
  const cancelOnServer = () => cancelLogin(core, loginId);
  const done = ended(core, loginId, after, stop).catch(async (error) => {
    if (!stop.aborted) throw error;
    if (!given.signal.aborted) await cancelOnServer().catch(() => {});
    if (signal?.aborted === true) throw signal.reason;
    throw given.signal.aborted ? given.signal.reason : new LoginError(
      `Nobody finished the login within ${timeoutMs} ms; it was given up.`,
      { retryable: true },
    );
  });
  let over = false;
  const settled = () => {
    over = true;
    cancelLimit();
  };
  done.then(settled, settled);
  const url = stringOf(answer, "verificationUrl") ?? stringOf(answer, "authUrl");
  const userCode = stringOf(answer, "userCode");
  const told = {
    ...present({ verificationUrl: url, userCode }),
  };
  return handle(told, done, async () => {
    if (over) return;
    given.abort(new LoginError("The login was cancelled."));
    await cancelOnServer();
  });
}

async function cancelLogin(core: RuntimeCore, loginId: string | null): Promise<void> {
  if (loginId === null) return;
  await core.call("account/login/cancel", { loginId }, { timeoutMs: CANCEL_MS });
}

/** Ends the stored login, or that of this process where it was given to `Client.connect`. */
export async function logout(
  runtime: Runtime,
  core: RuntimeCore,
  options: WaitOptions,
): Promise<void> {
  checkOptions("logout", options, WAIT_OPTIONS);
  if (core.config.apiKey === undefined) refuseHermetic(core, "logout");
  await runtime.request("account/logout", undefined, { ...CONSENT, ...options });
}

/** A hermetic codex uses the user's login by a link: it would change that one, or lose a new one with its home. */
function refuseHermetic(core: RuntimeCore, method: "login" | "logout"): void {
  if (core.config.isolation !== "hermetic") return;
  throw new PolicyError(
    `${method} is refused with \`isolation: "hermetic"\`, whose codex only borrows the user's login. ` +
      'Do it with a client of `isolation: "user"`, or give an `apiKey` to this one.',
    { data: { reason: "hermetic" } },
  );
}

function handle(
  told: Pick<Login, "verificationUrl" | "userCode">,
  done: Promise<Account>,
  cancel: () => Promise<void>,
): Login {
  // Who cancels may have stopped waiting.
  done.catch(() => {});
  return { ...told, done, cancel, [Symbol.asyncDispose]: cancel };
}

async function loggedIn(core: RuntimeCore): Promise<Account> {
  const account = await readAccount(core, {});
  if (account !== null) return account;
  throw new LoginError("Codex took the login and then told of no account.");
}

/** Waits until the server tells the end of a login. */
async function ended(
  core: RuntimeCore,
  loginId: string,
  after: number,
  stop: AbortSignal,
): Promise<Account> {
  const events: AsyncIterableIterator<EventEnvelope> = core.alive.reading(
    readLog(core.log, { after }),
  );
  try {
    for (;;) {
      const next = await abortable(events.next(), stop);
      if (next.done === true) throw lost();
      const { kind, method, message } = next.value;
      const said: JsonObject = isJsonObject(message) ? message : {};
      // Another server knows nothing of it.
      if (kind === "connection" && said["state"] !== "running") throw lost();
      const params = isJsonObject(said["params"]) ? said["params"] : {};
      if (method !== "account/login/completed" || params["loginId"] !== loginId) continue;
      if (params["success"] === true) return await loggedIn(core);
      const why = redactText(stringOf(params, "error") ?? "no reason was told");
      throw new LoginError(`The login did not succeed: ${why}`, { retryable: true });
    }
  } finally {
    await events.return?.();
  }
}

function lost(): ConnectionClosedError {
  return new ConnectionClosedError("Codex ended before the login was finished.");
}
