/**
 * Why a turn failed, in one word.
 * @module
 */
import type { TurnFailureKind } from "../../errors/mod.ts";
import { isJsonObject, type JsonObject, type JsonValue, numberOf } from "../../json.ts";

/** A failed turn's error, as the server tells it. */
export interface TurnFailure {
  /** Why. */
  kind: TurnFailureKind;
  /** The server's message. */
  message: string;
  /** HTTP status of the model's answer, or `null`. */
  httpStatus: number | null;
}

/** Kinds by the server's own word for the error. */
const BY_INFO: Readonly<Record<string, TurnFailureKind>> = {
  contextWindowExceeded: "contextWindow",
  usageLimitExceeded: "quotaExceeded",
  sessionBudgetExceeded: "quotaExceeded",
  rateLimitExceeded: "rateLimit",
  serverOverloaded: "overloaded",
  internalServerError: "overloaded",
  unauthorized: "auth",
  badRequest: "badRequest",
  modelNotFound: "badRequest",
  cyberPolicy: "badRequest",
  sandboxError: "sandbox",
  httpConnectionFailed: "network",
  responseStreamConnectionFailed: "network",
  responseStreamDisconnected: "network",
  responseTooManyFailedAttempts: "network",
};

/** Kinds by the status of the model's answer. */
const BY_STATUS: Readonly<Record<number, TurnFailureKind>> = {
  400: "badRequest",
  401: "auth",
  403: "auth",
  404: "badRequest",
  413: "contextWindow",
  422: "badRequest",
  429: "rateLimit",
  500: "overloaded",
  502: "overloaded",
  503: "overloaded",
  504: "overloaded",
  529: "overloaded",
};

/** Kinds by the words of the message, for servers that say only `other`. The first match counts. */
const BY_MESSAGE: readonly (readonly [RegExp, TurnFailureKind])[] = [
  [
    /usage limit|insufficient_quota|exceeded your current quota|quota exceeded|more credits|usage_not_included/i,
    "quotaExceeded",
  ],
  [/context[ _]length|context window|maximum context/i, "contextWindow"],
  [/rate limit|rate_limit/i, "rateLimit"],
  [/overloaded|at capacity|high demand/i, "overloaded"],
  [
    /missing environment variable|incorrect api key|invalid api key|not logged in|unauthorized|authentication/i,
    "auth",
  ],
  [
    /model.*(not found|does not exist)|model_not_found|invalid_request|invalid_prompt/i,
    "badRequest",
  ],
  [/sandbox/i, "sandbox"],
  // The model stopped by itself; another try would stop there as well.
  [/incomplete response/i, "other"],
  // Routing: codex from 0.160 on with a ChatGPT login, where its backend can't be reached.
  [
    /stream disconnected|error sending request|connection (refused|reset|closed)|network|dns|timed? ?out|routing discovery failed/i,
    "network",
  ],
];

/** Classifies the `error` of a failed turn. `codexErrorInfo` is a word, or an object with one. */
export function classifyFailure(error: JsonValue | undefined): TurnFailure {
  const object: JsonObject = isJsonObject(error) ? error : {};
  const said = typeof object["message"] === "string"
    ? object["message"]
    : "the server gave no reason";
  const { word, status } = readInfo(object["codexErrorInfo"]);
  const body = providersMessage(said);
  const httpStatus = status ?? (body === null ? statusInMessage(said) : 400);
  return { kind: kindOf(word, httpStatus, said), message: body ?? said, httpStatus };
}

/** What the provider said, where the message is the body of its answer: 0.104 and 0.169 pass on that of HTTP 400 as it came. */
function providersMessage(message: string): string | null {
  if (!message.startsWith("{")) return null;
  try {
    const { error, detail } = JSON.parse(message);
    const told: unknown = error?.message ?? error?.code ?? error ?? detail;
    return typeof told === "string" && told !== "" ? told : null;
  } catch {
    return null;
  }
}

function kindOf(word: string | null, status: number | null, message: string): TurnFailureKind {
  const named = word === null ? undefined : BY_INFO[word];
  // A network failure with a status was an answer of the model's provider: the status says more.
  if (named !== undefined && named !== "network") return named;
  const text = BY_MESSAGE.find(([pattern]) => pattern.test(message))?.[1];
  if (status !== null) {
    const byStatus = BY_STATUS[status] ??
      (status >= 500 ? "overloaded" : status >= 400 ? "badRequest" : undefined);
    // 429 is a rate limit unless the words say that the quota is used up; 400 may be either, or a full context.
    if (text === "quotaExceeded" && (byStatus === "rateLimit" || status === 400)) return text;
    if (byStatus === "badRequest" && text === "contextWindow") return text;
    if (byStatus !== undefined) return byStatus;
  }
  return text ?? named ?? "other";
}

function readInfo(info: JsonValue | undefined): { word: string | null; status: number | null } {
  if (typeof info === "string") return { word: info === "other" ? null : info, status: null };
  if (!isJsonObject(info)) return { word: null, status: null };
  const word = Object.keys(info)[0] ?? null;
  return { word, status: word === null ? null : numberOf(info, word, "httpStatusCode") };
}

function statusInMessage(message: string): number | null {
  const status = /\b(?:unexpected status|last status:?|status(?: code)?:?) (\d{3})\b/i.exec(message)
    ?.[1];
  return status === undefined ? null : Number(status);
}

/** When the limit resets that stopped a turn, from the account's rate limits; the window that is used up counts. */
export function resetTime(rateLimits: JsonValue | undefined): Date | null {
  if (!isJsonObject(rateLimits)) return null;
  let latest: number | null = null;
  let fullest = -1;
  for (const name of ["primary", "secondary"]) {
    const limit = rateLimits[name];
    if (!isJsonObject(limit)) continue;
    const { usedPercent, resetsAt } = limit;
    if (typeof usedPercent !== "number" || typeof resetsAt !== "number") continue;
    if (usedPercent > fullest || (usedPercent === fullest && resetsAt > (latest ?? 0))) {
      fullest = usedPercent;
      latest = resetsAt;
    }
  }
  return latest === null ? null : new Date(latest * 1000);
}
