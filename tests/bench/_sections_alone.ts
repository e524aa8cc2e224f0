/** Benchmarks without a server: decoding, long lines, imports. */
import { pathToFileURL } from "node:url";
import { join } from "node:path";
import { ROOT } from "../_codex.ts";
import { registry } from "../package/_jsr.ts";
import { PACKAGE } from "../package/_package.ts";
import { succeed } from "../package/_run.ts";
import { esbuildPath } from "../package/_tools.ts";
import { child, RUNTIME } from "./_child.ts";
import { longLine } from "./_corpus.ts";
import { manualCore, measureDecode } from "./_decode.ts";
import type { Effort } from "./main.ts";
import { median, pairedRatio } from "./_measure.ts";
import { markdown, number, type Row } from "./_report.ts";

/** M4: decode and route, against `JSON.parse` of the same lines in the same process. */
export async function decode({ quick }: Effort): Promise<Row[]> {
  const { floorNs, subscribed, unsubscribed } = await measureDecode(
    quick ? 20 : 40,
    quick ? 15 : 40,
  );
  console.log(
    `JSON.parse ${number(floorNs)} ns a line; framing, decoding, log, routing and text ` +
      `${number(subscribed.middle)} × that with a listener, ` +
      `${number(unsubscribed.middle)} × without`,
  );
  const bun = RUNTIME === "bun";
  return [
    {
      id: "M4",
      what: "decode and route a delta for a listener / `JSON.parse` of its line",
      target: bun ? 1.5 : 1.25,
      stretch: 1,
      measured: subscribed,
    },
    {
      id: "M4",
      what: "the same when nobody listens",
      target: bun ? 0.95 : 0.45,
      measured: unsubscribed,
    },
  ];
}

/** M5: one long line in chunks of a pipe. */
export async function lines({ quick }: Effort): Promise<Row[]> {
  const sizes = quick ? [1, 5] : [1, 5, 20, 50];
  const { core, transport } = await manualCore();
  core.log.append = () => 0;
  const ratios: number[] = [];
  const perMb: number[] = [];
  for (const mb of sizes) {
    const bytes = new TextEncoder().encode(longLine(mb << 20) + "\n");
    const flat = new TextDecoder().decode(bytes);
    const pairs: [number, number][] = [];
    for (let i = 0; i < (quick ? 3 : 9); i++) {
      let begun = performance.now();
      JSON.parse(flat);
      const floor = performance.now() - begun;
      // Chunks as a pipe would hand them out, made before the clock runs.
      const chunks: Uint8Array[] = [];
      for (let at = 0; at < bytes.length; at += 65_536) chunks.push(bytes.slice(at, at + 65_536));
      begun = performance.now();
      for (const chunk of chunks) transport.sink.bytes(chunk);
      pairs.push([performance.now() - begun, floor]);
    }
    ratios.push(median(pairs.map(([ours, floor]) => ours / floor)));
    perMb.push(median(pairs.map(([ours]) => ours)) / mb);
  }
  console.log(markdown(
    ["line", "ms a MB", "× JSON.parse"],
    sizes.map((mb, i) => [`${mb} MB`, number(perMb[i]!), number(ratios[i]!)]),
  ));
  const at20 = Math.min(2, sizes.length - 1);
  return [
    {
      id: "M5",
      what: `one line of ${sizes[at20]} MB / its \`JSON.parse\``,
      target: 2.6,
      stretch: 2,
      measured: ratios[at20]!,
    },
    {
      id: "M5",
      what: `a byte of it / a byte of a line of 1 MB`,
      target: 1.5,
      measured: perMb[at20]! / perMb[0]!,
    },
  ];
}

/** The library in one file, as a bundler makes it. */
async function bundled(): Promise<string> {
  const path = join(ROOT, ".cache", "bench", "bundle.js");
  const args = ["--bundle", "--format=esm", "--platform=node", "--target=es2024"];
  await succeed(await esbuildPath(), ["mod.ts", ...args, `--outfile=${path}`], { cwd: ROOT });
  return path;
}

/** M10: the first import, and what types cost. */
export async function imports(effort: Effort): Promise<Row[]> {
  const modules: [string, string][] = [
    ["this library", pathToFileURL(join(ROOT, "mod.ts")).href],
    ["this library, bundled", pathToFileURL(await bundled()).href],
    ["@openai/codex-sdk", "@openai/codex-sdk"],
    ["vscode-jsonrpc", "vscode-jsonrpc"],
    ["@agentclientprotocol/sdk", "@agentclientprotocol/sdk"],
    ["ai-sdk-provider-codex-cli", "ai-sdk-provider-codex-cli"],
  ];
  const EMPTY = "an empty script, whole process";
  const times = new Map<string, number[]>([...modules.map(([name]) => name), EMPTY]
    .map((name) => [name, []]));
  const memory = new Map<string, number[]>(modules.map(([name]) => [name, []]));
  for (let i = 0; i < effort.rounds + 1; i++) {
    const empty = await child("_empty.ts", { variant: EMPTY });
    if (i > 0) times.get(EMPTY)!.push(empty.cpuMs);
    for (const [name, module] of modules) {
      // Where the other libraries are installed, so that their names are found.
      const { cpuMs, mb } = await child("_peer_import.ts", { variant: name, module });
      // The first round fills the runtime's caches.
      if (i > 0) times.get(name)!.push(cpuMs), memory.get(name)!.push(mb);
    }
  }
  const of = (name: string) => median(times.get(name)!);
  console.log(markdown(
    ["first import", "CPU ms", "MB"],
    [...times.keys()].map((name) => [
      name,
      number(of(name)),
      name === EMPTY ? "" : number(median(memory.get(name)!)),
    ]),
  ));
  const rows = ["", ", bundled"].flatMap((how): Row[] => {
    const name = `this library${how}`;
    const what = `first import${how}`;
    return [
      {
        id: "M10",
        what: `${what}, CPU`,
        target: how === "" ? 30 : 10,
        measured: of(name),
        unit: "ms",
      },
      {
        id: "M10",
        what: `${what} / all of an empty script`,
        target: null,
        measured: pairedRatio(times.get(name)!, times.get(EMPTY)!),
      },
    ];
  });
  return RUNTIME === "deno" ? [...rows, ...await scripts(effort)] : rows;
}

/** What it costs to run and to check a script of three lines that has the package from JSR. */
async function scripts({ rounds }: Effort): Promise<Row[]> {
  await using jsr = await registry();
  const empty = "export {};\n";
  const three = `import { quickRun } from "jsr:${PACKAGE.name}";\n` +
    `const answer = async () => (await quickRun(".", "hello")).assistantText;\n` +
    `console.log(typeof answer);\n`;
  const rows: Row[] = [];
  for (
    const { command, installed, target } of [
      { command: "run", installed: true, target: null },
      { command: "check", installed: true, target: 0.6 },
      { command: "check", installed: false, target: 0.6 },
    ]
  ) {
    const cost = async (text: string): Promise<number> => {
      const task = { variant: command, command, text, registry: jsr.url, installed };
      return (await child("_script_cost.ts", task)).cpuMs / 1000;
    };
    const beyond: number[] = [];
    for (let i = 0; i < rounds; i++) beyond.push(await cost(three) - await cost(empty));
    const what = `\`deno ${command}\` of three lines that import it, CPU beyond an empty script's`;
    rows.push({
      id: "M10",
      what: installed ? `${what}, once it is downloaded` : what,
      target,
      measured: median(beyond),
      unit: "s",
    });
  }
  return rows;
}
