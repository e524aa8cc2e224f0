/**
 * What the options of a manager and its tasks may be.
 * @module
 */
import {
  callback,
  checkArgument,
  checkOptions,
  count,
  having,
  type Kind,
  list,
  name,
  type OptionKinds,
  required,
  type Shape,
  shape,
  signal,
  takeArgument,
  text,
  variants,
} from "../check/mod.ts";
import { RUN_PROFILE_FIELDS } from "../session/profile_shape.ts";
import type { ArtifactCallOptions, ArtifactManagerOptions } from "./options.ts";
import type { ArtifactTaskBase, ArtifactTaskSpec, PassthroughTask } from "./task.ts";

const { model, effort, timeoutMs, developerInstructions, config, outputSchema } =
  RUN_PROFILE_FIELDS;

const store: Kind = having("an artifact store { load, save, updateMeta }", {
  load: required(callback),
  save: required(callback),
  updateMeta: required(callback),
});

/** The client of a manager. */
export const artifactClientKind: Kind = required(
  having("a connected client", {
    startSession: required(callback),
    resumeSession: required(callback),
  }),
);

/** The options of a manager. */
export const MANAGER_OPTIONS: Shape = shape<ArtifactManagerOptions>({
  cwd: required(name),
  store,
  model,
  effort,
  timeoutMs,
  developerInstructions,
  config,
  maxIdleThreads: count(0),
});

/** What all tasks have. */
export const TASK: OptionKinds<ArtifactTaskBase> = {
  artifactId: required(text),
  userGoal: required(text),
  constraints: list(text),
  examples: list(text),
  currentText: text,
  conflictRetries: count(0),
  model,
  effort,
  timeoutMs,
};

/** A task. */
export const taskKind: Kind = required(
  variants<ArtifactTaskSpec>({
    docGenerate: shape<ArtifactTaskBase>(TASK),
    docEdit: shape<ArtifactTaskBase>(TASK),
    passthrough: shape<Omit<PassthroughTask, "type">>({ ...TASK, outputSchema }),
  }),
);

const CALL_OPTIONS: Shape = shape<ArtifactCallOptions>({ signal });

/** A task as it is now. Throws `InvalidArgumentError` when a call of a manager can't be meant. */
export function takeTask<Spec extends ArtifactTaskSpec>(given: Spec, options: unknown): Spec {
  const spec = takeArgument("runTask", "spec", given, taskKind);
  checkOptions("runTask", options, CALL_OPTIONS);
  return spec;
}

/** Throws `InvalidArgumentError` when a call of a manager can't be meant. */
export function checkOpen(artifactId: unknown, options: unknown): void {
  checkArgument("open", "artifactId", artifactId, required(text));
  checkOptions("open", options, CALL_OPTIONS);
}
