/** What has to work with every codex: one short run of each thing that users do, on one process. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type ApprovalDecision,
  Client,
  OutputValidationError,
  quickRun,
  type SessionConfig,
  TurnFailedError,
  TurnInterruptedError,
} from "../../mod.ts";
import { script } from "../../src/testing/mod.ts";
import type { CodexVersion } from "../_codex.ts";
import { rejection, whenGone, within, World } from "../real/_session_world.ts";

/** A codex, a client on it and a directory for each scenario. */
export interface Stage {
  readonly world: World;
  readonly client: Client;
  /** An empty directory of its own. */
  readonly cwd: string;
}

/** One thing that users do. Throws when it does not work. */
export type Scenario = (stage: Stage) => Promise<void>;

const writable: Partial<SessionConfig> = {
  sandbox: "workspace-write",
  allowPrivilegedEscalation: true,
};
const addFile = (name: string) =>
  script.applyPatch(`*** Begin Patch\n*** Add File: ${name}\n+x\n*** End Patch`);

/** The scenarios by name, in the order in which they are run. */
export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  prompt: async ({ world, cwd }) => {
    const { assistantText } = await quickRun(cwd, world.prompt(["Hello."]), {
      client: world.config(),
    });
    assert.equal(assistantText, "Hello.");
  },

  "two turns": async ({ world, client, cwd }) => {
    const session = await client.startSession({ cwd });
    await session.ask(world.prompt(["I will."], "Remember seven."));
    const { assistantText } = await session.ask(world.prompt(["Seven."]));
    assert.equal(assistantText, "Seven.");
    const { userTexts } = world.model.requests.at(-1)!;
    assert.ok(userTexts.some((text) => text.startsWith("Remember seven.")));
    assert.equal(session.usage.totalTokens, 26);
    await session.close();
  },

  "command, asked": async (stage) => {
    const { session, decide } = await asking(stage);
    const run = (name: string) =>
      session.ask(stage.world.prompt([script.exec(`touch ${name}`), "done"]));
    decide({ decision: "decline" });
    await run("no");
    assert.ok(!existsSync(join(stage.cwd, "no")), "a declined command ran");
    decide({ decision: "accept" });
    await run("yes");
    assert.ok(existsSync(join(stage.cwd, "yes")), "an accepted command did not run");
    await session.close();
  },

  "patch, asked": async (stage) => {
    const { session, decide } = await asking(stage);
    decide({ decision: "decline" });
    await session.ask(stage.world.prompt([addFile("no"), "done"]));
    assert.ok(!existsSync(join(stage.cwd, "no")), "a declined patch was applied");
    decide({ decision: "accept" });
    await session.ask(stage.world.prompt([addFile("yes"), "done"]));
    assert.ok(existsSync(join(stage.cwd, "yes")), "an accepted patch was not applied");
    await session.close();
  },

  "read-only": async ({ world, client, cwd }) => {
    const session = await client.startSession({ cwd });
    assert.equal(session.policy.sandbox.type, "readOnly");
    await session.ask(world.prompt([script.exec("echo x > file"), "done"]));
    assert.ok(!existsSync(join(cwd, "file")), "a read-only session wrote");
    await session.close();
  },

  "workspace-write": async ({ world, client, cwd }) => {
    const outside = join(cwd, "..", `${Date.now()}.outside`);
    const root = join(cwd, "..", `${Date.now()}.root`);
    await mkdir(root);
    const session = await client.startSession({
      cwd,
      ...writable,
      sandbox: { type: "workspaceWrite", writableRoots: [root] },
    });
    assert.equal(session.policy.sandbox.type, "workspaceWrite");
    await session.ask(
      world.prompt([script.exec(`echo x > in; echo x > ${root}/r; echo x > ${outside}`), "done"]),
    );
    assert.ok(session.policy.confirmed);
    assert.ok(existsSync(join(cwd, "in")), "the workspace was not writable");
    assert.ok(existsSync(join(root, "r")), "the other root was not writable");
    assert.ok(!existsSync(outside), "more than the workspace was writable");
    await session.close();
  },

  interrupt: async ({ world, client, cwd }) => {
    const session = await client.startSession({ cwd, ...writable });
    const began = Promise.withResolvers<void>();
    const asked = rejection(
      session.ask(world.prompt([script.exec("sleep 734")]), {
        onEvent: (event) =>
          event.type === "itemStarted" && event.item.type === "commandExecution" && began.resolve(),
      }),
    );
    await within(10_000, "the command", began.promise);
    await session.interrupt();
    assert.ok(await asked instanceof TurnInterruptedError, `${await asked}`);
    const { assistantText } = await session.ask(world.prompt(["Next."]));
    assert.equal(assistantText, "Next.");
    await session.close();
    for (const pid of world.commands("sleep 734")) {
      await within(10_000, "its command", whenGone(pid));
    }
  },

  "structured output": async ({ world, client, cwd }) => {
    const outputSchema = {
      type: "object",
      properties: { n: { type: "number" } },
      required: ["n"],
      additionalProperties: false,
    };
    const { output } = await client.run(cwd, world.prompt(['{"n":7}']), { outputSchema });
    assert.deepEqual(output, { n: 7 });
    const wrong = await rejection(client.run(cwd, world.prompt(['{"n":"x"}']), { outputSchema }));
    assert.ok(wrong instanceof OutputValidationError, `${wrong}`);
  },

  tools: async ({ world, client, cwd }) => {
    const session = await client.startSession({
      cwd,
      tools: {
        add: {
          description: "Adds.",
          inputSchema: { type: "object", properties: { a: { type: "number" } } },
          run: (args: unknown) => `sum ${JSON.stringify(args)}`,
        },
      },
    });
    await session.ask(world.prompt([script.toolCall("add", { a: 1 }), "done"]));
    assert.match(JSON.stringify(world.model.requests.at(-1)!.body), /sum \{\\+"a\\+":1\}/);
    await session.close();
  },

  "resume, fork, read": async ({ world, client, cwd }) => {
    // More than once: where a server closes late, it is a race.
    for (let round = 0; round < 3; round++) {
      const first = await client.startSession({ cwd });
      await first.ask(world.prompt(["I will."], "Remember nine."));
      await first.release();
      const again = await client.resumeSession(first.threadId, { cwd });
      await again.ask(world.prompt(["Nine."]));
      assert.ok(
        world.model.requests.at(-1)!.userTexts.some((text) => text.startsWith("Remember nine.")),
        "a resumed thread has forgotten",
      );
      if (round > 0) continue;
      const fork = await client.forkSession(first.threadId, { cwd });
      assert.notEqual(fork.threadId, first.threadId);
      await fork.ask(world.prompt(["Forked."]));
      const { turns } = await client.readThread(first.threadId, { includeTurns: true });
      assert.equal(turns?.length, 2);
      await fork.close();
      await again.close();
    }
  },

  steer: async ({ world, client, cwd }) => {
    const session = await client.startSession({ cwd });
    const gate = Promise.withResolvers<void>();
    const prompt = world.prompt((request) =>
      request.text.includes("as well")
        ? "Both done."
        : [script.gate(gate.promise), script.exec("true")]
    );
    const stream = await session.askStream(prompt);
    await world.model.nextRequest();
    await stream.steer(`This as well ${/\[.*\]/.exec(prompt)![0]}`);
    gate.resolve();
    assert.equal((await stream.finish()).assistantText, "Both done.");
    await session.close();
  },

  "http 429": async ({ world, client, cwd }) => {
    const limited = script.httpError(429, { code: "rate_limit_exceeded", message: "slow down" });
    const session = await client.startSession({ cwd });
    const error = await rejection(session.ask(world.prompt(() => limited)));
    assert.ok(error instanceof TurnFailedError && error.kind === "rateLimit", `${error}`);
    await session.close();
  },

  shutdown: async ({ world }) => {
    const client = await Client.connect(world.config());
    const { pid } = client.runtime;
    assert.ok(pid !== null);
    await client.shutdown();
    assert.ok(!world.servers().includes(pid), "codex outlives shutdown()");
  },
};

async function asking({ client, cwd }: Stage) {
  let decision: ApprovalDecision = { decision: "decline" };
  const session = await client.startSession({
    cwd,
    ...writable,
    approvalPolicy: "untrusted",
    approvals: () => decision,
  });
  return { session, decide: (next: ApprovalDecision) => decision = next };
}

/** In what versions differ, and the library has to know. */
export interface Manners {
  /** Directories that codex made writable by itself in a `workspace-write` session. */
  ownRoots: readonly string[];
  /** Whether a command that was accepted wrote outside of the sandbox, by sandbox. */
  acceptedOutside: { "read-only": boolean; "workspace-write": boolean };
}

/** Finds out how a version behaves where versions differ. */
async function manners(world: World, client: Client): Promise<Manners> {
  const cwd = join(world.cwd, "manners");
  await mkdir(cwd);
  const outside = async (sandbox: "read-only" | "workspace-write"): Promise<boolean> => {
    const session = await client.startSession({
      cwd,
      ...writable,
      sandbox,
      approvalPolicy: "untrusted",
      approvals: () => ({ decision: "accept" }),
    });
    // Whether codex takes a failure for the sandbox's is a race in it.
    const paths = Array.from({ length: 8 }, (_, at) => join(world.cwd, `${sandbox}.${at}`));
    for (const path of paths) {
      await session.ask(world.prompt([script.exec(`touch ${path}`), "done"]));
      if (existsSync(path)) break;
    }
    await session.close();
    return paths.some((path) => existsSync(path));
  };
  const session = await client.startSession({ cwd, ...writable });
  const { sandbox } = session.policy;
  await session.close();
  return {
    ownRoots: sandbox.type === "workspaceWrite" ? sandbox.writableRoots ?? [] : [],
    acceptedOutside: {
      "read-only": await outside("read-only"),
      "workspace-write": await outside("workspace-write"),
    },
  };
}

/** What became of a scenario: `null` when it went well. */
export interface Outcome {
  readonly name: string;
  readonly problem: string | null;
  readonly ms: number;
}

/** What a version does. */
export interface Report {
  readonly outcomes: Outcome[];
  readonly manners: Manners;
}

/** Runs the scenarios on a version of codex; never throws for one that fails. */
export async function sweep(
  version: CodexVersion,
  names: readonly string[] = Object.keys(SCENARIOS),
): Promise<Report> {
  await using world = await World.start(version);
  const client = await world.connect();
  const outcomes: Outcome[] = [];
  for (const name of names) {
    const cwd = join(world.cwd, name.replace(/\W+/g, "-"));
    await mkdir(cwd);
    await writeFile(join(cwd, "file.txt"), "text\n");
    const started = performance.now();
    const problem = await within(60_000, name, SCENARIOS[name]!({ world, client, cwd }))
      .then(() => null, (error) => error instanceof Error ? error.message : String(error));
    outcomes.push({ name, problem, ms: Math.round(performance.now() - started) });
  }
  return { outcomes, manners: await manners(world, client) };
}
