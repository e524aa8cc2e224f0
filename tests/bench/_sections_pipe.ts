/** Benchmarks on a fast fake codex: floods, trickles, many sessions, requests, slow readers. */
import { child, RUNTIME, type Task } from "./_child.ts";
import type { Effort } from "./main.ts";
import { isSettled, median, pairedRatio } from "./_measure.ts";
import { markdown, number, type Row } from "./_report.ts";

// deno-lint-ignore no-explicit-any
type Result = any;

type Results = Map<string, Result[]>;
type Numbers = (results: Results, name: string) => number[];

/** Runs things one after the other, again and again, until the ratios of the rows are settled; results by name, in order. */
async function sideBySide(
  { rounds, most }: Pick<Effort, "rounds" | "most">,
  things: readonly [name: string, script: string, task: Task][],
  rowsOf: (results: Results) => Row[],
): Promise<{ results: Results; rows: Row[] }> {
  const results: Results = new Map(things.map(([name]) => [name, []]));
  for (let i = 1;; i++) {
    for (const [name, script, task] of things) results.get(name)!.push(await child(script, task));
    if (i < rounds) continue;
    const rows = rowsOf(results);
    const settled = rows.every(({ measured }) =>
      typeof measured === "number" || isSettled(measured)
    );
    if (settled || i >= most) return { results, rows };
  }
}

const cpu: Numbers = (results, name) => results.get(name)!.map(({ cpuMs }) => cpuMs);

/** M6: a flood of deltas, read to the last one. */
export async function flood(effort: Effort): Promise<Row[]> {
  const count = effort.quick ? 100_000 : 200_000;
  const plan = { count };
  const other = { plan: { count, jsonrpc: true }, variant: "flood" };
  const ours = "this library, for await";
  const parsing = "split and JSON.parse only";
  const least = "the least: and a Map, and a reader woken";
  const { results, rows } = await sideBySide(effort, [
    ["bytes thrown away", "_floor.ts", { variant: "flood", reading: "discard", plan }],
    [parsing, "_floor.ts", { variant: "flood", reading: "parse", plan }],
    [least, "_floor.ts", { variant: "readers", sessions: 1, plan }],
    [ours, "_ours.ts", { variant: "flood", plan }],
    ["this library, nobody listens", "_ours.ts", { variant: "unread", plan }],
    ["@agentclientprotocol/sdk", "_peer_readers.ts", { ...other, peer: "acp" }],
    ["@openai/codex-sdk", "_peer_readers.ts", { variant: "flood", peer: "codexSdk", plan }],
    ["vscode-jsonrpc, by lines", "_peer_readers.ts", { ...other, peer: "vscode" }],
    ["ai-sdk-provider-codex-cli", "_peer_readers.ts", { variant: "flood", peer: "aiSdk", plan }],
  ], (results) => {
    const to = (name: string) => pairedRatio(cpu(results, ours), cpu(results, name));
    return [
      {
        id: "M6",
        what: "flood, one session, CPU a delta / the least any client must do",
        target: RUNTIME === "bun" ? 1.5 : 1,
        measured: to(least),
      },
      {
        id: "M6",
        what: "flood / `@agentclientprotocol/sdk`'s",
        target: 0.65,
        stretch: 0.33,
        measured: to("@agentclientprotocol/sdk"),
      },
      {
        id: "M6",
        what: "flood / `ai-sdk-provider-codex-cli`'s",
        target: 0.1,
        measured: to("ai-sdk-provider-codex-cli"),
      },
    ];
  });
  console.log(`${count} deltas of about 230 bytes; processor time of the reader\n`);
  console.log(markdown(
    ["reader", "ns a delta", "× this library", "× JSON.parse"],
    [...results.keys()].map((name) => {
      const theirs = cpu(results, name);
      return [
        name,
        number(median(theirs) * 1e6 / count),
        number(pairedRatio(theirs, cpu(results, ours)).middle),
        number(pairedRatio(theirs, cpu(results, parsing)).middle),
      ];
    }),
  ));
  if (!results.get(ours)!.every(({ whole }) => whole)) throw new Error("text was lost");
  return rows;
}

/** M6 at the speed of a quick model: each delta is a wake-up of its own. */
export async function trickle(effort: Effort): Promise<Row[]> {
  const plan = { count: effort.quick ? 1000 : 6000, perSecond: 2000 };
  const { results, rows } = await sideBySide(effort, [
    ["bytes thrown away", "_floor.ts", { variant: "flood", reading: "discard", plan }],
    ["this library", "_ours.ts", { variant: "flood", plan }],
    ["@openai/codex-sdk", "_peer_readers.ts", { variant: "flood", peer: "codexSdk", plan }],
    ["ai-sdk-provider-codex-cli", "_peer_readers.ts", { variant: "flood", peer: "aiSdk", plan }],
  ], (results) => {
    const to = (name: string) => pairedRatio(cpu(results, "this library"), cpu(results, name));
    return [
      {
        id: "M6",
        what: "2,000 deltas a second, CPU / `@openai/codex-sdk`'s",
        target: 0.95,
        measured: to("@openai/codex-sdk"),
      },
      {
        id: "M6",
        what: "2,000 deltas a second / `ai-sdk-provider-codex-cli`'s",
        target: 0.5,
        measured: to("ai-sdk-provider-codex-cli"),
      },
      {
        id: "M6",
        what: "2,000 deltas a second / a loop that throws the bytes away",
        target: 1.6,
        measured: to("bytes thrown away"),
      },
    ];
  });
  const ours = cpu(results, "this library");
  console.log("2,000 deltas a second, each in a write of its own\n");
  console.log(markdown(
    ["reader", "µs a delta", "× this library"],
    [...results.keys()].map((name) => [
      name,
      number(median(cpu(results, name)) * 1e3 / plan.count),
      number(pairedRatio(cpu(results, name), ours).middle),
    ]),
  ));
  return rows;
}

/** M7: many sessions on one connection. */
export async function sessions(effort: Effort): Promise<Row[]> {
  const { quick } = effort;
  const count = quick ? 100_000 : 400_000;
  const many = 1000;
  const of = (n: number): [string, string, Task] => [
    `${n} sessions`,
    "_ours.ts",
    { variant: "sessions", sessions: n, plan: { count, threads: n } },
  ];
  const ours = `${many} sessions`;
  const least = `the least, for ${many} readers`;
  const peer = `@agentclientprotocol/sdk, ${many} threads`;
  const plan = { count, threads: many };
  const { results, rows } = await sideBySide(effort, [
    of(1),
    of(100),
    of(many),
    [least, "_floor.ts", { variant: "readers", sessions: many, plan }],
    [peer, "_peer_readers.ts", {
      variant: "flood",
      peer: "acp",
      threads: many,
      plan: { ...plan, jsonrpc: true },
    }],
  ], (results) => {
    const to = (name: string) => pairedRatio(cpu(results, ours), cpu(results, name));
    return [
      {
        id: "M7",
        what: `${many} sessions, CPU a delta / the least any client must do`,
        target: 1.5,
        measured: to(least),
      },
      {
        id: "M7",
        what: `${many} sessions / \`@agentclientprotocol/sdk\` and a Map`,
        target: 1 / 3,
        measured: to(peer),
      },
      {
        id: "M7",
        what: `CPU a delta with ${many} sessions / with one`,
        target: null,
        measured: to("1 sessions"),
      },
    ];
  });
  const one = cpu(results, "1 sessions");
  console.log(markdown(
    ["", "ns a delta", "× 1 session"],
    [...results.keys()].map((name) => {
      const times = cpu(results, name);
      return [name, number(median(times) * 1e6 / count), number(pairedRatio(times, one).middle)];
    }),
  ));
  return rows;
}

/** M8: round trips, and many calls at once. */
export async function requests(effort: Effort): Promise<Row[]> {
  const { quick } = effort;
  const sizes = { sequential: quick ? 300 : 3000, pipelined: quick ? 5000 : 10_000 };
  const plain = { variant: "requests", ...sizes };
  const peer = { ...plain, plan: { count: 0, jsonrpc: true } };
  const p50: Numbers = (results, name) => results.get(name)!.map((each) => each.p50 * 1000);
  const { results, rows } = await sideBySide(effort, [
    ["the least: a write a tick, a Map of promises", "_floor.ts", { variant: "calls", ...sizes }],
    ["this library", "_ours.ts", plain],
    ["@agentclientprotocol/sdk", "_peer_readers.ts", { ...peer, peer: "acp" }],
    ["vscode-jsonrpc, by lines", "_peer_readers.ts", { ...peer, peer: "vscode" }],
  ], (results) => {
    const [least, ours, ...peers] = [...results.keys()] as [string, string, ...string[]];
    const to = (name: string) => pairedRatio(cpu(results, ours), cpu(results, name));
    const best = peers.toSorted((a, b) => median(cpu(results, a)) - median(cpu(results, b)))[0]!;
    return [
      {
        id: "M8",
        what: "round trip p50 / ping-pong on the raw pipe",
        target: 1.7,
        stretch: 1.4,
        measured: pairedRatio(p50(results, ours), p50(results, least)),
      },
      {
        id: "M8",
        what: "pipelined calls, CPU / the least any client must do",
        target: 1.6,
        measured: to(least),
      },
      {
        id: "M8",
        what: `pipelined calls / the best peer's, \`${best}\``,
        target: 0.4,
        measured: to(best),
      },
    ];
  });
  console.log(markdown(
    ["", "p50 µs", "p99 µs", `${sizes.pipelined} at once, CPU µs a call`],
    [...results].map(([name, all]) => [
      name,
      number(median(p50(results, name))),
      number(median(all.map((each) => each.p99 * 1000))),
      number(median(cpu(results, name)) * 1000 / sizes.pipelined),
    ]),
  ));
  return rows;
}

/** M9: a reader that does not keep up. */
export async function slowReader(effort: Effort): Promise<Row[]> {
  const { quick } = effort;
  const plan = { count: quick ? 200_000 : 1_000_000 };
  const gentle = { count: quick ? 2000 : 20_000, perSecond: 5000 };
  const grew: Numbers = (results, name) => results.get(name)!.map(({ grewMb }) => grewMb);
  const { results, rows } = await sideBySide(effort, [
    ["stalls until all is there", "_ours.ts", { variant: "slow", reader: "stalls", plan }],
    ["keeps every message", "_floor.ts", { variant: "queue", reading: "parse", plan }],
  ], (results) => [{
    id: "M9",
    what: "memory a stalled reader costs / a queue that keeps every message",
    target: 0.25,
    measured: pairedRatio(
      grew(results, "stalls until all is there"),
      grew(results, "keeps every message"),
    ),
  }]);
  const slow = { variant: "slow", reader: "slow", plan };
  results.set("1 ms for each event", [await child("_ours.ts", slow)]);
  console.log(`${plan.count} deltas\n`);
  console.log(markdown(
    ["reader", "memory grew by MB", "deliveries", "text"],
    [...results].map(([name, all]) => [
      name,
      number(median(grew(results, name))),
      String(all[0].events),
      all[0].identical === undefined
        ? ""
        : all.every(({ identical }) => identical)
        ? "identical"
        : "LOST",
    ]),
  ));
  const { idleP50, duringP50 } = await child("_ours.ts", {
    ...slow,
    reader: "stalls",
    plan: gentle,
  });
  console.log(
    `\nanother request meanwhile, at 5,000 deltas a second: p50 ${number(duringP50 * 1000)} µs, ` +
      `idle ${number(idleP50 * 1000)} µs`,
  );
  const lost = [...results.values()].flat().filter(({ identical }) => identical === false).length;
  return [
    ...rows,
    { id: "M9", what: "texts that were not identical", target: 0, measured: lost, unit: "" },
    {
      id: "M9",
      what: "a request meanwhile, p50 / idle",
      target: 2,
      measured: duringP50 / idleP50,
    },
  ];
}
