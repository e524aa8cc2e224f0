/** Benchmarks on a fast fake codex: floods, trickles, many sessions, requests, slow readers. */
import { child, type Task } from "./_child.ts";
import type { Effort } from "./main.ts";
import { median, pairedRatio } from "./_measure.ts";
import { markdown, number, type Row } from "./_report.ts";

// deno-lint-ignore no-explicit-any
type Result = any;

/** Runs things one after the other, again and again; the results by name, in order. */
async function sideBySide(
  rounds: number,
  things: readonly [name: string, script: string, task: Task][],
): Promise<Map<string, Result[]>> {
  const results = new Map<string, Result[]>(things.map(([name]) => [name, []]));
  for (let i = 0; i < rounds; i++) {
    for (const [name, script, task] of things) results.get(name)!.push(await child(script, task));
  }
  return results;
}

const cpu = (results: Map<string, Result[]>, name: string): number[] =>
  results.get(name)!.map(({ cpuMs }) => cpuMs);

/** M6: a flood of deltas, read to the last one. */
export async function flood({ rounds, quick }: Effort): Promise<Row[]> {
  const count = quick ? 20_000 : 200_000;
  const plan = { count };
  const other = { plan: { count, jsonrpc: true }, variant: "flood" };
  const results = await sideBySide(rounds, [
    ["bytes thrown away", "_floor.ts", { variant: "flood", reading: "discard", plan }],
    ["split and JSON.parse only", "_floor.ts", { variant: "flood", reading: "parse", plan }],
    ["this library, for await", "_ours.ts", { variant: "flood", plan }],
    ["this library, nobody listens", "_ours.ts", { variant: "unread", plan }],
    ["@agentclientprotocol/sdk", "_peer_readers.ts", { ...other, peer: "acp" }],
    ["@openai/codex-sdk", "_peer_readers.ts", { variant: "flood", peer: "codexSdk", plan }],
    ["vscode-jsonrpc, by lines", "_peer_readers.ts", { ...other, peer: "vscode" }],
    ["ai-sdk-provider-codex-cli", "_peer_readers.ts", { variant: "flood", peer: "aiSdk", plan }],
  ]);
  const ours = cpu(results, "this library, for await");
  console.log(`${count} deltas of about 230 bytes; processor time of the reader\n`);
  console.log(markdown(
    ["reader", "ns a delta", "× this library", "× JSON.parse"],
    [...results.keys()].map((name) => {
      const theirs = cpu(results, name);
      const floor = cpu(results, "split and JSON.parse only");
      return [
        name,
        number(median(theirs) * 1e6 / count),
        number(pairedRatio(theirs, ours)),
        number(pairedRatio(theirs, floor)),
      ];
    }),
  ));
  if (!results.get("this library, for await")!.every(({ whole }) => whole)) {
    throw new Error("text was lost");
  }
  return [
    {
      id: "M6",
      what: "flood, CPU a delta / `@agentclientprotocol/sdk`'s",
      target: 0.65,
      stretch: 0.33,
      measured: pairedRatio(ours, cpu(results, "@agentclientprotocol/sdk")),
    },
    {
      id: "M6",
      what: "flood / `ai-sdk-provider-codex-cli`'s",
      target: 0.1,
      measured: pairedRatio(ours, cpu(results, "ai-sdk-provider-codex-cli")),
    },
    {
      id: "M6",
      what: "flood / split and `JSON.parse` on the same pipe",
      target: null,
      measured: pairedRatio(ours, cpu(results, "split and JSON.parse only")),
    },
  ];
}

/** M6 at the speed of a quick model: each delta is a wake-up of its own. */
export async function trickle({ rounds, quick }: Effort): Promise<Row[]> {
  const plan = { count: quick ? 1000 : 6000, perSecond: 2000 };
  const results = await sideBySide(Math.min(3, rounds), [
    ["bytes thrown away", "_floor.ts", { variant: "flood", reading: "discard", plan }],
    ["this library", "_ours.ts", { variant: "flood", plan }],
    ["@openai/codex-sdk", "_peer_readers.ts", { variant: "flood", peer: "codexSdk", plan }],
    ["ai-sdk-provider-codex-cli", "_peer_readers.ts", { variant: "flood", peer: "aiSdk", plan }],
  ]);
  const ours = cpu(results, "this library");
  console.log("2,000 deltas a second, each in a write of its own\n");
  console.log(markdown(
    ["reader", "µs a delta", "× this library"],
    [...results.keys()].map((name) => [
      name,
      number(median(cpu(results, name)) * 1e3 / plan.count),
      number(pairedRatio(cpu(results, name), ours)),
    ]),
  ));
  return [
    {
      id: "M6",
      what: "2,000 deltas a second, CPU / `@openai/codex-sdk`'s",
      target: 0.95,
      measured: pairedRatio(ours, cpu(results, "@openai/codex-sdk")),
    },
    {
      id: "M6",
      what: "2,000 deltas a second / `ai-sdk-provider-codex-cli`'s",
      target: 0.5,
      measured: pairedRatio(ours, cpu(results, "ai-sdk-provider-codex-cli")),
    },
    {
      id: "M6",
      what: "2,000 deltas a second / a loop that throws the bytes away",
      target: 1.6,
      measured: pairedRatio(ours, cpu(results, "bytes thrown away")),
    },
  ];
}

/** M7: many sessions on one connection. */
export async function sessions({ rounds, quick }: Effort): Promise<Row[]> {
  const count = quick ? 20_000 : 400_000;
  const many = quick ? 100 : 1000;
  const of = (n: number): [string, string, Task] => [
    `${n} sessions`,
    "_ours.ts",
    { variant: "sessions", sessions: n, plan: { count, threads: n } },
  ];
  const broadcast = count / 10;
  const results = await sideBySide(Math.min(3, rounds), [
    of(1),
    of(quick ? 10 : 100),
    of(many),
    ["broadcast", "_floor.ts", {
      variant: "broadcast",
      sessions: many,
      plan: { count: broadcast, threads: many },
    }],
  ]);
  const one = cpu(results, "1 sessions");
  console.log(markdown(
    ["", "ns a delta", "× 1 session"],
    [...results.keys()].map((name) => {
      const times = cpu(results, name).map((ms) => name === "broadcast" ? ms * 10 : ms);
      return [name, number(median(times) * 1e6 / count), number(pairedRatio(times, one))];
    }),
  ));
  const all = cpu(results, `${many} sessions`);
  return [
    {
      id: "M7",
      what: `CPU a delta with ${many} sessions / with one`,
      target: 1.7,
      stretch: 1.3,
      measured: pairedRatio(all, one),
    },
    {
      id: "M7",
      what: `${many} sessions / an EventEmitter that tells all of them`,
      target: 0.125,
      measured: pairedRatio(all, cpu(results, "broadcast").map((ms) => ms * 10)),
    },
  ];
}

/** M8: round trips, and many calls at once. */
export async function requests({ rounds, quick }: Effort): Promise<Row[]> {
  const sizes = { sequential: quick ? 300 : 3000, pipelined: quick ? 1000 : 10_000 };
  const plain = { variant: "requests", ...sizes };
  const peer = { ...plain, plan: { count: 0, jsonrpc: true } };
  const results = await sideBySide(rounds, [
    ["raw pipe", "_floor.ts", { variant: "pingpong", ...sizes }],
    ["this library", "_ours.ts", plain],
    ["@agentclientprotocol/sdk", "_peer_readers.ts", { ...peer, peer: "acp" }],
    ["vscode-jsonrpc, by lines", "_peer_readers.ts", { ...peer, peer: "vscode" }],
  ]);
  const p50 = (name: string) => results.get(name)!.map((each) => each.p50 * 1000);
  console.log(markdown(
    ["", "p50 µs", "p99 µs", `${sizes.pipelined} at once, CPU µs a call`],
    [...results].map(([name, all]) => [
      name,
      number(median(p50(name))),
      number(median(all.map((each) => each.p99 * 1000))),
      all[0].cpuMs === undefined ? "" : number(median(cpu(results, name)) * 1000 / sizes.pipelined),
    ]),
  ));
  const ours = cpu(results, "this library");
  return [
    {
      id: "M8",
      what: "round trip p50 / ping-pong on the raw pipe",
      target: 1.7,
      stretch: 1.4,
      measured: pairedRatio(p50("this library"), p50("raw pipe")),
    },
    {
      id: "M8",
      what: "pipelined calls, CPU / `@agentclientprotocol/sdk`'s",
      target: 0.33,
      measured: pairedRatio(ours, cpu(results, "@agentclientprotocol/sdk")),
    },
    {
      id: "M8",
      what: "pipelined calls / `vscode-jsonrpc`'s with a reader of lines",
      target: 0.33,
      measured: pairedRatio(ours, cpu(results, "vscode-jsonrpc, by lines")),
    },
  ];
}

/** M9: a reader that does not keep up. */
export async function slowReader({ rounds, quick }: Effort): Promise<Row[]> {
  const plan = { count: quick ? 50_000 : 1_000_000 };
  const gentle = { count: quick ? 2000 : 20_000, perSecond: 5000 };
  const results = await sideBySide(Math.min(3, rounds), [
    ["stalls until all is there", "_ours.ts", { variant: "slow", reader: "stalls", plan }],
    ["1 ms for each event", "_ours.ts", { variant: "slow", reader: "slow", plan }],
    ["keeps every message", "_floor.ts", { variant: "queue", reading: "parse", plan }],
  ]);
  const meanwhile = await sideBySide(1, [
    ["gentle", "_ours.ts", { variant: "slow", reader: "stalls", plan: gentle }],
  ]);
  const grew = (name: string) => results.get(name)!.map(({ grewMb }) => grewMb);
  console.log(`${plan.count} deltas\n`);
  console.log(markdown(
    ["reader", "memory grew by MB", "deliveries", "text"],
    [...results].map(([name, all]) => [
      name,
      number(median(grew(name))),
      String(all[0].events),
      all[0].identical === undefined
        ? ""
        : all.every(({ identical }) => identical)
        ? "identical"
        : "LOST",
    ]),
  ));
  const [{ idleP50, duringP50 }] = meanwhile.get("gentle")!;
  console.log(
    `\nanother request meanwhile, at 5,000 deltas a second: p50 ${number(duringP50 * 1000)} µs, ` +
      `idle ${number(idleP50 * 1000)} µs`,
  );
  const lost = [...results.values()].flat().filter(({ identical }) => identical === false).length;
  return [
    {
      id: "M9",
      what: "memory a stalled reader costs / a queue that keeps every message",
      target: 0.25,
      measured: pairedRatio(grew("stalls until all is there"), grew("keeps every message")),
    },
    { id: "M9", what: "texts that were not identical", target: 0, measured: lost, unit: "" },
    {
      id: "M9",
      what: "a request meanwhile, p50 / idle",
      target: 2,
      measured: duringP50 / idleP50,
    },
  ];
}
