/**
 * The tarball in the projects of its users: `deno task consumers [name …]` installs each tool by exact version into a
 * project of its own, uses the package with it and prints a table, which `tests/package/README.md` keeps. What is quick
 * is in CI: `bundle_test.ts` (esbuild, rollup), `tarball_test.ts` (npm, Bun, tsc), `browser_test.ts`, `workerd_test.ts`.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import process from "node:process";
import { bunPath, nodePath, ROOT } from "../../_codex.ts";
import { type Machine, machine } from "../_machine.ts";
import { pack } from "../_package.ts";
import { run, succeed } from "../_run.ts";

/** One tool and what is done with it. */
interface Consumer {
  name: string;
  packages?: string[];
  files?: Record<string, string>;
  /** Commands; `node` is the suite's, and `bin/NAME` is one that a package brought. */
  commands: string[][];
  /** What the last one prints. */
  prints?: RegExp;
}

const ANSWER = /^answer: from codex$/m;
const RUN = `import { quickRun } from "@codex/runtime";
const { assistantText } = await quickRun(process.cwd(), "hi");
console.log("answer: " + assistantText);
`;
const PAGE = `import { CodexError, web } from "@codex/runtime";
document.title = String(new CodexError("x", "y")) + typeof web.createBridge;
`;
const TSC = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  target: "es2022",
  noEmit: true,
  skipLibCheck: false,
  types: [],
};
const TYPED = `import { quickRun, type TurnEvent } from "@codex/runtime";
export async function ask(seen: (event: TurnEvent) => void): Promise<string> {
  return (await quickRun(".", "hi", { onEvent: seen })).assistantText;
}
`;
const MODULES: Record<string, Record<string, string>> = {
  nodenext: { module: "nodenext" },
  node16: { module: "node16" },
  bundler: { module: "esnext", moduleResolution: "bundler" },
};

function tsc(version: string): Consumer {
  const lib = ["es2022", "dom", "dom.iterable", "esnext.disposable"];
  const names = Object.keys(MODULES);
  return {
    name: `tsc ${version}: ${names.join(", ")}`,
    packages: [`typescript@${version}`],
    files: {
      "main.ts": TYPED,
      ...Object.fromEntries(names.map((name) => [
        `${name}.json`,
        JSON.stringify({ compilerOptions: { ...TSC, lib, ...MODULES[name] }, files: ["main.ts"] }),
      ])),
    },
    commands: names.map((name) => ["bin/tsc", "-p", `${name}.json`]),
  };
}

const CONSUMERS: Consumer[] = [
  { name: "node: import", files: { "a.mjs": RUN }, commands: [["node", "a.mjs"]], prints: ANSWER },
  {
    name: "node: require()",
    files: {
      "a.cjs": `const { quickRun } = require("@codex/runtime");
quickRun(process.cwd(), "hi").then((r) => console.log("answer: " + r.assistantText));`,
    },
    commands: [["node", "a.cjs"]],
    prints: ANSWER,
  },
  {
    name: "bun build --target=node, run by Node",
    files: { "a.ts": RUN },
    commands: [["bun", "build", "--target=node", "a.ts", "--outfile=a.mjs"], ["node", "a.mjs"]],
    prints: ANSWER,
  },
  {
    name: "bun build --compile",
    files: { "a.ts": RUN },
    commands: [["bun", "build", "--compile", "a.ts", "--outfile=a"], ["./a"]],
    prints: ANSWER,
  },
  {
    name: "esbuild 0.28.2: cjs, minified",
    packages: ["esbuild@0.28.2"],
    files: {
      "a.mjs": RUN.replace("const { assistantText } = await", "export const p =")
        .replace(
          'console.log("answer: " + assistantText)',
          'p.then((r) => console.log("answer: " + r.assistantText))',
        ),
    },
    commands: [
      [
        "bin/esbuild",
        "a.mjs",
        "--bundle",
        "--minify",
        "--format=cjs",
        "--platform=node",
        "--outfile=a.cjs",
      ],
      ["node", "a.cjs"],
    ],
    prints: ANSWER,
  },
  {
    name: "webpack 5.113.0: node, run; web, built",
    packages: ["webpack@5.113.0", "webpack-cli@7.3.1"],
    files: {
      "a.mjs": RUN,
      "page.mjs": PAGE,
      "webpack.config.mjs": `const mode = "production", path = process.cwd() + "/out";
export default [
  { mode, target: "node22", entry: "./a.mjs", experiments: { outputModule: true },
    output: { path, filename: "a.mjs", module: true } },
  { mode, target: "web", entry: "./page.mjs", output: { path, filename: "page.js" }, performance: { hints: false } },
];`,
    },
    commands: [["bin/webpack", "--fail-on-warnings"], ["node", "out/a.mjs"]],
    prints: ANSWER,
  },
  {
    name: "vite 8.3.8: client, built; --ssr, run",
    packages: ["vite@8.3.8"],
    files: {
      "index.html": '<!doctype html><script type="module" src="/page.js"></script>',
      "page.js": PAGE,
      "a.js": RUN,
      "vite.config.js":
        'export default { ssr: { noExternal: true }, build: { target: "es2022", chunkSizeWarningLimit: 2000 } };',
    },
    commands: [
      ["bin/vite", "build", "--outDir", "out-client"],
      ["bin/vite", "build", "--ssr", "a.js", "--outDir", "out-ssr"],
      ["node", "out-ssr/a.js"],
    ],
    prints: ANSWER,
  },
  {
    name: "next 16.4.6: a route on node, a route on the edge",
    packages: ["next@16.4.6", "react@19.3.1", "react-dom@19.3.1"],
    files: {
      "app/layout.js": "export default ({ children }) => <html><body>{children}</body></html>;",
      "app/page.js": "export default () => <p>page</p>;",
      "app/node/route.js": `import { quickRun } from "@codex/runtime";
export const dynamic = "force-dynamic";
export async function GET() {
  return new Response("answer: " + (await quickRun(process.cwd(), "hi")).assistantText);
}`,
      "app/edge/route.js": `import { quickRun } from "@codex/runtime";
export const runtime = "edge";
export async function GET() {
  return new Response(String(await quickRun("/x", "hi").catch((error) => error)));
}`,
      "check.mjs": `import { spawn } from "node:child_process";
const next = spawn(process.execPath, ["node_modules/next/dist/bin/next", "start", "-H", "127.0.0.1", "-p", "0"]);
let text = "";
next.stderr.pipe(process.stderr);
const url = await new Promise((resolve) => next.stdout.on("data", (data) => {
  const found = /http:\\/\\/127\\.0\\.0\\.1:\\d+/.exec(text += data)?.[0];
  if (found && /Ready/.test(text)) resolve(found);
}));
const edge = await (await fetch(url + "/edge")).text();
console.log(edge);
if (!/^QuickRunError: /.test(edge)) process.exitCode = 1;
console.log(await (await fetch(url + "/node")).text());
next.kill();`,
    },
    commands: [["bin/next", "build"], ["node", "check.mjs"]],
    prints: ANSWER,
  },
  {
    name: "vitest 5.1.2: node, jsdom",
    packages: ["vitest@5.1.2", "jsdom@31.0.1"],
    files: {
      "a.test.js": `import { expect, test } from "vitest";
import { quickRun, testing } from "@codex/runtime";
test("quickRun", async () => {
  expect((await quickRun(process.cwd(), "hi")).assistantText).toBe("from codex");
}, 30_000);`,
      "b.test.js": `// @vitest-environment jsdom
import { expect, test } from "vitest";
import { CodexError, quickRun } from "@codex/runtime";
test("imported", () => expect([typeof quickRun, CodexError.name, typeof document]).toEqual(
  ["function", "CodexError", "object"]));`,
    },
    commands: [["bin/vitest", "run"]],
    prints: /Tests {2}2 passed/,
  },
  {
    name: "jest 30.5.2: ESM",
    packages: ["jest@30.5.2"],
    files: {
      "a.test.mjs": `import { quickRun } from "@codex/runtime";
test("quickRun", async () => {
  expect((await quickRun(process.cwd(), "hi")).assistantText).toBe("from codex");
}, 30_000);`,
      "jest.config.json": '{ "transform": {}, "testMatch": ["**/*.test.mjs"] }',
    },
    commands: [["node", "--experimental-vm-modules", "node_modules/jest/bin/jest.js"]],
    prints: /Tests: +1 passed/,
  },
  ...["5.2.2", "5.5.4", "5.9.3", "7.0.2"].map(tsc),
];

async function use(consumer: Consumer, tarball: string, user: Machine): Promise<string> {
  const { packages = [], files = {}, commands, prints } = consumer;
  const project = await user.directory(`project-${crypto.randomUUID().slice(0, 8)}`);
  await writeFile(join(project, "package.json"), '{ "private": true, "type": "module" }');
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(project, name)), { recursive: true });
    await writeFile(join(project, name), text);
  }
  const options = { cwd: project, timeoutMs: 300_000 };
  await succeed("npm", ["install", "--no-audit", "--no-fund", tarball, ...packages], options);
  const [node, bun] = await Promise.all([nodePath(), bunPath()]);
  const env = {
    ...user.env,
    PATH: `${dirname(node)}:${user.env["PATH"]}`,
    NEXT_TELEMETRY_DISABLED: "1",
  };
  let output = "";
  for (const [program, ...args] of commands) {
    const path = program === "node"
      ? node
      : program === "bun"
      ? bun
      : program!.startsWith("bin/")
      ? join(project, "node_modules", ".bin", program!.slice(4))
      : join(project, program!);
    const result = await run(path, args, { ...options, env });
    output = result.output;
    if (result.code !== 0) throw new Error(`${program} ${args.join(" ")}:\n${output}`);
  }
  if (prints !== undefined && !prints.test(output)) throw new Error(output);
  return "ok";
}

const asked = process.argv.slice(2);
const rows: [name: string, verdict: string, seconds: string][] = [];
{
  await using user = await machine(() => "from codex");
  const tarball = await pack();
  for (const consumer of CONSUMERS) {
    if (asked.length > 0 && !asked.some((word) => consumer.name.includes(word))) continue;
    const begun = performance.now();
    const verdict = await use(consumer, tarball, user).catch((error: Error) => {
      console.error(`${consumer.name}: ${error.message}`);
      return "FAILED";
    });
    const seconds = `${Math.round((performance.now() - begun) / 1000)} s`;
    rows.push([consumer.name, verdict, seconds]);
    console.log(`${verdict} ${consumer.name} (${seconds})`);
  }
}
const failed = rows.filter(([, verdict]) => verdict !== "ok").length;
if (asked.length === 0 && failed === 0) await keep();
console.log(`${rows.length - failed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

/** Writes the table where people read it. */
async function keep(): Promise<void> {
  const path = join(ROOT, "tests", "package", "README.md");
  const text = await readFile(path, "utf8");
  const table = ["| consumer | result |", "| --- | --- |"]
    .concat(rows.map(([name, verdict]) => `| ${name} | ${verdict} |`));
  const kept = text.replace(
    /(?<=<!-- consumers -->\n)[^]*(?=<!-- \/consumers -->)/,
    () => `\n${table.join("\n")}\n\n`,
  );
  await writeFile(path, kept);
  await run(process.execPath, ["fmt", "-q", path], { cwd: ROOT });
}
