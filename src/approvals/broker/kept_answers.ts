/**
 * What was accepted for the rest of a session. Codex remembers by the names of files, and does not ask again when a link has taken
 * the place of a directory since: it then writes where that leads (0.104 to 0.145). So it is told of one acceptance at a time, and
 * what else was meant is kept here.
 * @module
 */
import { isJsonObject, type JsonValue, keepNewest, memberOf } from "../../json.ts";
import type { RealPath } from "../request/facts.ts";
import type { ApprovalRequest } from "../request/types.ts";

const MAX_FILES = 1000;

/** Decisions that codex writes down in its rules, in their newer and their older names. */
const AMENDMENTS: readonly string[] = [
  "acceptWithExecpolicyAmendment",
  "approved_execpolicy_amendment",
  "applyNetworkPolicyAmendment",
  "network_policy_amendment",
];

/** Whether the result accepts later requests as well. */
export function isForSession(request: ApprovalRequest, result: JsonValue): boolean {
  if (!isJsonObject(result)) return false;
  if (request.type === "command" || request.type === "fileChange") {
    return result["decision"] === "acceptForSession" ||
      result["decision"] === "approved_for_session";
  }
  return request.type === "elicitation" && isJsonObject(result["_meta"]) &&
    result["_meta"]["persist"] !== undefined;
}

/** Whether codex itself goes on with what the result grants, beyond the turn. */
export function isKeptByCodex(request: ApprovalRequest, result: JsonValue): boolean {
  if (isForSession(request, result) || isForEver(request, result)) return true;
  return request.type === "permissions" && isJsonObject(result) && result["scope"] === "session" &&
    isJsonObject(result["permissions"]) && Object.keys(result["permissions"]).length > 0;
}

/** Whether the result has codex never ask again about such commands, or about a host, in any session. */
export function isForEver(request: ApprovalRequest, result: JsonValue): boolean {
  const decision = memberOf(result, "decision");
  return request.type === "command" && isJsonObject(decision) &&
    AMENDMENTS.some((name) => name in decision);
}

/** The same result for this request alone. */
export function onlyOnce(request: ApprovalRequest, result: JsonValue): JsonValue {
  if (!isJsonObject(result) || !isForSession(request, result)) return result;
  if (request.type === "elicitation") return { ...result, _meta: null };
  return { ...result, decision: result["decision"] === "acceptForSession" ? "accept" : "approved" };
}

/** The files whose changes were accepted for the session, and where each leads, by session. */
export class KeptAnswers {
  readonly #files: WeakMap<object, Map<string, string | null>> = new WeakMap();

  /**
   * Keeps that the request was accepted for the session. Another session on its thread asks anew, and so does a turn with
   * another `reach`.
   */
  keep(
    request: ApprovalRequest,
    realPath: RealPath | undefined,
    session: object = this,
    reach = "",
  ): void {
    const files = this.#files.get(session) ?? new Map<string, string | null>();
    this.#files.set(session, files);
    for (const [path, place] of placesOf(request, realPath)) files.set(reach + path, place);
    keepNewest(files, MAX_FILES);
  }

  /** Whether all that the request changes was accepted before, and still lies where it did. */
  covers(
    request: ApprovalRequest,
    realPath: RealPath | undefined,
    session: object = this,
    reach = "",
  ): boolean {
    const files = this.#files.get(session);
    const places = placesOf(request, realPath);
    return places.length > 0 && places.every(([path, place]) => files?.get(reach + path) === place);
  }
}

/** Each file, with its thread, and where it leads, `null` where no links are followed; none when that is not known of all. */
function placesOf(
  request: ApprovalRequest,
  realPath: RealPath | undefined,
): [string, string | null][] {
  const { type, threadId } = request;
  if (type !== "fileChange" || threadId === null || request.grantRoot !== null) return [];
  const places = (request.changes ?? []).flatMap(({ path, movePath }) => [path, movePath ?? path])
    .map((path): [string, string | null] => [`${threadId} ${path}`, realPath?.(path) ?? null]);
  return realPath === undefined || places.every(([, place]) => place !== null) ? places : [];
}
