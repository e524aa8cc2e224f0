/**
 * The threads that codex keeps, and the account it uses.
 * @module
 */
import {
  defined,
  isJsonObject,
  type JsonObject,
  type JsonValue,
  memberOf,
  numberOf,
  objectOf,
  objectsOf,
  stringOf,
} from "../../json.ts";
import { cursorAfter } from "../history/cursor.ts";
import { RpcError } from "../../errors/mod.ts";
import { isRefusal } from "../../protocol/mod.ts";
import type { RuntimeCore } from "../../runtime/mod.ts";
import type { WaitOptions } from "../profile.ts";
import type { ThreadItem } from "../../thread_item.ts";
import { LEAVING_MS, threadInUse, whenClosed } from "../thread/when_closed.ts";
import { threadItem } from "../turn/turn_items.ts";

/** Which threads to list. All given conditions must hold. */
export interface ThreadFilter {
  /** Threads that worked in this directory. Default: anywhere. */
  cwd?: string;
  /** Archived threads instead of the others. Default `false`. */
  archived?: boolean;
  /** Threads whose title or preview holds this text; codex 0.169 and later, older ones ignore it. */
  searchTerm?: string;
  /** Threads of these model providers. Default: of any. */
  modelProviders?: readonly string[];
  /** What to sort by, newest first. Default `"created_at"`. */
  sortKey?: "created_at" | "updated_at";
  /** Threads fetched a request, 100 at most: codex gives no more. Default 50. */
  pageSize?: number;
  /** Stops the listing; it rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** A thread, without its turns. */
export interface ThreadSummary {
  /** The thread. */
  threadId: string;
  /** The beginning of its first prompt. */
  preview: string;
  /** Its name, or `null`. */
  name: string | null;
  /** Where it worked. */
  cwd: string;
  /** The model's provider. */
  modelProvider: string;
  /** When it began. */
  createdAt: Date;
  /** When it last changed. */
  updatedAt: Date;
  /** Its file on the server's machine; `null` for ephemeral threads. */
  path: string | null;
  /** The thread it was forked from, or `null`. */
  forkedFromId: string | null;
  /** Everything the server tells of it. */
  raw: JsonObject;
}

/** One turn of a thread's history. */
export interface TurnSnapshot {
  /** The turn. */
  turnId: string;
  /** How it ended, as the server recorded it; codex before 0.169 records failed turns as completed. */
  status: string;
  /** Its items, where they were asked for. */
  items: ThreadItem[];
}

/** A thread, with its turns where they were asked for. */
export interface ThreadSnapshot extends ThreadSummary {
  /** Its turns, oldest first; empty unless `includeTurns` was given. */
  turns: TurnSnapshot[];
}

/** A model that codex can use. */
export interface Model {
  /** The name to use in profiles. */
  id: string;
  /** The name for people. */
  displayName: string;
  /** What it is good for. */
  description: string;
  /** Whether codex uses it when none is named. */
  isDefault: boolean;
  /** The efforts it knows. */
  efforts: string[];
  /** Everything the server tells of it. */
  raw: JsonObject;
}

/** The account that codex uses. */
export interface Account {
  /** How it logged in, such as `apiKey` or `chatgpt`. */
  type: string;
  /** The account's address, or `null`. */
  email: string | null;
  /** The account's plan, or `null`. */
  planType: string | null;
}

/** One window of a rate limit. */
export interface RateLimitWindow {
  /** How much is used up, in percent. */
  usedPercent: number;
  /** The window's length in milliseconds, or `null`. */
  windowMs: number | null;
  /** When it begins anew, or `null`. */
  resetsAt: Date | null;
}

/** The account's rate limits. */
export interface RateLimits {
  /** The short window, or `null`. */
  primary: RateLimitWindow | null;
  /** The long window, or `null`. */
  secondary: RateLimitWindow | null;
  /** Everything the server tells of them. */
  raw: JsonObject;
}

/** What to read of a thread. */
export interface ReadThreadOptions {
  /** Whether its turns are read as well. Default `false`. */
  includeTurns?: boolean;
  /** Gives up waiting; the call rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** Reads one thread. */
export async function readThread(
  core: RuntimeCore,
  threadId: string,
  options: ReadThreadOptions,
): Promise<ThreadSnapshot> {
  const { includeTurns = false, signal } = options;
  const read = (includeTurns: boolean) =>
    core.call("thread/read", { threadId, includeTurns }, defined({ signal }));
  const result = await read(includeTurns).catch(async (error) => {
    // The turns of a thread that has none yet can't be asked for while it is loaded (0.104; 0.152: "not supported yet").
    const none = includeTurns && error instanceof RpcError &&
      (error.reason === "noThread" || isRefusal(error, "notOfThisThread"));
    const thread = none ? await read(false).catch(() => null) : null;
    if (thread === null) throw error;
    if (memberOf(thread, "thread", "status", "type") !== "notLoaded") return thread;
    // 0.169 says the same for a moment of one that was released.
    return await whenClosed(() => read(true), signal, LEAVING_MS, "threadGone");
  });
  const thread = objectOf(result, "thread") ?? {};
  return { ...toSummary(thread), turns: objectsOf(thread, "turns").map(toTurn) };
}

/**
 * Calls something about a thread in the history. Codex 0.169 answers some methods with "not found" for a moment after the
 * thread was released, though it is there, and calls it written to: it is asked, and the call made again.
 */
export async function callOnReleased(
  core: RuntimeCore,
  method: "thread/archive" | "thread/delete" | "thread/name/set",
  params: JsonObject & { threadId: string },
  options: WaitOptions,
): Promise<void> {
  const call = () => core.call(method, params, options);
  try {
    await call();
  } catch (error) {
    if (isRefusal(error, "threadInUse")) {
      await whenClosed(call, options.signal, LEAVING_MS, "threadInUse").catch((error) => {
        throw threadInUse(error, params.threadId);
      });
      return;
    }
    if (!isRefusal(error, "threadLeaving")) throw error;
    await readThread(core, params.threadId, defined({ signal: options.signal })).catch(() => {
      throw error;
    });
    await whenClosed(call, options.signal, LEAVING_MS, "threadLeaving");
  }
}

/** Lists the models, fetching page after page. */
export async function listModels(core: RuntimeCore, options: WaitOptions): Promise<Model[]> {
  const models: Model[] = [];
  let cursor: string | null = null;
  do {
    const page: JsonValue = await core.call("model/list", { cursor }, options);
    if (!isJsonObject(page)) break;
    models.push(...objectsOf(page, "data").map(toModel));
    cursor = cursorAfter(page, cursor);
  } while (cursor !== null);
  return models;
}

/** Reads the account, or `null` when nobody is logged in. */
export async function readAccount(
  core: RuntimeCore,
  options: WaitOptions,
): Promise<Account | null> {
  const result = await core.call("account/read", {}, options);
  const account = objectOf(result, "account");
  if (account === null) return null;
  return {
    type: stringOf(account, "type") ?? "unknown",
    email: stringOf(account, "email"),
    planType: stringOf(account, "planType"),
  };
}

/** Reads the account's rate limits; rejects with `RpcError` when nobody is logged in. */
export async function readRateLimits(
  core: RuntimeCore,
  options: WaitOptions,
): Promise<RateLimits> {
  const result = await core.call("account/rateLimits/read", undefined, options);
  const raw = isJsonObject(result) && isJsonObject(result["rateLimits"])
    ? result["rateLimits"]
    : {};
  return { primary: toWindow(raw["primary"]), secondary: toWindow(raw["secondary"]), raw };
}

/** A thread as callers see it. */
export function toSummary(thread: JsonObject): ThreadSummary {
  return {
    threadId: stringOf(thread, "id") ?? "",
    preview: stringOf(thread, "preview") ?? "",
    name: stringOf(thread, "name"),
    cwd: stringOf(thread, "cwd") ?? "",
    modelProvider: stringOf(thread, "modelProvider") ?? "",
    createdAt: new Date((numberOf(thread, "createdAt") ?? 0) * 1000),
    updatedAt: new Date((numberOf(thread, "updatedAt") ?? 0) * 1000),
    path: stringOf(thread, "path"),
    forkedFromId: stringOf(thread, "forkedFromId"),
    raw: thread,
  };
}

/** A turn as callers see it. */
export function toTurn(turn: JsonObject): TurnSnapshot {
  return {
    turnId: stringOf(turn, "id") ?? "",
    status: stringOf(turn, "status") ?? "unknown",
    items: objectsOf(turn, "items").map(threadItem),
  };
}

function toModel(model: JsonObject): Model {
  const efforts = objectsOf(model, "supportedReasoningEfforts").map((each) =>
    stringOf(each, "reasoningEffort") ?? ""
  );
  return {
    id: stringOf(model, "model") ?? stringOf(model, "id") ?? "",
    displayName: stringOf(model, "displayName") ?? "",
    description: stringOf(model, "description") ?? "",
    isDefault: model["isDefault"] === true,
    efforts: efforts.filter((effort) => effort !== ""),
    raw: model,
  };
}

function toWindow(value: JsonValue | undefined): RateLimitWindow | null {
  if (!isJsonObject(value)) return null;
  const minutes = value["windowDurationMins"];
  const resetsAt = value["resetsAt"];
  return {
    usedPercent: numberOf(value, "usedPercent") ?? 0,
    windowMs: typeof minutes === "number" ? minutes * 60_000 : null,
    resetsAt: typeof resetsAt === "number" ? new Date(resetsAt * 1000) : null,
  };
}
