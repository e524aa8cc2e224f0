/**
 * A fast codex: answers at once and floods from memory, so that the reader is what is measured. Speaks enough of the
 * app-server's dialect for a client, plain JSON-RPC for other libraries, and the events of `codex exec`.
 */
import { writeSync } from "node:fs";
import process from "node:process";
import { recordedResult } from "../_transcripts.ts";
import { block, deltaLine, ITEM_ID, longLine, piece, threadId } from "./_corpus.ts";

/** What a producer does, as JSON in the environment variable `BENCH`. */
export interface ProducerPlan {
  /** Deltas of a flood. */
  count: number;
  /** Threads that the deltas are spread over. Default 1. */
  threads?: number;
  /** Deltas a second, each in a write of its own. Default: as fast as they can be written. */
  perSecond?: number;
  /** Adds the member that other libraries insist on. Default `false`. */
  jsonrpc?: boolean;
  /** Sends one line of this many bytes instead of deltas. */
  lineBytes?: number;
}

const plan: ProducerPlan = JSON.parse(process.env["BENCH"] ?? '{"count":1000}');
const LINES_A_BLOCK = 400;
// deno-lint-ignore no-explicit-any
type Message = any;

const threads = plan.threads ?? 1;
const turns = new Map<string, { turnId: string; waits: boolean }>();
let nextThread = 0;

function say(message: Message): void {
  write(
    Buffer.from(JSON.stringify(plan.jsonrpc ? { jsonrpc: "2.0", ...message } : message) + "\n"),
  );
}

function write(bytes: Uint8Array): void {
  let offset = 0;
  while (offset < bytes.length) {
    try {
      offset += writeSync(1, bytes, offset, Math.min(65_536, bytes.length - offset));
    } catch (error) {
      if ((error as { code?: string }).code !== "EAGAIN") process.exit(0);
    }
  }
}

function turnIdOf(thread: number): string {
  return `01a20000-0000-7000-8001-${String(thread).padStart(12, "0")}`;
}

function line(n: number): string {
  const thread = n % threads;
  const text = deltaLine(Math.floor(n / threads), threadId(thread), turnIdOf(thread));
  return plan.jsonrpc ? `{"jsonrpc":"2.0",${text.slice(1)}` : text;
}

/** All deltas, ready to be written. */
function* blocks(): Generator<Uint8Array> {
  // The text repeats after 400 pieces: with one thread, one block stands for all.
  let same: Uint8Array | null = null;
  for (let from = 0; from < plan.count; from += LINES_A_BLOCK) {
    const size = Math.min(LINES_A_BLOCK, plan.count - from);
    if (threads === 1 && same !== null && size === LINES_A_BLOCK) yield same;
    else yield same = block(Array.from({ length: size }, (_, i) => line(from + i)));
  }
}

const pass = () => new Promise<void>((resolve) => setImmediate(resolve));

async function flood(): Promise<void> {
  if (plan.lineBytes !== undefined) return write(block([longLine(plan.lineBytes)]));
  if (plan.perSecond !== undefined) return await trickle(plan.perSecond);
  for (const each of threads === 1 ? blocks() : [...blocks()]) {
    write(each);
    // Questions are answered in between.
    await pass();
  }
}

async function trickle(perSecond: number): Promise<void> {
  const begun = performance.now();
  for (let n = 0; n < plan.count;) {
    const due = Math.min(plan.count, Math.floor((performance.now() - begun) / 1000 * perSecond));
    for (; n < due; n++) write(block([line(n)]));
    // A timer: a loop of immediates leaves no time for questions on some runtimes.
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** The whole text of one thread. */
function textOf(thread: number): string {
  const pieces: string[] = [];
  for (let n = thread; n < plan.count; n += threads) pieces.push(piece(Math.floor(n / threads)));
  return pieces.join("");
}

async function play(): Promise<void> {
  const all = [...turns].map(([id, { turnId }], index) => ({ id, turnId, index }));
  for (const { id, turnId } of all) {
    const base = { threadId: id, turnId };
    say({ method: "turn/started", params: { threadId: id, turn: { id: turnId, items: [] } } });
    const item = { type: "agentMessage", id: ITEM_ID, text: "", phase: null };
    say({ method: "item/started", params: { item, ...base } });
  }
  await flood();
  for (const { id, turnId, index } of all) {
    const base = { threadId: id, turnId };
    const item = { type: "agentMessage", id: ITEM_ID, text: textOf(index) || "ok", phase: null };
    say({ method: "item/completed", params: { item, ...base } });
    const turn = { id: turnId, items: [], status: "completed", error: null, durationMs: 1 };
    say({ method: "turn/completed", params: { threadId: id, turn } });
  }
  turns.clear();
}

function answer({ id, method, params }: Message): void {
  switch (method) {
    case "initialize":
      return say({
        id,
        result: {
          ...recordedResult("0.169", "basic", "initialize"),
          userAgent: `${params?.clientInfo?.name ?? "x"}/0.169.0 (bench)`,
        },
      });
    case "thread/start": {
      const result = structuredClone(recordedResult("0.169", "basic", "thread/start"));
      result.thread.id = threadId(nextThread++);
      result.cwd = params.cwd ?? result.cwd;
      result.thread.cwd = result.cwd;
      result.approvalPolicy = params.approvalPolicy ?? result.approvalPolicy;
      return say({ id, result });
    }
    case "turn/start": {
      const turnId = turnIdOf(Number(params.threadId.slice(-12)));
      turns.set(params.threadId, { turnId, waits: true });
      say({ id, result: { turn: { id: turnId, items: [], status: "inProgress", error: null } } });
      if (turns.size === threads) void play();
      return;
    }
    case "bench/flood":
      return void flood().then(() => say({ id, result: {} }));
    default:
      if (id !== undefined) say({ id, result: {} });
  }
}

/** `codex exec`: the same number of events of the same size. */
function exec(): void {
  say({ type: "thread.started", thread_id: threadId() });
  say({ type: "turn.started" });
  const width = deltaLine(0).length;
  const event = (n: number): string => {
    const head = `{"type":"item.updated","item":{"id":"item_1","type":"agent_message","text":`;
    const text = JSON.stringify(piece(n));
    return `${head}${text},"pad":"${
      "x".repeat(Math.max(0, width - head.length - text.length - 11))
    }"}}`;
  };
  const all = block(Array.from({ length: Math.min(400, plan.count) }, (_, n) => event(n)));
  if (plan.perSecond !== undefined) {
    const begun = performance.now();
    for (let n = 0; n < plan.count; n++) {
      while (performance.now() - begun < n / plan.perSecond * 1000) { /* on time */ }
      write(block([event(n)]));
    }
  } else for (let n = 0; n < plan.count; n += 400) write(all);
  say({ type: "item.completed", item: { id: "item_1", type: "agent_message", text: "done" } });
  const usage = { input_tokens: 1, cached_input_tokens: 0, output_tokens: 1 };
  say({ type: "turn.completed", usage });
}

if (process.argv.includes("--version")) {
  console.log("codex-cli 0.169.0");
} else if (process.argv.includes("exec")) {
  process.stdin.resume();
  process.stdin.once("end", exec);
} else {
  let rest = "";
  process.stdin.setEncoding("utf8");
  process.stdin.on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop()!;
    for (const each of lines) if (each !== "") answer(JSON.parse(each));
  });
  process.stdin.once("end", () => process.exit(0));
}
