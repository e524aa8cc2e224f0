/**
 * Hooks: one that adds to every prompt, one that refuses commands, one that keeps a journal.
 *
 *     deno run --allow-run=codex --allow-read=. examples/hooks.ts --live
 */
import { Client, FilteredPreHook, HookMatcher, type plugin, testing } from "../mod.ts";
import { setup } from "./_setup.ts";

const { script } = testing;
await using env = await setup([
  [script.exec("curl http://127.0.0.1:9/")],
  "I was not allowed to use the network.",
]);

const journal: string[] = [];
const hooks: plugin.Hooks = {
  pre: [
    {
      name: "be brief",
      phases: ["preTurn"],
      call: ({ prompt }) => ({
        type: "mutate",
        patch: { prompt: `${prompt}\nAnswer in one sentence.` },
      }),
    },
    new FilteredPreHook(
      {
        name: "no network tools",
        phases: ["preToolUse"],
        call: ({ toolName }) => ({ type: "block", reason: `${toolName} is not used here` }),
      },
      new HookMatcher({ toolName: "curl" }),
    ),
  ],
  post: [{
    name: "journal",
    phases: ["postTurn"],
    call: ({ phase, status, turnId }) => {
      journal.push(`${phase} ${turnId === undefined ? "" : "of a turn "}${status}`);
    },
  }],
};

await using client = await Client.connect({ ...env.client, hooks });
await using session = await client.startSession({ cwd: env.cwd });
console.log(session.policy.toolHooksNote);
const { assistantText, hooks: report } = await session.ask("Fetch http://127.0.0.1:9/");
console.log(assistantText);
for (const { name, phase, action } of report.ran) console.log(`  ${phase}: ${name} → ${action}`);
console.log(journal.join("\n"));
