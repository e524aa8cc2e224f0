/**
 * Everything about the code that is not a test: `deno task check`. All steps run; the first line of a failing one is
 * its command, and the last lines name those that failed.
 */
import { exampleModule, examplesOf, exportedNames, placeOf } from "./doc_examples.ts";
import { documentation } from "./doc_symbols.ts";
import { jsrScore, report } from "./jsr_score.ts";
import { exists, run, seconds } from "./_run.ts";

const deno = Deno.execPath();

/** What shows code. */
const DOCUMENTS = ["README.md", ".github/guide.md", "mod.ts", "src"];

/** Says what is wrong; empty when nothing is. */
type Step = () => Promise<string>;

const PACKAGE = ["publish", "--dry-run", "--allow-dirty"];
const packageProblems = complaints(PACKAGE);

const steps: [name: string, command: string[], step?: Step][] = [
  ["format", ["fmt", "--check"]],
  ["lint", ["lint"]],
  ["types", ["check", ...["mod.ts", "src", "tests", "examples"].filter(exists)]],
  [
    "examples in the documentation",
    ["check", "--doc-only", ...DOCUMENTS],
    checkExamples,
  ],
  ["parts of programs in the documentation", ["check"], checkParts],
  ["documentation", ["doc", "--lint", "mod.ts"], lintDocumentation],
  // Fails on slow types, a missing licence and whatever else JSR would refuse.
  ["package", PACKAGE, () => packageProblems],
  ["score on JSR", ["doc", "--json", "mod.ts"], checkScore],
  ["protocol drift", ["run", "-A", "src/protocol/generator/main.ts", "--check"]],
];

/** Runs Deno; what it printed when it failed, without what tells nothing. */
async function complaints(command: string[]): Promise<string> {
  const { code, output } = await run(deno, command, { quiet: true, env: { NO_COLOR: "1" } });
  if (code === 0) return "";
  const told = output
    .replace(/^Stack backtrace:\n(?: +\d+: .*\n?)+/gm, "")
    .replace(/^(?:Check|Checked|Download) .*\n|^ +file:\S+ \([\d.]+\w+\)\n/gm, "")
    .trim();
  return told === "" ? `exit code ${code}, and nothing was printed` : told;
}

/** An example may declare something only to show how. */
async function checkExamples(): Promise<string> {
  const output = await complaints(["check", "--doc-only", ...DOCUMENTS]);
  const problems = output.split(/^(?=TS\d+ )/m).filter((part) => part.startsWith("TS"));
  if (problems.length === 0) return output;
  return problems.filter((part) => !/^TS(?:6133|6192|6196|6198) /.test(part)).join("").trim();
}

/** Examples that need something around them: what they call has to be there all the same. */
async function checkParts(): Promise<string> {
  const root = new URL("../../", import.meta.url);
  const library = new URL("mod.ts", root);
  const paths = ["mod.ts", ...await sources(root, "src")];
  const examples = await Promise.all(
    paths.map(async (path) => examplesOf(path, await Deno.readTextFile(new URL(path, root)))),
  );
  const names = exportedNames(await Deno.readTextFile(library));
  const text = exampleModule(library.href, names, examples.flat());
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, text);
    const output = await complaints(["check", "--no-config", file]);
    return output.replaceAll(
      /file:\/\/(\S+):(\d+):\d+/g,
      (place, path, line) => path === file ? placeOf(text, Number(line)) : place,
    );
  } finally {
    await Deno.remove(file);
  }
}

/** The source files below a folder that were written by hand. */
async function sources(root: URL, folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(new URL(folder, root))) {
    const path = `${folder}/${name}`;
    if (isDirectory && name !== "generated") found.push(...await sources(root, path));
    else if (name.endsWith(".ts")) found.push(path);
  }
  return found;
}

/** Generated types have no docs of their own: a comment that only repeats a name is worse than none. */
async function lintDocumentation(): Promise<string> {
  const output = await complaints(["doc", "--lint", "mod.ts"]);
  const problems = output.split(/^(?=error\[)/m).filter((part) => part.startsWith("error["));
  if (problems.length === 0) return output;
  // The tool does not see that `export type * as protocol` makes these public.
  const types = await Deno.readTextFile(
    new URL("../../src/protocol/generated/types.ts", import.meta.url),
  );
  const named = new Set(
    [...types.matchAll(/^export (?:type|interface) (\w+)/gm)].map((match) => match[1]),
  );
  return problems.filter((part) =>
    !part.includes("src/protocol/generated/") &&
    !named.has(/references private type '(\w+)'/.exec(part)?.[1])
  ).join("");
}

/** Uses what the step of the package found. */
async function checkScore(): Promise<string> {
  const fastTypes = await packageProblems === "";
  const readme = await Deno.readTextFile(new URL("../../README.md", import.meta.url));
  const { lines, broken } = report(jsrScore({ readme, json: await documentation(), fastTypes }));
  return broken.length === 0 ? "" : lines.join("\n");
}

const failed: string[] = [];
const started = performance.now();
// Each step works on one core.
await Promise.all(steps.map(async ([name, command, step = () => complaints(command)]) => {
  const problems = await step();
  if (problems === "") console.log(`ok       ${name} (${seconds(started)})`);
  else {
    failed.push(name);
    console.log(`FAILED   ${name}: deno ${command.join(" ")}\n\n${problems}\n`);
  }
}));
if (failed.length > 0) console.log(`failed: ${failed.join(", ")}`);
console.log(`${steps.length - failed.length} passed, ${failed.length} failed`);
Deno.exit(failed.length === 0 ? 0 : 1);
