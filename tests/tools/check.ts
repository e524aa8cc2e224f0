/**
 * Everything about the code that is not a test: `deno task check`. All steps run; the first line of a failing one is
 * its command.
 */
import { exists, run, seconds } from "./_run.ts";

const deno = Deno.execPath();
const GENERATOR = "src/protocol/generator/main.ts";

const steps: [name: string, args: string[], needs?: string][] = [
  ["format", ["fmt", "--check"]],
  ["lint", ["lint"]],
  ["types", ["check", ...["mod.ts", "src", "tests", "examples"].filter(exists)]],
  ["examples in the documentation", ["check", "--doc-only", "README.md", "mod.ts"], "README.md"],
  ["package", ["publish", "--dry-run", "--allow-dirty"], "mod.ts"],
  ["protocol drift", ["run", "-A", GENERATOR, "--check"], GENERATOR],
];

/** Generated types have no docs of their own: a comment that only repeats a name is worse than none. */
async function lintDocumentation(): Promise<string> {
  const { output } = await run(deno, ["doc", "--lint", "mod.ts"], {
    quiet: true,
    env: { NO_COLOR: "1" },
  });
  const problems = output.split(/^(?=error\[)/m).filter((part) => part.startsWith("error["));
  if (problems.length === 0 && !/^Checked|^$/m.test(output)) return output;
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

let passed = 0;
let failed = 0;
for (const [name, args, needs] of steps) {
  if (needs !== undefined && !exists(needs)) {
    console.log(`skipped  ${name}: there is no ${needs}`);
    continue;
  }
  const started = performance.now();
  const { code, output } = await run(deno, args, { quiet: true, env: { NO_COLOR: "1" } });
  if (code === 0) {
    passed++;
    console.log(`ok       ${name} (${seconds(started)})`);
  } else {
    failed++;
    console.log(`FAILED   ${name}: deno ${args.join(" ")}\n${output}`);
  }
}
const startedDocs = performance.now();
const undocumented = await lintDocumentation();
if (undocumented === "") passed++;
else failed++;
console.log(
  undocumented === ""
    ? `ok       documentation (${seconds(startedDocs)})`
    : `FAILED   documentation: deno doc --lint mod.ts\n${undocumented}`,
);
console.log(`${passed} passed, ${failed} failed`);
Deno.exit(failed === 0 ? 0 : 1);
