/**
 * What an artifact session can be asked to do, and what comes back.
 * @module
 */
import type { JsonSchema } from "../json.ts";
import type { PromptRunResult, ReasoningEffort } from "../session/mod.ts";
import type { ArtifactEdit } from "./edits.ts";

/** What all tasks have. */
export interface ArtifactTaskBase {
  /** The artifact; any string. */
  artifactId: string;
  /** What the user wants, in their words. */
  userGoal: string;
  /** What the answer must keep to. Default none. */
  constraints?: readonly string[];
  /** Examples to learn from. Default none. */
  examples?: readonly string[];
  /**
   * The text that the caller believes to be stored. When another one is, the task fails with
   * `ArtifactConflictError` before any turn. Default: whatever is stored.
   */
  currentText?: string;
  /**
   * How often to load the fresh text and ask again when somebody else changed it meanwhile.
   * Default 0: the task fails with `ArtifactConflictError`.
   */
  conflictRetries?: number;
  /** The model for this task. Default: the manager's. */
  model?: string;
  /** How much the model thinks. Default: the manager's. */
  effort?: ReasoningEffort;
  /** Milliseconds for each turn. Default: the manager's. */
  timeoutMs?: number;
}

/** Writes the whole document; what is stored is replaced. */
export interface DocGenerateTask extends ArtifactTaskBase {
  /** The kind of task. */
  type: "docGenerate";
}

/** Changes lines of the stored document. */
export interface DocEditTask extends ArtifactTaskBase {
  /** The kind of task. */
  type: "docEdit";
}

/** Asks about the document; nothing is written. */
export interface PassthroughTask extends ArtifactTaskBase {
  /** The kind of task. */
  type: "passthrough";
  /** JSON Schema of the answer. Default: none, the answer is text. */
  outputSchema?: JsonSchema;
}

/** A task for {@linkcode ArtifactSessionManager.runTask}. */
export type ArtifactTaskSpec = DocGenerateTask | DocEditTask | PassthroughTask;

/** What all results have. */
export interface ArtifactTaskResultBase {
  /** The artifact. */
  artifactId: string;
  /** The revision that the model was shown. */
  previousRevision: string;
  /** The stored revision, as far as this task knows: the new one, or the one shown. */
  revision: string;
  /** The stored text that {@linkcode revision} names. */
  text: string;
  /** How often the model was asked because of conflicts; 1 without any. */
  attempts: number;
  /** The turn that gave the answer: ids, items, tokens. */
  turn: PromptRunResult;
}

/** A document was written and stored. */
export interface DocGenerateResult extends ArtifactTaskResultBase {
  /** The kind of task. */
  type: "docGenerate";
  /** The document's title. */
  title: string;
  /** The document's format. */
  format: string;
}

/** A document was changed and stored. */
export interface DocEditResult extends ArtifactTaskResultBase {
  /** The kind of task. */
  type: "docEdit";
  /** The edits that were applied to the text of {@linkcode previousRevision}. */
  edits: ArtifactEdit[];
  /** What the model says about them, or `null`. */
  notes: string | null;
}

/** An answer about a document. */
export interface PassthroughResult extends ArtifactTaskResultBase {
  /** The kind of task. */
  type: "passthrough";
  /** The answer: parsed when the task has a schema, else the text. */
  output: unknown;
}

/** The result that belongs to each kind of task. */
export interface ArtifactTaskResults {
  /** Of {@linkcode DocGenerateTask}. */
  docGenerate: DocGenerateResult;
  /** Of {@linkcode DocEditTask}. */
  docEdit: DocEditResult;
  /** Of {@linkcode PassthroughTask}. */
  passthrough: PassthroughResult;
}

/** What {@linkcode ArtifactSessionManager.runTask} gives. */
export type ArtifactTaskResult = ArtifactTaskResults[keyof ArtifactTaskResults];
