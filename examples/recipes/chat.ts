/**
 * A chat on the terminal. The answer comes as it is written, commands and changes are asked for, Ctrl-C stops the turn and
 * not the chat, Ctrl-D ends it. With a thread's id behind it, it goes on with that thread.
 *
 *     deno run --allow-run=codex --allow-read=. --allow-write=. examples/recipes/chat.ts
 *     bun examples/recipes/chat.ts
 */
import process from "node:process";
import { createInterface } from "node:readline";
import { type ApprovalRequest, Client, CodexError, type PromptRunStream } from "../../mod.ts";

const color = (code: number, text: string) =>
  process.stdout.isTTY ? `\x1b[${code}m${text}\x1b[0m` : text;
const coloredDiff = (diff: string) =>
  diff.replace(/^[+-].*$/gm, (line) => color(line.startsWith("+") ? 32 : 31, line));

const input = createInterface({ input: process.stdin });
const lines = input[Symbol.asyncIterator]();
let nextLine: Promise<IteratorResult<string>> | null = null;

/** What a person types, or `null` at the end of the input and when the question is taken back. */
async function question(text: string, signal?: AbortSignal): Promise<string | null> {
  process.stdout.write(text);
  // A line that nobody took is the answer to the next question.
  nextLine ??= lines.next();
  const takenBack = new Promise<null>((resolve) =>
    signal?.addEventListener("abort", () => resolve(null), { once: true })
  );
  const line = await Promise.race([nextLine, takenBack]);
  if (line === null) return null;
  nextLine = null;
  return line.done ? null : line.value;
}

/** A text as it is: whoever wrote it must not move the terminal's cursor, nor turn the direction of writing. */
function visible(text: string | null): string {
  return `${text}`.replace(
    /(?![\n\t])[\p{Cc}\p{Cf}]/gu,
    (char) => `\\u{${char.codePointAt(0)!.toString(16)}}`,
  );
}

/** What a person has to see before a decision. */
function describe(request: ApprovalRequest): string {
  switch (request.type) {
    case "command":
      return `$ ${visible(request.script ?? request.command)}`;
    case "fileChange":
      return coloredDiff(visible(request.diff ?? "a change that can't be shown"));
    default:
      return `The agent asks for: ${request.type}`;
  }
}

const client = await Client.connect({
  // People take their time.
  approvalTimeoutMs: Infinity,
  approvals: async (request, { signal }) => {
    console.log(`\n${describe(request)}`);
    const answer = await question("Allow? [y/N] ", signal);
    return { decision: answer?.trim().toLowerCase() === "y" ? "accept" : "decline" };
  },
});

let running: PromptRunStream | null = null;
process.on("SIGINT", () => {
  if (running === null) input.close();
  else running.interrupt().catch((error) => console.error(error.message));
});

try {
  const [threadId] = process.argv.slice(2);
  const config = {
    cwd: process.cwd(),
    approvalPolicy: "untrusted",
    sandbox: "workspace-write",
    allowPrivilegedEscalation: true,
    timeoutMs: Infinity,
  } as const;
  const session = threadId === undefined
    ? await client.startSession(config)
    : await client.resumeSession(threadId, config);

  for (;;) {
    const prompt = await question(color(1, "\n> "));
    if (prompt === null) break;
    if (prompt.trim() === "") continue;
    try {
      running = await session.askStream(prompt);
      for await (const event of running) {
        if (event.type === "assistantMessageDelta") process.stdout.write(event.delta);
        else if (event.type === "warning" || event.type === "retrying") console.log(event.message);
        else if (event.type === "itemCompleted" && event.item.type === "commandExecution") {
          const { script, status, aggregatedOutput } = event.item;
          console.log(color(2, `$ ${script}: ${status}\n${aggregatedOutput ?? ""}`));
        }
      }
      const { usage } = await running.finish();
      console.log(color(2, `\n${usage?.totalTokens ?? 0} tokens`));
    } catch (error) {
      // What stops one prompt does not end the chat.
      if (!(error instanceof CodexError)) throw error;
      console.log(`\n${error.message}`);
    } finally {
      running = null;
    }
  }
  await session.release(); // close() would archive the thread
  console.log(`\nTo go on: chat.ts ${session.threadId}`);
} finally {
  await client.shutdown();
  input.close();
}
