/** What nobody can be faster than: the same pipe with nothing done to its bytes, or only what has to be done. */
import process from "node:process";
import { spawnProcess } from "../../src/platform/process_tree.ts";
import { measure, percentile, residentMb, watchMemory } from "./_measure.ts";

const task = JSON.parse(process.argv[2]!);
const codex = await spawnProcess({ command: process.env["CODEX"]!, args: ["app-server"] });
codex.onStderr(() => {});

const decoder = new TextDecoder();
let rest = "";
let bytes = 0;
// deno-lint-ignore no-explicit-any
let onMessage: (message: any) => void = () => {};

/** Splits and parses; text is joined only where a line is cut. */
function parse(chunk: Uint8Array): void {
  const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
  rest = lines.pop()!;
  for (const line of lines) onMessage(JSON.parse(line));
}

/** Long lines need a floor that is linear. */
const parts: Uint8Array[] = [];
function parseLong(chunk: Uint8Array): void {
  parts.push(chunk);
  if (chunk[chunk.length - 1] !== 10) return;
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts.splice(0)) {
    all.set(part, at);
    at += part.length;
  }
  for (const line of decoder.decode(all).split("\n")) if (line !== "") onMessage(JSON.parse(line));
}

const take = { parse, discard: () => {}, long: parseLong }[task.reading as string] ?? parse;
let ended: () => void = () => {};
const done = new Promise<void>((resolve) => ended = resolve);
let lastBytes = "";
codex.onStdout((chunk) => {
  bytes += chunk.length;
  take(chunk);
  if (task.reading !== "discard") return;
  lastBytes = new TextDecoder().decode(chunk.subarray(-24));
  if (lastBytes.endsWith('{"id":7,"result":{}}\n')) ended();
});

switch (task.variant) {
  case "flood": {
    let events = 0;
    onMessage = (message) => {
      events++;
      if (message.id === 7) ended();
    };
    const stop = measure();
    await codex.write('{"id":7,"method":"bench/flood"}\n');
    await done;
    console.log(JSON.stringify({ ...stop(), events, bytes }));
    break;
  }
  case "parse": {
    // The parse of one long line alone, without the pipe.
    const { longLine } = await import("./_corpus.ts");
    const flat = new TextDecoder().decode(new TextEncoder().encode(longLine(task.bytes)));
    const times: number[] = [];
    for (let i = 0; i < 7; i++) {
      const stop = measure();
      const parsed = JSON.parse(flat);
      times.push(stop().cpuMs);
      if (parsed.method !== "item/completed") throw new Error("parsed something else");
    }
    console.log(JSON.stringify({ cpuMs: percentile(times, 0.5) }));
    break;
  }
  case "queue": {
    // Every message kept as it comes, as most clients do, and looked at when all are there.
    const queue: unknown[] = [];
    const before = residentMb();
    const peak = watchMemory();
    onMessage = (message) => {
      if (message.id === 7) ended();
      else queue.push(message);
    };
    await codex.write('{"id":7,"method":"bench/flood"}\n');
    await done;
    console.log(JSON.stringify({ grewMb: peak() - before, events: queue.length }));
    break;
  }
  case "readers": {
    // The least that any client must do: find a message's session, and wake the one who reads it, from the beginning of
    // its turn to the end. The same conversation as this library's: what begins and ends turns is read by both.
    // deno-lint-ignore no-explicit-any
    type Message = any;
    interface Reader {
      queue: Message[];
      wake: (() => void) | null;
    }
    const readers = new Map<string, Reader>();
    const answers = new Map<number, (result: Message) => void>();
    let nextId = 0;
    const ask = (method: string, params: unknown) => {
      const id = nextId++;
      codex.write(JSON.stringify({ id, method, params }) + "\n");
      return new Promise<Message>((resolve) => answers.set(id, resolve));
    };
    onMessage = (message) => {
      const { id, method, params, result } = message;
      if (method === undefined) return answers.get(id)?.(result);
      const reader = readers.get(params?.threadId);
      if (reader === undefined) return;
      reader.queue.push(message);
      reader.wake?.();
      reader.wake = null;
    };
    let characters = 0;
    const read = async (reader: Reader): Promise<void> => {
      for (;;) {
        const { queue } = reader;
        reader.queue = [];
        for (const { method, params } of queue) {
          if (method === "item/agentMessage/delta") characters += params.delta.length;
          else if (method === "turn/completed") return;
        }
        if (reader.queue.length > 0) continue;
        await new Promise<void>((resolve) => reader.wake = resolve);
      }
    };
    await ask("initialize", { clientInfo: { name: "floor", title: null, version: "0" } });
    const reading: Promise<void>[] = [];
    for (let i = 0; i < task.sessions; i++) {
      const { thread } = await ask("thread/start", { cwd: process.cwd() });
      const reader: Reader = { queue: [], wake: null };
      readers.set(thread.id, reader);
      reading.push(read(reader));
    }
    const input = [{ type: "text", text: "flood" }];
    await Promise.all(
      [...readers.keys()].map((threadId) => ask("turn/start", { threadId, input })),
    );
    const stop = measure();
    await Promise.all(reading);
    console.log(JSON.stringify({ ...stop(), characters }));
    break;
  }
  case "calls": {
    // The least that calls take: one write for all of a tick, a promise for each id, and a window: of 1,000 requests at
    // once, codex 0.169 leaves 150 to 300 without any answer, and of 128 none.
    type Settle = { resolve: (result: unknown) => void; reject: (error: unknown) => void };
    const waiting = new Map<number, Settle>();
    const queue: (Settle & { params: unknown })[] = [];
    let head = 0;
    let nextId = 0;
    let lines = "";
    const send = (call: Settle & { params: unknown }) => {
      const id = nextId++;
      waiting.set(id, call);
      if (lines === "") {
        queueMicrotask(() => {
          codex.write(lines);
          lines = "";
        });
      }
      lines += JSON.stringify({ id, method: "model/list", params: call.params }) + "\n";
    };
    onMessage = ({ id, result, error }) => {
      const call = waiting.get(id);
      if (call === undefined) return;
      waiting.delete(id);
      if (error === undefined) call.resolve(result);
      else call.reject(error);
      if (head < queue.length) send(queue[head++]!);
      else queue.length = head = 0;
    };
    const ask = () =>
      new Promise<unknown>((resolve, reject) => {
        const call = { params: {}, resolve, reject };
        if (waiting.size < 128) send(call);
        else queue.push(call);
      });
    for (let i = 0; i < 300; i++) await ask();
    const times: number[] = [];
    for (let i = 0; i < task.sequential; i++) {
      const begun = performance.now();
      await ask();
      times.push(performance.now() - begun);
    }
    for (let i = 0; i < 4; i++) await Promise.all(Array.from({ length: task.pipelined }, ask));
    const stop = measure();
    for (let i = 0; i < 4; i++) await Promise.all(Array.from({ length: task.pipelined }, ask));
    const cpuMs = stop().cpuMs / 4;
    console.log(
      JSON.stringify({ cpuMs, p50: percentile(times, 0.5), p99: percentile(times, 0.99) }),
    );
    break;
  }
}
codex.closeStdin();
await codex.exited;
await codex.release();
