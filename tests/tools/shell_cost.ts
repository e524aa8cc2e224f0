/**
 * What it costs to judge a command of 64 KiB: the processor time of reading it, of seven rules and of a hook's matcher.
 *
 *     deno task cost:shell
 *
 * Prints the worst shapes in milliseconds, each the best of some attempts, and fails when one takes more than 50.
 */
import process from "node:process";
import { HookMatcher } from "../../mod.ts";
import type { ApprovalRules } from "../../src/approvals/mod.ts";
import { decide } from "../../src/approvals/rules/decide.ts";
import { toolFacts } from "../../src/approvals/request/tool_facts.ts";
import { commandOf } from "../unit/approvals/_requests.ts";
import { worstCommands } from "../unit/shell/_worst_commands.ts";

const LIMIT_MS = 50;
const ATTEMPTS = 9;
const RULES: ApprovalRules = {
  rules: [
    { effect: "deny", command: ["git", "push"] },
    { effect: "deny", command: ["rm"] },
    { effect: "deny", command: /\bcurl\b/ },
    { effect: "deny", command: (argv) => argv[0] === "dd" },
    { effect: "ask", command: ["npm", "publish", "now"] },
    { effect: "allow", command: ["git", "status"] },
    { effect: "allow", command: /^ls( |$)/ },
  ],
};
const matcher = new HookMatcher({ commandPrefix: "git push", toolName: "git" });

/** Judges it once, as a question of codex is. */
function judge(command: string): void {
  const request = commandOf(command);
  decide(RULES, request);
  const context = { phase: "preToolUse", correlationId: "", at: new Date(), metadata: {} } as const;
  matcher.matches({ ...context, ...toolFacts(request, undefined) });
}

const rows: [string, number][] = [];
let count = 0;
for (const [name, command] of worstCommands()) {
  let best = Infinity;
  for (let i = 0; i < ATTEMPTS; i++) {
    // Never the same text: what was read is remembered for a while.
    const line = `${command} #${count++}`.slice(0, 65_536);
    const begin = process.cpuUsage();
    judge(line);
    const { user, system } = process.cpuUsage(begin);
    best = Math.min(best, (user + system) / 1000);
  }
  rows.push([name, best]);
}
rows.sort(([, a], [, b]) => b - a);
for (const [name, ms] of rows.slice(0, 20)) console.log(`${ms.toFixed(1).padStart(8)} ms  ${name}`);
console.log(`${rows.length} shapes; the worst may take ${LIMIT_MS} ms`);
if (rows[0]![1] > LIMIT_MS) process.exit(1);
