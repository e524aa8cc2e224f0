/** The server's questions, answered by hand. */
import assert from "node:assert/strict";
import { AppServer, type ServerRequest } from "../../src/app_server.ts";
import { CodexError, RpcValidationError } from "../../src/errors/mod.ts";
import type { ClientConfig } from "../../src/runtime/config.ts";
import { DIALECTS, FakeServer, fakeTransport, type Message, recorded } from "../_fake_server.ts";
import { test } from "../_harness.ts";

const COMMAND = "item/commandExecution/requestApproval";

async function onFake(
  config: ClientConfig,
  act: (app: AppServer, server: FakeServer, question: Message) => Promise<void>,
): Promise<void> {
  for (const dialect of DIALECTS) {
    let server: FakeServer | undefined;
    const open = fakeTransport((end) => server = new FakeServer(end, { dialect }));
    const app = await AppServer.connect({ ...config, transport: { type: "custom", open } });
    try {
      await act(app, server!, recorded(dialect, "command-accept", COMMAND).params);
    } finally {
      await app.shutdown();
    }
  }
}

async function first(requests: AsyncIterator<ServerRequest>): Promise<ServerRequest> {
  const { value, done } = await requests.next();
  assert.equal(done, false);
  return value;
}

/** The audit of the next answer. */
async function nextAudit(app: AppServer): Promise<Message> {
  for await (const event of app.runtime.events({ after: 0 })) {
    if (event.kind === "approval") return event.message;
  }
}

test("a reader gets the server's request, and its answer goes back once", async () => {
  let asked = 0;
  const approvals = () => {
    asked++;
    return { decision: "accept" } as const;
  };
  await onFake({ approvals }, async (app, server, question) => {
    const requests = app.serverRequests();
    const answer = server.ask(COMMAND, question);
    const request = await first(requests);
    assert.ok(request.is(COMMAND));
    assert.equal(request.params.threadId, question.threadId);
    assert.equal(request.request.type, "command");
    await assert.rejects(
      request.respond({ decision: "sure" } as unknown as { decision: "accept" }),
      RpcValidationError,
    );
    assert.equal(await request.respond({ decision: "acceptForSession" }), true);
    assert.equal(await request.respond({ decision: "decline" }), false);
    assert.deepEqual((await answer).result, { decision: "acceptForSession" });
    const audit = await nextAudit(app);
    assert.deepEqual([audit.decidedBy, audit.decision], ["reader", "acceptForSession"]);
    requests.close();
    // Without a reader the handler is asked again.
    assert.deepEqual((await server.ask(COMMAND, question)).result, { decision: "accept" });
    assert.equal(server.received.filter((message) => message.method === undefined).length, 2);
  });
  assert.equal(asked, DIALECTS.length);
});

test("a second reader is refused until the first one leaves its loop", async () => {
  await onFake({}, async (app, server, question) => {
    const answer = server.ask(COMMAND, question);
    const taken = (error: unknown) =>
      error instanceof CodexError && error.code === "serverRequestsTaken";
    // Nobody reads yet: declined at once.
    assert.deepEqual((await answer).result, { decision: "decline" });
    const requests = app.serverRequests();
    assert.throws(() => app.serverRequests(), taken);
    const later = server.ask(COMMAND, question);
    for await (const request of requests) {
      assert.throws(() => app.serverRequests(), taken);
      await request.reject({ code: -32050, message: "not here" });
      break;
    }
    assert.deepEqual((await later).error, { code: -32050, message: "not here" });
    app.serverRequests().close();
  });
});

test("what a reader does not answer in time gets the answer that grants nothing", async () => {
  await onFake({ approvalTimeoutMs: 30 }, async (app, server, question) => {
    const requests = app.serverRequests();
    const answer = server.ask(COMMAND, question);
    const request = await first(requests);
    assert.deepEqual((await answer).result, { decision: "decline" });
    assert.equal(request.signal.aborted, true);
    assert.equal(await request.respond({ decision: "accept" }), false);
    const audit = await nextAudit(app);
    assert.deepEqual([audit.decidedBy, audit.reason], ["failClosed", "timeout"]);
    // Also when nobody is in the loop any more, and what nobody saw.
    const [seen, unseen] = [server.ask(COMMAND, question), server.ask(COMMAND, question)];
    await first(requests);
    await requests.return();
    assert.deepEqual((await seen).result, { decision: "decline" });
    assert.deepEqual((await unseen).result, { decision: "decline" });
    const next = app.serverRequests();
    const last = server.ask("some/new/question", { x: 1 });
    const fresh = await first(next);
    assert.deepEqual([fresh.method, fresh.params], ["some/new/question", { x: 1 }]);
    assert.equal(await fresh.respond({ y: 2 }), true);
    assert.deepEqual((await last).result, { y: 2 });
    next.close();
  });
});

test("a loop over the server's requests ends with the connection", async () => {
  await onFake({}, async (app, server) => {
    const loop = (async () => {
      for await (const _ of app.serverRequests()) assert.fail("nothing was asked");
    })();
    server.crash();
    await loop;
  });
});
