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
  ["documentation", ["doc", "--lint", "mod.ts"], "mod.ts"],
  ["examples in the documentation", ["check", "--doc-only", "README.md", "mod.ts"], "README.md"],
  ["package", ["publish", "--dry-run", "--allow-dirty"], "mod.ts"],
  ["protocol drift", ["run", "-A", GENERATOR, "--check"], GENERATOR],
];

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
console.log(`${passed} passed, ${failed} failed`);
Deno.exit(failed === 0 ? 0 : 1);
