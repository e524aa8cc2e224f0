/**
 * Every field of the calls that start, take up and set threads and turns, and what is done about it.
 *
 * The calls are those that `method_table.ts` calls `thread` and `turn`. A field without a row, such as a newer codex's, may
 * do everything.
 * @module
 */
import type { JsonValue } from "../../json.ts";

/**
 * - `harmless`: who talks about what, in which words, at which price.
 * - `looked`: decides what runs, what is read or who is asked; `method_gate.ts` looks at its value.
 * - `unset`: gives something away that nobody here sees; only absent, `null`, `false` or empty passes.
 */
export type FieldHandling = "harmless" | "looked" | "unset";

const ROWS: Readonly<Record<FieldHandling, string>> = {
  harmless: `
    additionalContext allowProviderModelFallback baseInstructions beforeTurnId clientUserMessageId collaborationMode
    deferGoalContinuation developerInstructions disabledPluginIds dynamicTools effort ephemeral excludeTurns
    expectedTurnId experimentalDisablePredictionMcp experimentalPredictionMode experimentalRawEvents history historyMode
    initialTurnsPage lastTurnId mockExperimentalField model modelProvider multiAgentMode outputSchema parentTurnId
    persistExtendedHistory personality projectId queuedSubmissionId responsesapiClientMetadata
    responsesapiClientMetadataPatch rootTurnId serviceName serviceTier serviceTierForTurn sessionStartSource summary
    threadId threadSource toolOutput turnId turnTrigger
  `,
  looked: `
    approvalPolicy approvalsReviewer config cwd environments input path permissions runtimeWorkspaceRoots sandbox
    sandboxPolicy selectedCapabilityRoots
  `,
  unset: `
    attachToSource cyberAccessProgram daybreakEnabled
  `,
};

const HANDLING: ReadonlyMap<string, FieldHandling> = new Map(
  (Object.keys(ROWS) as FieldHandling[]).flatMap((handling) =>
    ROWS[handling].split(/\s+/).filter((field) => field !== "").map((field) =>
      [field, handling] as const
    )
  ),
);

/** What is done about a field; `undefined`: it has no row. */
export function fieldHandling(field: string): FieldHandling | undefined {
  return HANDLING.get(field);
}

/** Whether a field may be sent without every permission, as far as the field itself goes. */
export function fieldPasses(field: string, value: JsonValue | undefined): boolean {
  const handling = HANDLING.get(field);
  if (handling === "harmless" || handling === "looked") return true;
  const unset = value === undefined || value === null || value === false ||
    (Array.isArray(value) && value.length === 0);
  return unset;
}
