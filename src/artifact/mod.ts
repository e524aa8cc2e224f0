/**
 * Documents that an agent writes and edits without losing anyone's work.
 * @module
 */
import { abortable } from "../async.ts";
import { checkArgument, takeOptions } from "../check/mod.ts";
import { ArtifactConflictError, OutputValidationError } from "../errors/mod.ts";
import { defined, type JsonSchema } from "../json.ts";
import type { AskOptions, PromptRunResult } from "../session/mod.ts";
import type { ArtifactThreads } from "./threads.ts";
import type { ArtifactClient, ArtifactThread } from "./client.ts";
import { applyEdits, checkEdits, countLines, revisionOf } from "./edits.ts";
import { FileArtifactStore } from "./store/file_store.ts";
import {
  buildArtifactPrompt,
  DOC_EDIT_SCHEMA,
  DOC_GENERATE_SCHEMA,
  parseDocEdit,
  parseDocGenerate,
  type ParsedOutput,
} from "./prompt.ts";
import type { ArtifactCallOptions, ArtifactManagerOptions } from "./options.ts";
import { artifactClientKind, checkOpen, MANAGER_OPTIONS, takeTask } from "./options_shape.ts";
import {
  type ArtifactMeta,
  type ArtifactStore,
  emptyArtifact,
  type StoredArtifact,
} from "./store/store.ts";
import type { ArtifactTaskResult, ArtifactTaskResults, ArtifactTaskSpec } from "./task.ts";

export type * from "./client.ts";
export * from "./edits.ts";
export type * from "./options.ts";
export * from "./prompt.ts";
export * from "./store/file_store.ts";
export * from "./store/kv_store.ts";
export * from "./store/store.ts";
export type * from "./task.ts";
export type { KvAtomic, KvDatabase, KvEntry, KvKey, KvListEntry } from "../kv.ts";

/** An artifact with its thread. */
export interface OpenArtifact extends StoredArtifact {
  /** The thread that works on it. */
  readonly threadId: string;
}

/**
 * Lets an agent write and edit documents without losing anyone's work.
 *
 * Every artifact has one thread, which remembers the work on it and is resumed in later
 * processes. The agent can read, never write: what it answers is validated, checked against the
 * revision it was shown, and stored. Tasks on one artifact run one after the other.
 *
 * ```ts ignore
 * import { artifact, Client } from "@codex/runtime";
 * const client = await Client.connect();
 * const documents = new artifact.ArtifactSessionManager(client, { cwd: "/srv/app" });
 * await documents.runTask({ type: "docGenerate", artifactId: "guide", userGoal: "A short guide" });
 * const { text } = await documents.runTask({
 *   type: "docEdit",
 *   artifactId: "guide",
 *   userGoal: "Add a section about errors",
 * });
 * ```
 */
export class ArtifactSessionManager implements AsyncDisposable {
  /** Where artifacts are kept. */
  readonly store: ArtifactStore;
  readonly #makeThreads: () => Promise<ArtifactThreads>;
  #threads: Promise<ArtifactThreads> | undefined;

  /** Like {@linkcode close}. */
  // Set by the constructor: as a method, a key that is computed would keep the class in every bundle.
  declare readonly [Symbol.asyncDispose]: () => Promise<void>;

  /** Creates a manager on a connected client, which stays yours to shut down. */
  constructor(client: ArtifactClient, options: ArtifactManagerOptions) {
    checkArgument("ArtifactSessionManager", "client", client, artifactClientKind);
    const taken = takeOptions("ArtifactSessionManager", options, MANAGER_OPTIONS);
    this[Symbol.asyncDispose] = () => this.close();
    const { cwd, store, maxIdleThreads = 16, ...profile } = taken;
    this.store = store ?? new FileArtifactStore(`${cwd}/.codex-artifacts`);
    const config = { ...profile, cwd, sandbox: "read-only", approvalPolicy: "never" } as const;
    this.#makeThreads = async () => {
      const { ArtifactThreads } = await import("./threads.ts");
      return new ArtifactThreads(client, this.store, config, maxIdleThreads);
    };
  }

  /** Resumes or starts the artifact's thread, and gives the current version; an unknown artifact is empty. */
  async open(artifactId: string, options: ArtifactCallOptions = {}): Promise<OpenArtifact> {
    checkOpen(artifactId, options);
    const { signal } = options;
    const threads = await this.#loaded();
    return await threads.use(artifactId, signal, async ({ threadId }, until) => ({
      ...await this.#load(artifactId, until),
      threadId,
    }));
  }

  /**
   * Runs a task and stores what it makes.
   *
   * Rejects with `ArtifactConflictError` when the text changed meanwhile or the model names another
   * revision than it was shown, with `OutputValidationError` when the answer does not fit, and
   * with whatever ends a turn. Nothing is stored then. An abort while the store saves may come too late for that.
   */
  async runTask<Spec extends ArtifactTaskSpec>(
    task: Spec,
    options: ArtifactCallOptions = {},
  ): Promise<ArtifactTaskResults[Spec["type"]]> {
    const spec = takeTask(task, options);
    const { signal } = options;
    const result: ArtifactTaskResult = await (await this.#loaded()).useInTurn(
      spec.artifactId,
      signal,
      (thread, until) => this.#run(thread, spec, signal, until),
    );
    return result as ArtifactTaskResults[Spec["type"]];
  }

  /** Releases all threads, which can be resumed later. Running turns are interrupted. Idempotent. */
  async close(): Promise<void> {
    await (await this.#loaded()).close();
  }

  /** Loaded with the first call. */
  #loaded(): Promise<ArtifactThreads> {
    return this.#threads ??= this.#makeThreads();
  }

  async #run(
    thread: ArtifactThread,
    spec: ArtifactTaskSpec,
    signal: AbortSignal | undefined,
    until: AbortSignal,
  ): Promise<ArtifactTaskResult> {
    const retries = spec.conflictRetries ?? 0;
    let asked = 0;
    for (let attempt = 0;; attempt++) {
      try {
        const shown = await this.#load(spec.artifactId, until);
        // A caller's own text matters once: after a conflict the task goes on from the fresh one.
        if (attempt === 0) await assertCurrent(spec, shown);
        asked++;
        const turn = await thread.ask(buildArtifactPrompt(spec, shown), askOptions(spec, signal));
        return await this.#finish(spec, shown, turn, asked, signal);
      } catch (error) {
        if (!(error instanceof ArtifactConflictError) || attempt >= retries) throw error;
      }
    }
  }

  /** Stores what the turn made of `shown`. */
  async #finish(
    spec: ArtifactTaskSpec,
    shown: StoredArtifact,
    turn: PromptRunResult,
    attempts: number,
    signal: AbortSignal | undefined,
  ): Promise<ArtifactTaskResult> {
    const { artifactId } = spec;
    const base = { artifactId, previousRevision: shown.revision, attempts, turn };
    const { threadId } = turn;
    if (spec.type === "passthrough") {
      if (threadId !== shown.meta.threadId) {
        const options = signalOf(signal);
        const telling = this.store.updateMeta(artifactId, () => ({ threadId }), options);
        await abortable(telling, signal);
      }
      const output = spec.outputSchema === undefined ? turn.assistantText : turn.output;
      return { ...base, type: spec.type, revision: shown.revision, text: shown.text, output };
    }
    const answer = turn.output ?? turn.assistantText;
    if (spec.type === "docGenerate") {
      const { title, format, text: written } = valid(parseDocGenerate(answer), turn);
      // A store keeps what UTF-8 can hold.
      const { revision, text } = await this.#save(spec, shown, turn, written, signal, {
        title,
        format,
      });
      return { ...base, type: spec.type, revision, text, title, format };
    }
    const { expectedRevision, edits, notes } = valid(parseDocEdit(answer), turn);
    if (expectedRevision !== shown.revision) {
      throw new ArtifactConflictError(artifactId, expectedRevision, shown.revision);
    }
    const issues = checkEdits(edits, countLines(shown.text));
    if (issues.length > 0) throw new OutputValidationError(issues, turn);
    const edited = applyEdits(shown.text, edits);
    const { revision, text } = await this.#save(spec, shown, turn, edited, signal);
    return { ...base, type: spec.type, revision, text, edits, notes };
  }

  async #save(
    spec: ArtifactTaskSpec,
    shown: StoredArtifact,
    turn: PromptRunResult,
    text: string,
    signal: AbortSignal | undefined,
    meta: Partial<ArtifactMeta> = {},
  ): Promise<StoredArtifact> {
    signal?.throwIfAborted();
    const { threadId, turnId } = turn;
    const lastSave = { task: spec.type, threadId, turnId, previousRevision: shown.revision };
    const saving = this.store.save(spec.artifactId, {
      text,
      expectedRevision: shown.revision,
      meta: { ...meta, threadId, lastSave },
    }, signalOf(signal));
    return await abortable(saving, signal);
  }

  async #load(artifactId: string, signal: AbortSignal): Promise<StoredArtifact> {
    const loading = this.store.load(artifactId, { signal });
    return await abortable(loading, signal) ?? emptyArtifact(artifactId);
  }
}

async function assertCurrent(spec: ArtifactTaskSpec, shown: StoredArtifact): Promise<void> {
  if (spec.currentText === undefined || spec.currentText === shown.text) return;
  throw new ArtifactConflictError(
    spec.artifactId,
    await revisionOf(spec.currentText),
    shown.revision,
  );
}

function askOptions(spec: ArtifactTaskSpec, signal: AbortSignal | undefined): AskOptions {
  const outputSchema = schemaOf(spec);
  return {
    ...defined({ outputSchema, model: spec.model, effort: spec.effort, timeoutMs: spec.timeoutMs }),
    ...signalOf(signal),
  };
}

function schemaOf(spec: ArtifactTaskSpec): JsonSchema | undefined {
  if (spec.type === "docGenerate") return DOC_GENERATE_SCHEMA;
  return spec.type === "docEdit" ? DOC_EDIT_SCHEMA : spec.outputSchema;
}

function signalOf(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return defined({ signal });
}

function valid<T>(parsed: ParsedOutput<T>, turn: PromptRunResult): T {
  if (parsed.ok) return parsed.value;
  throw new OutputValidationError(parsed.issues, turn);
}
