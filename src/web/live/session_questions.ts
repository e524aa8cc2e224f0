/**
 * The questions of a session.
 * @module
 */
import type { ApprovalDecision } from "../../approvals/mod.ts";
import type { PendingApprovals } from "../../session/mod.ts";
import { badRequest, conflict, notFound } from "../http/refusals.ts";
import type { WebApproval } from "../types.ts";

/** Questions that are remembered, to tell a late answer from a wrong one. */
const MAX_REMEMBERED = 256;

/** Which of the client's questions are a session's, and which are answered. */
export class SessionQuestions {
  readonly #pending: PendingApprovals;
  readonly #threadId: () => string;
  /** Told in this session's events: those of its agent's own agents name another thread. */
  readonly #asked: Set<string> = new Set();
  readonly #answered: Set<string> = new Set();

  /** None is known yet. */
  constructor(pending: PendingApprovals, threadId: () => string) {
    this.#pending = pending;
    this.#threadId = threadId;
  }

  /** A question was told. */
  ask(id: string): void {
    remember(this.#asked, id);
  }

  /** A question was answered. */
  settle(id: string): void {
    remember(this.#answered, id);
  }

  /** Those that wait for a person. */
  waiting(): WebApproval[] {
    return this.#pending.pending()
      .filter(({ request, waitingFor }) => this.#isOurs(request) && waitingFor === "handler")
      .map(({ request, deadline }) => ({ request, deadline }));
  }

  /** Answers one. Throws `WebError` when it does not wait, or the answer does not fit. */
  answer(id: string, decision: ApprovalDecision): void {
    const pending = this.#pending.pending().find(({ request }) =>
      request.id === id && this.#isOurs(request)
    );
    if (pending === undefined) {
      if (!this.#answered.has(id)) throw notFound("question");
      throw conflict("alreadyAnswered", "This question has been answered.");
    }
    if (pending.waitingFor !== "handler") {
      throw conflict("notReady", "This question does not wait for a person yet. Try again.");
    }
    if (!this.#pending.answer(id, decision)) {
      throw badRequest("The answer does not fit the question.", "invalidAnswer");
    }
    this.settle(id);
  }

  #isOurs(request: { id: string; threadId: string | null }): boolean {
    return request.threadId === this.#threadId() || this.#asked.has(request.id);
  }
}

/** The newest ones only. */
function remember(ids: Set<string>, id: string): void {
  ids.add(id);
  if (ids.size > MAX_REMEMBERED) ids.delete(ids.values().next().value!);
}
