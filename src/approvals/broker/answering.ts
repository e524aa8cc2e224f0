/**
 * The last steps of a question, whoever decided it: guarded, sent, reported.
 * @module
 */
import { type JsonValue, keepNewest, plain } from "../../json.ts";
import { supports } from "../../protocol/mod.ts";
import { redactText } from "../../redact.ts";
import { quietly } from "../../telemetry.ts";
import {
  type AnswerContext,
  failClosedAnswer,
  type WireAnswer,
  wireAnswer,
} from "../answers/answers.ts";
import type {
  ApprovalAudit,
  ApprovalDecision,
  ApprovalRequest,
  FailClosedReason,
} from "../request/types.ts";
import { mayWrite, placesOf } from "../request/facts.ts";
import type { BrokerOptions, BrokerReply } from "./gate.ts";
import {
  grantOf,
  isToolUse,
  type PendingCall,
  permits,
  type Ruling,
  send,
  sharesServer,
  WHY,
} from "./pending.ts";
import { isForEver, isForSession, isKeptByCodex, KeptAnswers, onlyOnce } from "./kept_answers.ts";
import { isUncertain } from "./doubt.ts";
import type { OpenChanges } from "./open_changes.ts";
import { leadsAway } from "../answers/narrow_permissions.ts";

const MAX_GRANTED = 1000;

/** Gives answers: none grants more than the guard lets pass, and each is sent and reported once. */
export class Answering {
  readonly #options: BrokerOptions;
  readonly #changes: OpenChanges;
  readonly #waiting: Map<string, PendingCall>;
  /** What was granted and has not ended, by its subject. */
  readonly #granted: Map<string, PendingCall> = new Map();
  readonly #kept: KeptAnswers = new KeptAnswers();

  /** `waiting`: the questions that wait, by id; what is answered leaves it. */
  constructor(
    options: BrokerOptions,
    changes: OpenChanges,
    waiting: Map<string, PendingCall>,
  ) {
    this.#options = options;
    this.#changes = changes;
    this.#waiting = waiting;
  }

  now(): number {
    return this.#options.now?.() ?? Date.now();
  }

  context(): AnswerContext {
    let serverVersion: string | null = null;
    quietly(() => serverVersion = this.#options.serverVersion?.() ?? null);
    return { serverVersion, realPath: this.#options.realPath, now: new Date(this.now()) };
  }

  /** Sends a decision, where there is none yet; one that does not fit becomes the fail-closed answer. */
  send(pending: PendingCall, decision: ApprovalDecision, ruling: Ruling): void {
    if (pending.settled || pending.held) return;
    const answer = wireAnswer(pending.request, decision, this.context());
    if (answer.type === "invalid") {
      if (ruling.by === "handler") {
        this.tell(pending, `The approval handler's answer does not fit: ${answer.problem}`);
      }
      this.failClosed(pending, "invalidAnswer");
    } else this.settle(pending, answer, ruling);
  }

  /** Whether hooks want to see each use: what codex does not ask about any more, they do not. */
  #isWatched({ gate }: PendingCall): boolean {
    return gate?.watches?.() ?? gate?.preToolUse !== undefined;
  }

  /** Whether the same was accepted for the session before. */
  isKept({ request, session, gate }: PendingCall): boolean {
    try {
      return this.#kept.covers(request, this.#options.realPath, session, gate?.reach?.());
    } catch {
      return false;
    }
  }

  /** What codex is told of an answer: rules and hooks judge each request anew, and of files it remembers the names only. */
  #told(pending: PendingCall, answer: WireAnswer | null, { by }: Ruling): WireAnswer | null {
    const { request, session, gate } = pending;
    if (answer?.type !== "result") return answer;
    const judged = by === "rule" && request.type !== "elicitation";
    if (
      !isForSession(request, answer.result) ||
      request.type !== "fileChange" && !judged && !this.#isWatched(pending)
    ) {
      if (isKeptByCodex(request, answer.result)) {
        quietly(() => gate?.onKept?.(request, grantOf(request, answer.result)));
      }
      return answer;
    }
    if (!judged) {
      quietly(() => this.#kept.keep(request, this.#options.realPath, session, gate?.reach?.()));
    }
    return { ...answer, result: onlyOnce(request, answer.result) };
  }

  /**
   * Tells the session of a question: when somebody is asked, or with its answer. What a hook or a rule decides must not
   * look as if it waited for a person meanwhile.
   */
  announce(pending: PendingCall): void {
    if (pending.announced) return;
    pending.announced = true;
    quietly(() => pending.gate?.onRequested?.(pending.copy));
  }

  tell({ gate, request, settled }: PendingCall, sentence: string): void {
    if (!settled) quietly(() => gate?.onProblem?.(request, redactText(sentence)));
  }

  failClosed(
    pending: PendingCall,
    reason: FailClosedReason,
    abortReason: string = WHY[reason],
  ): void {
    if (pending.settled) return;
    if (reason === "uncertainSubject") this.tell(pending, sentence(WHY[reason]));
    const why = `Not approved: ${WHY[reason]}.`;
    this.settle(
      pending,
      this.closedAnswer(pending.request, why),
      { by: "failClosed", reason },
      abortReason,
    );
  }

  /** Declines and has the server interrupt the turn, which an answer does not where the question is answered already (0.169). */
  stopTurn(pending: PendingCall): void {
    const reason: FailClosedReason = "uncertainSubject";
    const { threadId, turnId } = pending.request;
    if (threadId !== null && turnId !== null) {
      quietly(() => this.#options.interrupt?.(threadId, turnId));
    }
    this.tell(pending, `${sentence(WHY[reason])} The turn is stopped.`);
    this.#cancel(pending, reason);
  }

  /** Its turn is being stopped: no acceptance leaves after that, also none that was made before and is held. */
  stopping(pending: PendingCall): void {
    pending.stopping = true;
    if (pending.held && pending.away === null) this.#cancel(pending, "turnEnded");
  }

  #cancel(pending: PendingCall, reason: FailClosedReason): void {
    const answer = wireAnswer(pending.request, { decision: "cancel" }, this.context());
    if (answer.type === "invalid") return this.failClosed(pending, reason);
    this.settle(pending, answer, { by: "failClosed", reason }, WHY[reason]);
  }

  closedAnswer(request: ApprovalRequest, why: string): WireAnswer {
    return failClosedAnswer(request, why, this.context());
  }

  settle(
    pending: PendingCall,
    answer: WireAnswer | null,
    ruling: Ruling,
    abortReason?: string,
  ): void {
    if (pending.away !== null && answer !== null) {
      // The first answer counts, and goes out when it is asked for again.
      if (pending.held) return;
      const given = plain(answer);
      pending.held = true;
      pending.stopTimer();
      pending.later = () => this.settle(pending, given, ruling, abortReason);
      return;
    }
    const refused = answer?.type === "result" ? this.#refusal(pending, answer.result) : null;
    if (refused !== null) return this.decline(pending, refused, ruling.rule ?? null, abortReason);
    if (pending.stopping && answer?.type === "result" && permits(pending.request, answer.result)) {
      return this.#cancel(pending, "turnEnded");
    }
    if (this.#grants(pending, answer)) {
      if (pending.heard !== undefined) {
        return this.#hold(pending, pending.heard, answer, ruling, abortReason);
      }
      this.#note(pending);
    }
    // It was refused while it was held: then nothing is remembered of it either.
    if (pending.settled) return;
    const audit = pending.settle(this.#told(pending, answer, ruling), ruling, this.now());
    this.#settled(pending, audit, abortReason);
  }

  /** A call is made again: what became of it, or will, answers that as well. Where nothing was answered, nothing is. */
  again(known: PendingCall, reply: BrokerReply): void {
    if (!known.settled) {
      known.comeBack(reply);
      known.later?.();
    } else if (known.answered !== null) send(reply, known.answered);
  }

  /** Its turn is about to be interrupted: an answer would have the model go on, and call again, before that. */
  drop(pending: PendingCall): void {
    const ruling: Ruling = { by: "failClosed", reason: "turnEnded" };
    this.settle(pending, null, ruling, WHY.turnEnded);
  }

  /** Nobody will ask for it again. */
  giveUp(pending: PendingCall, reason: FailClosedReason, abortReason?: string): void {
    pending.comeBack();
    this.failClosed(pending, reason, abortReason);
  }

  /** Whether something else was granted under the same subject, and goes on. */
  overlapsGranted(pending: PendingCall): boolean {
    const { subject, content, request } = pending;
    const unsure = (one: PendingCall) => isUncertain(this.#changes, one.request);
    if (request.type === "elicitation") {
      return unsure(pending) &&
        [...this.#granted.values()].some((one) =>
          one.request.type === "elicitation" && one.request.threadId === request.threadId &&
          one.request.server === request.server && unsure(one)
        );
    }
    const other = subject === null ? undefined : this.#granted.get(subject);
    return other !== undefined && content !== null && other.content !== content;
  }

  /** Of what was granted for the thread, all has ended, or that of the item or the turn. */
  ended(threadId: string, { itemId, turnId }: { itemId?: string; turnId?: string } = {}): void {
    for (const [subject, { request }] of this.#granted) {
      if (request.threadId !== threadId) continue;
      if ((itemId ?? request.itemId) !== request.itemId) continue;
      if ((turnId ?? request.turnId) === request.turnId) this.#granted.delete(subject);
    }
  }

  /** All that was granted has ended. */
  allEnded(): void {
    this.#granted.clear();
  }

  /** Of two questions under one id, the answer to the first can be taken for the second's: by then both are asked. */
  #hold(
    pending: PendingCall,
    heard: Promise<void>,
    answer: WireAnswer | null,
    ruling: Ruling,
    abortReason: string | undefined,
  ): void {
    // The decision was made in time, and is what it was then.
    const given = plain(answer);
    pending.heard = undefined;
    pending.held = true;
    pending.stopTimer();
    heard.then(
      () => this.settle(pending, given, ruling, abortReason),
      () => this.failClosed(pending, "uncertainSubject", abortReason),
    );
  }

  #grants({ request, mayHaveTwins, settled }: PendingCall, answer: WireAnswer | null): boolean {
    return !settled && mayHaveTwins && answer?.type === "result" &&
      permits(request, answer.result);
  }

  #note(pending: PendingCall): void {
    // The question about an MCP call has no id of the model's, and says which call it is.
    const isCall = pending.request.type === "elicitation";
    const subject = isCall ? pending.request.id : pending.subject;
    if (subject === null || !isCall && pending.content === null) return;
    this.#granted.delete(subject);
    this.#granted.set(subject, pending);
    keepNewest(this.#granted, MAX_GRANTED);
  }

  /** What this script may do does not allow it, whoever would. */
  decline(
    pending: PendingCall,
    reason: string,
    rule: string | null,
    abortReason?: string,
  ): void {
    const answer = this.closedAnswer(pending.request, reason);
    const audit = pending.settle(answer, { by: "library", rule, reason }, this.now());
    this.#settled(pending, audit, abortReason);
  }

  #settled(pending: PendingCall, audit: ApprovalAudit | null, abortReason?: string): void {
    if (audit === null) return;
    this.#waiting.delete(pending.request.id);
    if (abortReason !== undefined) pending.abort(abortReason);
    this.#report(pending, audit);
  }

  /** Why a command or a file change could not be accepted by anybody, or `null`. */
  unacceptable(pending: PendingCall): string | null {
    const { type } = pending.request;
    if (type !== "command" && type !== "fileChange") return null;
    const answer = wireAnswer(pending.request, { decision: "accept" }, this.context());
    return answer.type === "result" ? this.#refusal(pending, answer.result) : null;
  }

  /** Why an answer may not be sent although it was given, or `null`. */
  #refusal(pending: PendingCall, result: JsonValue): string | null {
    const { guard, realPath, tmpdir } = this.#options;
    const { request, gate, settled } = pending;
    if (settled || !permits(request, result)) return null;
    // It may have become another one since it was judged.
    if (isUncertain(this.#changes, request) || this.#answersCall(pending)) {
      return `${WHY.uncertainSubject}.`;
    }
    if (pending.places !== undefined && this.places(pending) !== pending.places) {
      return "A path in it leads elsewhere than when it was judged.";
    }
    if (isForEver(request, result) && this.#isWatched(pending)) {
      return "With an amendment of its rules codex would not ask again, so that the session's hooks see nothing of it.";
    }
    const grant = grantOf(request, result);
    if (request.type === "command" || request.type === "permissions") {
      const more = request.type === "command" ? request.additionalPermissions : result;
      const writable = [request.cwd, "/tmp", tmpdir, ...gate?.workspace?.() ?? []]
        .flatMap((path) => path ? [path, realPath?.(path) ?? path] : []);
      if (leadsAway(more as JsonValue, writable, realPath)) {
        return "It lies behind a link that the agent may change.";
      }
    }
    if (
      grant?.type === "permissions" && mayWrite(grant.permissions.fileSystem ?? {}) &&
      this.#isWatched(pending)
    ) {
      return "Codex would not ask about patches where it may write then, so that the session's hooks see nothing of them.";
    }
    if (guard === undefined || grant === null) return null;
    try {
      return guard(grant, request, gate?.contained?.() ?? false);
    } catch {
      return "What this script may do itself could not be checked.";
    }
  }

  /** Whether codex may take the answer to an MCP server's form for consent to a call of it. */
  mixesForms(): boolean {
    const { serverVersion } = this.context();
    return serverVersion !== null && !supports(serverVersion, "formsAreTheirOwn");
  }

  #answersCall(form: PendingCall): boolean {
    return this.mixesForms() &&
      [...this.#waiting.values()].some((call) => sharesServer(form, call));
  }

  /** Where the places of a question lead now; `undefined` where no links are followed. */
  places({ request }: PendingCall): string | undefined {
    const { realPath } = this.#options;
    try {
      return realPath === undefined ? undefined : placesOf(request, realPath);
    } catch {
      return "unknown";
    }
  }

  #report(pending: PendingCall, audit: ApprovalAudit): void {
    const { gate, request } = pending;
    quietly(() => this.#options.onAudit(audit));
    // The time is told without announcing the question to the session.
    if (audit.decidedBy === "library" && request.type === "currentTime") return;
    this.announce(pending);
    quietly(() => gate?.onResolved?.(audit));
    if (isToolUse(request)) quietly(() => gate?.postToolUse?.(request, audit));
  }
}

function sentence(words: string): string {
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}.`;
}
