/**
 * What was accepted for the rest of a session. Codex remembers by the names of files, and does not ask again when a link has taken
 * the place of a directory since: it then writes where that leads (0.104 to 0.145). So it is told of one acceptance at a time, and
 * what else was meant is kept here.
 * @module
 */
import { isJsonObject, type JsonValue } from "../../json.ts";
import type { RealPath } from "../request/facts.ts";
import type { ApprovalRequest } from "../request/types.ts";

const MAX_THREADS = 1000;
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

/** Whether the result has codex never ask again about such commands, or about a host, in any session. */
export function isForEver(request: ApprovalRequest, result: JsonValue): boolean {
  const decision = isJsonObject(result) ? result["decision"] : undefined;
  return request.type === "command" && isJsonObject(decision) &&
    AMENDMENTS.some((name) => name in decision);
}

/** The same result for this request alone. */
export function onlyOnce(request: ApprovalRequest, result: JsonValue): JsonValue {
  if (!isJsonObject(result) || !isForSession(request, result)) return result;
  if (request.type === "elicitation") return { ...result, _meta: null };
  return { ...result, decision: result["decision"] === "acceptForSession" ? "accept" : "approved" };
}

/** The files whose changes were accepted for the session, by thread. */
export class KeptAnswers {
  readonly #files: Map<string, Map<string, string | null>> = new Map();

  /** Keeps that the request was accepted for the session. */
  keep(request: ApprovalRequest, realPath: RealPath | undefined): void {
    const { threadId } = request;
    const places = placesOf(request, realPath);
    if (threadId === null || places === null) return;
    const files = this.#files.get(threadId) ?? new Map<string, string | null>();
    this.#files.delete(threadId);
    this.#files.set(threadId, files);
    for (const [path, place] of places) files.set(path, place);
    while (files.size > MAX_FILES) files.delete(files.keys().next().value!);
    if (this.#files.size > MAX_THREADS) this.#files.delete(this.#files.keys().next().value!);
  }

  /** Whether all that the request changes was accepted before, and still lies where it did. */
  covers(request: ApprovalRequest, realPath: RealPath | undefined): boolean {
    const files = request.threadId === null ? undefined : this.#files.get(request.threadId);
    const places = files === undefined ? null : placesOf(request, realPath);
    return places !== null && places.length > 0 &&
      places.every(([path, place]) => files!.has(path) && files!.get(path) === place);
  }
}

/** Each file and where it leads, `null` where no links are followed; `null` when that is not known of all. */
function placesOf(
  request: ApprovalRequest,
  realPath: RealPath | undefined,
): [string, string | null][] | null {
  if (request.type !== "fileChange" || request.changes === null || request.grantRoot !== null) {
    return null;
  }
  const paths = request.changes.flatMap(({ path, movePath }) =>
    movePath === undefined ? [path] : [path, movePath]
  );
  if (realPath === undefined) return paths.map((path) => [path, null]);
  const places = paths.map((path): [string, string | null] => [path, realPath(path)]);
  return places.every(([, place]) => place !== null) ? places : null;
}
