/**
 * What the README promises, and the tests that hold it. Each sentence with a word such as never, always, only, every, all,
 * nobody, nothing or without needs a row here (what stands under "What this does not guard" promises nothing): enough of its words to be known by, and the names of its tests as they stand
 * in the source. `tests/unit/readme_claims_test.ts` checks both ways.
 */

/** A test: its file below `tests`, and its name as it is written there. */
export type Held = readonly [file: string, name: string];

/** A sentence of the README, by words that stand in no other one, and what holds it. */
export const CLAIMS: readonly (readonly [sentence: string, ...held: Held[]])[] = [
  [
    "It has no run-time dependencies",
    [
      "package/jsr_test.ts",
      "nothing that is published needs syntax that Node 22 lacks, or another package",
    ],
  ],
  [
    "a question that nobody answers is declined",
    ["unit/session/profiles_test.ts", "the defaults of a profile are the safe ones"],
    [
      "unit/approvals/broker_test.ts",
      "without a handler every request gets the fail-closed answer at once",
    ],
    [
      "hostile/echo_test.ts",
      "a thread that may do more than asked in the middle of a turn ends the turn and the session",
    ],
    [
      "deno/permissions_matrix_test.ts",
      "under each set of flags a session gets no more than the script",
    ],
  ],
  [
    "Codex ends with your script",
    [
      "real/ownership_test.ts",
      "neither codex nor its command outlives a script that ${signal} ends",
    ],
    [
      "unit/session/stop_turn_test.ts",
      "commands that outlive their turn are ended, on the servers that leave them running",
    ],
  ],
  ["An agent whose session asks gets no terminal", [
    "hostile/typing_test.ts",
    "an accepted program gets no orders that nobody saw, codex ${version}",
  ]],
  ["Every turn settles once", [
    "faults/death_test.ts",
    "everything settles at once, wherever the server dies [${dialect}]",
  ]],
  ["gets no more than the script has", [
    "deno/permissions_matrix_test.ts",
    "under each set of flags a session gets no more than the script",
  ]],
  ["serves any number of sessions", [
    "unit/runtime/thread_routes_test.ts",
    "threads that nobody listens to cost little",
  ]],
  [
    "on a machine with only Node and npm",
    [
      "deno/demo_test.ts",
      "the demo shows a tool, a question and a diff, and no warning, in less than a minute",
    ],
  ],
  [
    "there are no flags",
    ["deno/readme_blocks_test.ts", "README: each program runs on a machine with only Bun"],
    ["deno/readme_blocks_test.ts", "README: each program runs on a machine with only Node 22"],
  ],
  [
    "Programs below that name no flags need those of this one",
    ["deno/readme_blocks_test.ts", "README: each program runs on a machine with only Deno"],
    [
      "deno/permissions_session_test.ts",
      "a script with write permission gets an agent that writes there and nowhere else",
    ],
  ],
  [
    "There are [`examples`](examples) for each feature",
    ["deno/recipes_test.ts", "each recipe has a test, and what the demo needs to run it"],
  ],
  [
    "`never` is the default: nobody is asked",
    ["unit/session/profiles_test.ts", "the defaults of a profile are the safe ones"],
    [
      "hostile/rules_test.ts",
      "approvals that nobody would ask are told at the door, codex ${version}",
    ],
  ],
  [
    "Rules and hooks see these questions and nothing else",
    [
      "hostile/rules_test.ts",
      "approvals that nobody would ask are told at the door, codex ${version}",
    ],
  ],
  ["Other defaults are the sandbox", [
    "unit/session/profiles_test.ts",
    "the defaults of a profile are the safe ones",
  ]],
  [
    "Anything but read-only needs",
    [
      "real/safety_hooks_test.ts",
      "no prompt, session or raw call gets a wider sandbox than was consented to",
    ],
  ],
  [
    "see no variables with a secret's name",
    [
      "hostile/secrets_test.ts",
      "no secret reaches the agent's commands, a command line or an error, ${version}",
    ],
    [
      "hostile/repository_test.ts",
      "nothing of a repository's .codex runs, and no trust is given, ${version}",
    ],
  ],
  [
    "A script that forgets `shutdown()` ends",
    ["real/forgotten_test.ts", "a ${name} script that forgets its client ends by itself: ${how}"],
    ["real/forgotten_test.ts", "a ${name} script goes on for whoever reads or waits"],
  ],
  [
    "runs each prompt on a fresh thread that leaves no history",
    [
      "real/workflow_test.ts",
      "runs of a workflow forget each other, its sessions remember [${version}]",
    ],
  ],
  [
    "A turn begins only when nobody else has written meanwhile",
    [
      "real/portable_test.ts",
      "of two that go on with a thread, one loses before its turn begins [${version}]",
    ],
  ],
  [
    "It sees what commands wrote as well as patches",
    [
      "real/rewind_test.ts",
      "rewind() takes back files and conversation of the last turns [${version}]",
    ],
  ],
  [
    "It has no cron, persistence or recovery",
    [
      "deno/fleet_test.ts",
      "fleet: each job comes out once, with a killed worker, a cancelled job, a limit and a refusal",
    ],
  ],
  [
    "each of its simple commands is certainly meant",
    ["hostile/rules_test.ts", "an allow rule lets nothing run but what it names, codex ${version}"],
    ["hostile/rules_test.ts", "a deny rule sees what may become its command, codex ${version}"],
  ],
  [
    "an `allow` for changes that names no place",
    [
      "hostile/contained_test.ts",
      "a rule without a place accepts changes of the workspace only, codex ${version}",
    ],
    ["hostile/paths_test.ts", "links lead no patch past the rules on codex ${version}"],
  ],
  [
    "A question without a valid answer in time is declined",
    ["contract/web_approvals_test.ts", "a question that nobody answers in time is declined"],
    [
      "unit/approvals/broker_test.ts",
      "a handler's decision is sent once, with an audit of who decided and how long it took",
    ],
  ],
  [
    "So `allow` accepts commands only where",
    [
      "hostile/contained_test.ts",
      "what a rule accepts can't leave the sandbox, and works in it, codex ${version}",
    ],
  ],
  ["Elsewhere it takes `outsideSandbox: true`", [
    "hostile/rules_test.ts",
    "no rule lets a command out of the sandbox unless it says so, codex ${version}",
  ]],
  [
    "Hooks for tools refuse and grant nothing",
    [
      "real/safety_hooks_test.ts",
      "a tool hook sees every command of a session that asks nobody, codex ${version}",
    ],
    [
      "contract/session_policy_test.ts",
      "hooks that watch without anybody to accept are warned of, once",
    ],
  ],
  [
    "say nothing about the other machine's paths",
    [
      "real/attach_test.ts",
      "a command leads to a codex ${version} elsewhere, by the rules of another machine",
    ],
  ],
  [
    "edits for exactly one revision",
    [
      "unit/artifact/manager_test.ts",
      "an answer for another revision than the one shown is a conflict",
    ],
    [
      "unit/artifact/manager_test.ts",
      "a text that changed during the turn is a conflict with both revisions, and stays",
    ],
  ],
  [
    "runs with no account and no network",
    ["deno/readme_blocks_test.ts", "README: each program runs on a machine with only Deno"],
  ],
  [
    "and nothing secret",
    ["unit/runtime/diagnose_test.ts", "diagnose() never shows the value of a variable"],
    ["unit/runtime/diagnose_test.ts", "diagnose() takes secrets out of what a dying server says"],
  ],
  [
    "without prompts or answers in their messages",
    [
      "deno/doors_properties_test.ts",
      "no argument makes a public function throw anything but a CodexError, or send anything",
    ],
    [
      "hostile/secrets_test.ts",
      "what a conversation says of secrets is in no log, no cassette, no warning and no error",
    ],
  ],
  [
    "`PolicyMismatchError`: look into",
    [
      "hostile/echo_test.ts",
      "a sandbox is confirmed by the server's word and by nothing else, codex ${version}",
    ],
  ],
  [
    "Rules or hooks see nothing",
    [
      "contract/session_policy_test.ts",
      "hooks that watch without anybody to accept are warned of, once",
    ],
  ],
  ["Dependencies point down", [
    "unit/architecture_test.ts",
    "rooms import only the rooms below them",
  ]],
];
