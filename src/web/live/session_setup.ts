/**
 * What the sessions of a bridge may do: how each is run, and which files may be sent along.
 * @module
 */
import type { ApprovalHandler } from "../../approvals/mod.ts";
import { delay } from "../../async.ts";
import { kindOf } from "../../check/mod.ts";
import { InvalidArgumentError, PolicyError, WebError } from "../../errors/mod.ts";
import { realPathOf } from "../../permissions/mod.ts";
import { isAbsolutePath, isInside, pathKind, resolvePath } from "../../platform/mod.ts";
import type { Attachment, PromptWithAttachments } from "../../prompt.ts";
import { coreOf, DEFAULTS } from "../../runtime/mod.ts";
import type { SessionConfig } from "../../session/mod.ts";
import { isForPeople, type RequestPolicy } from "../http/check_request.ts";
import type { WebClient } from "../client.ts";
import { badRequest } from "../http/refusals.ts";
import type { WebAdapterOptions } from "../options.ts";
import type { StoredSession } from "../store/session_store.ts";

/** The part of the client's places for questions that one tenant's may take. */
const SHARE = 1 / 4;

/** Puts questions to people, and keeps places for those of the other tenants. */
class TenantQuestions {
  readonly #client: WebClient;
  readonly #share: number;
  /** Whose the questions are that were put to people; those that wait no more are forgotten with the next one. */
  readonly #asked: Map<string, string> = new Map();

  constructor(client: WebClient) {
    this.#client = client;
    this.#share = Math.max(1, Math.floor(placesOf(client) * SHARE));
  }

  /** Answers what is not for people, and what would be one too many; the rest waits for the tenant. */
  handlerOf(tenant: string): ApprovalHandler {
    return (request) => {
      if (!isForPeople(request)) return { decision: "decline" };
      const waiting = new Set(this.#client.approvals.pending().map(({ request: { id } }) => id));
      for (const id of this.#asked.keys()) if (!waiting.has(id)) this.#asked.delete(id);
      const own = [...this.#asked.values()].filter((whose) => whose === tenant).length;
      if (own >= this.#share) {
        return { decision: "decline", reason: "Too many questions wait for an answer already." };
      }
      this.#asked.set(request.id, tenant);
      return { decision: "defer" };
    };
  }
}

/** Questions that may wait at once. */
function placesOf({ runtime }: WebClient): number {
  try {
    const { maxPendingApprovals } = coreOf(runtime!).config;
    return maxPendingApprovals ?? DEFAULTS.maxPendingApprovals;
  } catch {
    // A client that is not of this library does not tell.
    return DEFAULTS.maxPendingApprovals;
  }
}

/** Decides from the bridge's options what its sessions may do. */
export class SessionSetup {
  readonly #policy: RequestPolicy;
  readonly #options: WebAdapterOptions;
  readonly #enforced: boolean;
  readonly #workspaces: Workspaces;
  readonly #questions: TenantQuestions;

  /** `enforced`: the tenants are kept apart. */
  constructor(options: WebAdapterOptions, policy: RequestPolicy, enforced: boolean) {
    this.#options = options;
    this.#policy = policy;
    this.#enforced = enforced;
    this.#workspaces = new Workspaces(options.cwd, enforced);
    this.#questions = new TenantQuestions(options.client);
  }

  /** How a session of the tenant is opened. */
  async config(
    { tenant, model, effort }: Pick<StoredSession, "tenant" | "model" | "effort">,
  ): Promise<SessionConfig> {
    const { rules } = this.#options;
    // What was allowed when the session was created may not be any more.
    const allowed = {
      ...(model !== null && this.#policy.models.includes(model) ? { model } : {}),
      ...(effort !== null && this.#policy.efforts.includes(effort) ? { effort } : {}),
    };
    return {
      ...this.#options.profile,
      ...allowed,
      cwd: await this.#workspaces.of(tenant),
      ...(this.#enforced ? { reads: "workspace" as const } : {}),
      approvals: { rules: rules ?? [], ask: this.#questions.handlerOf(tenant) },
    };
  }

  /** Files that are sent along must really lie below the tenant's directory, wherever links lead. */
  async checkFiles(tenant: string, { attachments = [] }: PromptWithAttachments): Promise<void> {
    const paths = attachments.flatMap((each) =>
      typeof each !== "string" && "path" in each ? [each.path] : []
    );
    if (paths.length === 0) return;
    // Codex reads images itself, without a sandbox, and later: by then the agent may have put a link in its place.
    if (this.#enforced && attachments.some((each) => isLocalImage(each))) {
      throw badRequest("Images must be sent inline here, as a data: URL.", "notAllowed");
    }
    const cwd = await this.#workspaces.of(tenant);
    const root = realPathOf(cwd);
    for (const path of paths) {
      // Each takes milliseconds, in which nobody else is served.
      await delay(0);
      const real = realPathOf(resolvePath(cwd, path));
      if (root === null || real === null || !isInside(real, root)) {
        throw badRequest("An attachment's path must stay below the directory.", "notAllowed");
      }
    }
  }
}

function isLocalImage(attachment: string | Attachment): boolean {
  return typeof attachment !== "string" && attachment.type === "localImage";
}

// Which directory is whose.

/** Finds the tenants' directories and keeps them apart. */
export class Workspaces {
  readonly #cwd: WebAdapterOptions["cwd"];
  readonly #enforced: boolean;
  /** Real paths of the tenants seen so far. */
  readonly #known: Map<string, string> = new Map();

  /** Takes the bridge's `cwd`. */
  constructor(cwd: WebAdapterOptions["cwd"], enforced: boolean) {
    this.#cwd = cwd;
    this.#enforced = enforced;
  }

  /**
   * The tenant's directory. Throws `WebError` for a name that could lead elsewhere, `PolicyError` or
   * `InvalidArgumentError` for a directory that is no tenant's own.
   */
  async of(tenant: string): Promise<string> {
    if (typeof this.#cwd !== "function") return this.#cwd;
    if (!isPlainName(tenant)) {
      throw new WebError(
        403,
        "badTenant",
        "The tenant's name can't be used for a directory: it climbs, holds a separator or a control character.",
      );
    }
    const cwd: unknown = await this.#cwd(tenant);
    if (typeof cwd !== "string" || !isAbsolutePath(cwd)) {
      throw new InvalidArgumentError("createBridge", {
        argument: "cwd(tenant)",
        received: typeof cwd === "string" ? "another path" : kindOf(cwd),
        accepts: "an absolute path",
      });
    }
    if (!this.#enforced) return cwd;
    const real = pathKind(cwd) === "directory" ? realPathOf(cwd) : null;
    if (real === null) {
      throw new InvalidArgumentError("createBridge", {
        argument: "cwd(tenant)",
        received: "another path",
        accepts: "a directory that exists and that this script may read",
        hint: "Create it first.",
      });
    }
    for (const [other, root] of this.#known) {
      if (other === tenant) continue;
      if (isInside(real, root) || isInside(root, real)) {
        throw new PolicyError(
          'cwd(tenant) returned a directory of another tenant, one inside of it, or one around it. Give each its own, or set isolation: "trusting".',
        );
      }
    }
    this.#known.set(tenant, real);
    return real;
  }
}

/** One part of a path, on every system: no separator, no control character, nothing that climbs. */
function isPlainName(name: string): boolean {
  // deno-lint-ignore no-control-regex
  return name !== "." && name !== ".." && !/[\\/\x00-\x1f\x7f]|^[A-Za-z]:/.test(name);
}
