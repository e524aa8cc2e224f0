/** One real codex with a scripted model, and as many sessions on it as a test wants, each in a directory of its own. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  Client,
  type ClientConfig,
  type PromptRunResult,
  type Session,
  type SessionConfig,
  testing,
  type TurnEvent,
} from "../../mod.ts";
import type { ApprovalAudit } from "../../src/approvals/mod.ts";
import { type JsonValue, memberOf } from "../../src/json.ts";
import { coreOf } from "../../src/runtime/mod.ts";
import { codexPath, type CodexVersion, OLDEST_CODEX } from "../_codex.ts";
import { tempDir } from "../_temp.ts";
import { makeUsed } from "../_used_home.ts";

const { inPrompt } = testing.script;

/** What a world varies. */
export interface WorldOptions extends ClientConfig {
  /** More `-c` flags. */
  flags?: Record<string, JsonValue>;
  /** Answers every model request; without it the prompts hold the script. */
  script?: testing.Script;
  /** The model's name. */
  model?: string;
  /** Whether the user's own hooks accept whatever codex asks. */
  yielding?: boolean;
}

/** A client and what belongs to it. */
export interface World extends AsyncDisposable {
  readonly version: CodexVersion;
  readonly client: Client;
  readonly model: testing.ScriptedModel;
  /** A session in a fresh directory whose agent asks before everything it does. */
  session(config?: Partial<SessionConfig>): Promise<Place>;
}

/** A session and its directory. */
export interface Place {
  readonly session: Session;
  readonly cwd: string;
  /** The events of the last prompt. */
  events: TurnEvent[];
  /** Has the model do the steps, one after the other, then say `done`. */
  act(...steps: testing.ModelTurn[]): Promise<PromptRunResult>;
  /** Whether the file is in the directory. */
  has(name: string): boolean;
  /** The audits of the last prompt. */
  audits(): ApprovalAudit[];
}

const YIELDING = JSON.stringify({
  hooks: {
    PermissionRequest: [{
      hooks: [{
        type: "command",
        command: `echo '${
          JSON.stringify({
            hookSpecificOutput: {
              hookEventName: "PermissionRequest",
              decision: { behavior: "allow" },
            },
          })
        }'`,
      }],
    }],
  },
});

/** Has codex run the user's hooks, as its TUI does when the user has looked at them. */
async function trustHooks(client: Client, cwd: string): Promise<void> {
  const core = coreOf(client.runtime);
  const listed = await core.call("hooks/list", { cwds: [cwd] });
  const [{ hooks }] = memberOf(listed, "data") as unknown as [
    { hooks: { key: string; currentHash: string }[] },
  ];
  const value = Object.fromEntries(
    hooks.map(({ key, currentHash }) => [key, { trusted_hash: currentHash }]),
  );
  await core.call("config/batchWrite", {
    edits: [{ keyPath: "hooks.state", value, mergeStrategy: "upsert" }],
  });
}

/** Starts a codex. */
export async function world(version: CodexVersion, options: WorldOptions = {}): Promise<World> {
  const { flags, script, model: name, yielding, ...config } = options;
  const dir = await tempDir("safety-");
  const model = await testing.ScriptedModel.start(
    script,
    name === undefined ? {} : { model: name },
  );
  const home = model.clientConfig().env.set["CODEX_HOME"]!;
  await makeUsed(home, version);
  if (yielding === true) await writeFile(join(home, "hooks.json"), YIELDING);
  const client = await Client.connect({
    ...model.clientConfig({
      codexPath: await codexPath(version),
      ...(flags === undefined ? {} : { configOverrides: flags }),
    }),
    ...config,
  });
  if (yielding === true && version !== OLDEST_CODEX) await trustHooks(client, dir.path);
  let count = 0;
  return {
    version,
    client,
    model,
    async session(own = {}) {
      const cwd = join(dir.path, `w${++count}`);
      await mkdir(cwd);
      const session = await client.startSession({
        cwd,
        approvalPolicy: "untrusted",
        // In a read-only sandbox codex tries an accepted command inside first, and not always outside after that.
        sandbox: "workspace-write",
        allowPrivilegedEscalation: true,
        ...own,
      });
      return placeOf(session, cwd);
    },
    async [Symbol.asyncDispose]() {
      await client.shutdown();
      await model.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}

/** A session and its directory. */
export function placeOf(session: Session, cwd: string): Place {
  const place: Place = {
    session,
    cwd,
    events: [],
    act(...steps) {
      place.events = [];
      return session.ask(inPrompt([...steps, "done"]), {
        timeoutMs: 60_000,
        onEvent: (event) => place.events.push(event),
      });
    },
    has: (file) => existsSync(join(cwd, file)),
    audits: () =>
      place.events.flatMap((event) => event.type === "approvalResolved" ? [event.audit] : []),
  };
  return place;
}

/** `decision decidedBy`, for each audit of the last prompt. */
export function words(place: Place): string[] {
  return place.audits().map(({ decision, decidedBy }) => `${decision} ${decidedBy}`);
}

/** The statuses of the result's items of a type. */
export function statuses(result: { items: readonly { type: string }[] }, type: string): unknown[] {
  return result.items.filter((item) => item.type === type)
    .map((item) => (item as { status?: unknown }).status);
}

/** A patch that adds a file with one line. */
export function addFile(name: string, line = "x"): testing.ModelStep {
  return testing.script.applyPatch(
    `*** Begin Patch\n*** Add File: ${name}\n+${line}\n*** End Patch`,
  );
}

/** The first `count` answers this client sent to questions of a method, as they went over the wire. */
export async function wireAnswers(
  client: Client,
  method: string,
  count: number,
): Promise<JsonValue[]> {
  const ids = new Set<unknown>();
  const answers: JsonValue[] = [];
  for await (const event of client.runtime.events({ after: 0 })) {
    if (event.kind === "serverRequest" && event.method === method) ids.add(event.rpcId);
    if (event.kind !== "serverResponse" || !ids.delete(event.rpcId)) continue;
    const { result, error } = event.message as { result?: JsonValue; error?: JsonValue };
    answers.push(result ?? { error: error ?? null });
    if (answers.length === count) break;
  }
  return answers;
}

/** A promise and the key to it. */
export function latch<T = void>(): PromiseWithResolvers<T> {
  return Promise.withResolvers<T>();
}

/** Fails when the promise takes longer. */
export async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new assert.AssertionError({ message: `late: ${what}` })), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The warnings of the last prompt. */
export function warnings(place: Place): string[] {
  return place.events.flatMap((event) => event.type === "warning" ? [event.message] : []);
}
