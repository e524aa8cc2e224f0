/**
 * One prompt on a thread of its own.
 * @module
 */
import { defined } from "../../json.ts";
import type { InferOutput, StandardSchemaV1 } from "../output/standard_schema.ts";
import type { AskOptions, RunOptions, SessionConfig } from "../profile.ts";
import type { PromptRunResult } from "../turn/turn_result.ts";
import type { SessionOpener } from "./open_session.ts";
import type { OpenedThread } from "./open_threads.ts";

/** Asks once, on a fresh thread that leaves nothing in the history. */
export async function runOnce<Schema extends object = StandardSchemaV1>(
  opener: SessionOpener<OpenedThread>,
  cwd: string,
  prompt: string,
  options: RunOptions<Schema>,
): Promise<PromptRunResult<InferOutput<Schema>>> {
  const { signal, onEvent, retry, repair, output, hooks, ...profile } = options;
  signal?.throwIfAborted();
  const config: SessionConfig = {
    ephemeral: true,
    ...profile,
    ...defined({ hooks, signal }),
    cwd,
  };
  const session = await opener.open({ method: "thread/start" }, config, true);
  try {
    const asked = defined({ signal, onEvent, retry, repair, output });
    const result = await session.ask(prompt, asked as AskOptions);
    return result as PromptRunResult<InferOutput<Schema>>;
  } finally {
    // The thread's end must not cost the caller the answer, nor hold up who gave up waiting.
    const closed = session.close().catch(() => {});
    if (signal?.aborted !== true) await closed;
  }
}
