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
  case "broadcast": {
    // One emitter, a listener for each session that looks for its own thread.
    const { EventEmitter } = await import("node:events");
    const { threadId } = await import("./_corpus.ts");
    const emitter = new EventEmitter().setMaxListeners(0);
    let events = 0;
    for (let i = 0; i < task.sessions; i++) {
      const mine = threadId(i);
      // deno-lint-ignore no-explicit-any
      emitter.on("message", ({ params }: any) => {
        if (params?.threadId === mine) events++;
      });
    }
    onMessage = (message) => message.id === 7 ? ended() : emitter.emit("message", message);
    const stop = measure();
    await codex.write('{"id":7,"method":"bench/flood"}\n');
    await done;
    console.log(JSON.stringify({ ...stop(), events }));
    break;
  }
  case "pingpong": {
    let answered: () => void = () => {};
    onMessage = () => answered();
    const times: number[] = [];
    const once = async () => {
      const got = new Promise<void>((resolve) => answered = resolve);
      codex.write('{"id":1,"method":"x"}\n');
      await got;
    };
    for (let i = 0; i < 300; i++) await once();
    for (let i = 0; i < task.sequential; i++) {
      const begun = performance.now();
      await once();
      times.push(performance.now() - begun);
    }
    console.log(
      JSON.stringify({ p50: percentile(times, 0.5), p99: percentile(times, 0.99) }),
    );
    break;
  }
}
codex.closeStdin();
await codex.exited;
await codex.release();
