/** The real server's questions, answered by hand. */
import assert from "node:assert/strict";
import { AppServer, type ServerRequest } from "../../src/app_server.ts";
import type { ClientConfig } from "../../src/runtime/config.ts";
import { script, ScriptedModel } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS, codexPath, type CodexVersion } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";

const COMMAND = "item/commandExecution/requestApproval";
const CONSENT = { allowPrivilegedEscalation: true };

interface Stage {
  app: AppServer;
  model: ScriptedModel;
  /** Starts a turn in which the model wants to run a command that must be asked about. */
  start(): Promise<string>;
  /** The command's item when the turn has ended. */
  ended(turnId: string): Promise<Record<string, unknown>>;
}

async function onStage(
  version: CodexVersion,
  config: ClientConfig,
  act: (stage: Stage) => Promise<void>,
): Promise<void> {
  await using directory = await tempDir();
  const exec = script.exec(`python3 -c "print(2)"`);
  await using model = await ScriptedModel.start([exec, "done", exec, "done"]);
  const app = await AppServer.connect({
    ...model.clientConfig({ codexPath: await codexPath(version) }),
    ...config,
  });
  try {
    const { thread } = await app.request("thread/start", {
      cwd: directory.path,
      approvalPolicy: "untrusted",
      // A sandbox that the machine can't make would be a second question.
      sandbox: "danger-full-access",
    }, CONSENT);
    await act({
      app,
      model,
      async start() {
        const input = [{ type: "text" as const, text: "go" }];
        return (await app.request("turn/start", { threadId: thread.id, input })).turn.id;
      },
      async ended(turnId) {
        let item: Record<string, unknown> = {};
        for await (const event of app.runtime.events({ threadId: thread.id, after: 0 })) {
          if (event.turnId !== turnId) continue;
          // deno-lint-ignore no-explicit-any
          const found = (event.message as any).params?.item;
          if (event.method === "item/completed" && found.type === "commandExecution") item = found;
          if (event.method === "turn/completed") break;
        }
        return item;
      },
    });
  } finally {
    await app.shutdown();
  }
}

async function first(requests: AsyncIterator<ServerRequest>): Promise<ServerRequest> {
  const { value, done } = await requests.next();
  assert.equal(done, false);
  return value;
}

for (const version of CODEX_VERSIONS) {
  test(
    `a reader's answers decide on commands of codex ${version}`,
    async () => {
      await onStage(version, {}, async ({ app, start, ended }) => {
        const requests = app.serverRequests();
        const accepted = await start();
        const asked = await first(requests);
        assert.ok(asked.is(COMMAND));
        assert.equal(asked.params.turnId, accepted);
        assert.match(asked.params.command ?? "", /print\(2\)/);
        assert.equal(await asked.respond({ decision: "accept" }), true);
        const ran = await ended(accepted);
        assert.equal(ran["exitCode"], 0);

        const declined = await start();
        await (await first(requests)).respond({ decision: "decline" });
        assert.equal((await ended(declined))["status"], "declined");
        requests.close();
      });
    },
  );

  test(`what a reader leaves unanswered is declined on codex ${version}`, async () => {
    await onStage(version, { approvalTimeoutMs: 150 }, async ({ app, start, ended }) => {
      const requests = app.serverRequests();
      const turnId = await start();
      const asked = await first(requests);
      assert.equal((await ended(turnId))["status"], "declined");
      assert.equal(asked.signal.aborted, true);
      assert.equal(await asked.respond({ decision: "accept" }), false);
      requests.close();
    });
  });
}
