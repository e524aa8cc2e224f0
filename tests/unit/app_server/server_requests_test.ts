import assert from "node:assert/strict";
import {
  type ReaderHost,
  readServerRequests,
  type ServerRequest,
} from "../../../src/app_server.ts";
import type { ReaderRequest } from "../../../src/approvals/broker/gate.ts";
import { checkServerRequestResult } from "../../../src/approvals/answers/answers.ts";
import { parseRequest } from "../../../src/approvals/request/parse_request.ts";
import { RpcValidationError } from "../../../src/errors/mod.ts";
import type { JsonValue } from "../../../src/json.ts";
import { test } from "../../_harness.ts";

const COMMAND = "item/commandExecution/requestApproval";

interface Bench {
  host: ReaderHost;
  /** Asks; returns what is answered and the request's own controller. */
  ask(
    id: string,
    method?: string,
    params?: JsonValue,
  ): { answers: unknown[]; stop: AbortController };
  attached(): boolean;
  end(): void;
}

function bench(): Bench {
  let reader: ((request: ReaderRequest) => void) | null = null;
  const ended = new AbortController();
  return {
    host: {
      attach(next) {
        if (reader !== null) throw new Error("taken");
        reader = next;
        return () => reader = null;
      },
      unread: [],
      ended: ended.signal,
      hold: () => () => {},
    },
    ask(id, method = COMMAND, params = { threadId: "t", turnId: "u", itemId: "i" }) {
      const answers: unknown[] = [];
      const stop = new AbortController();
      const answer = (value: unknown): boolean => {
        if (stop.signal.aborted || answers.length > 0) return false;
        answers.push(value);
        return true;
      };
      reader?.({
        id,
        method,
        params,
        request: parseRequest(method, params, { now: new Date(0) }),
        signal: stop.signal,
        respond: (result) => {
          // As the broker does: it checks, and throws what it can't send.
          const problem = checkServerRequestResult(method, result);
          if (problem === null) return answer(result);
          const [path, expectation] = problem.split(": ");
          throw new RpcValidationError(method, "result", path!, expectation!);
        },
        reject: answer,
      });
      return { answers, stop };
    },
    attached: () => reader !== null,
    end: () => ended.abort(),
  };
}

async function nextOf(requests: AsyncIterator<ServerRequest>): Promise<ServerRequest> {
  const { value, done } = await requests.next();
  assert.equal(done, false);
  return value;
}

test("questions come in order, also those asked before anyone waits for them", async () => {
  const b = bench();
  const requests = readServerRequests(b.host);
  b.ask("a");
  b.ask("b");
  assert.equal((await nextOf(requests)).id, "a");
  assert.equal((await nextOf(requests)).id, "b");
  const waiting = [nextOf(requests), nextOf(requests)];
  b.ask("c");
  b.ask("d");
  assert.deepEqual((await Promise.all(waiting)).map(({ id }) => id), ["c", "d"]);
  requests.close();
});

test("each question is answered once; a result of the wrong shape leaves it open", async () => {
  const b = bench();
  const requests = readServerRequests(b.host);
  const { answers } = b.ask("a");
  const request = await nextOf(requests);
  await assert.rejects(request.respond({ decision: "yes" }), (error) => {
    assert.ok(error instanceof RpcValidationError);
    assert.equal(error.path, "$.decision");
    assert.equal(error.subject, "result");
    return true;
  });
  assert.deepEqual(answers, []);
  assert.equal(await request.respond({ decision: "accept" }), true);
  assert.equal(await request.respond({ decision: "decline" }), false);
  assert.equal(await request.reject({ message: "late" }), false);
  assert.deepEqual(answers, [{ decision: "accept" }]);
  requests.close();
});

test("fields that an answer's type lets out are filled in for servers that want them", async () => {
  const b = bench();
  const requests = readServerRequests(b.host);
  const cases: [string, JsonValue, JsonValue][] = [
    [
      "item/permissions/requestApproval",
      { permissions: {}, strictAutoReview: undefined } as unknown as JsonValue,
      { scope: "turn", permissions: {} },
    ],
    ["item/permissions/requestApproval", { permissions: {}, scope: "session" }, {
      permissions: {},
      scope: "session",
    }],
    ["mcpServer/elicitation/request", { action: "decline" }, {
      content: null,
      _meta: null,
      action: "decline",
    }],
    ["some/new/question", [1, 2], [1, 2]],
    ["some/new/question", null, null],
  ];
  for (const [method, result, sent] of cases) {
    const { answers } = b.ask(method, method);
    await (await nextOf(requests)).respond(result);
    assert.deepEqual(answers, [sent]);
  }
  requests.close();
});

test("no answer has codex's own reviewer judge what comes after it", async () => {
  const b = bench();
  const requests = readServerRequests(b.host);
  const { answers } = b.ask("a", "item/permissions/requestApproval");
  const request = await nextOf(requests);
  await assert.rejects(
    request.respond({ permissions: {}, strictAutoReview: true }),
    (error) => error instanceof RpcValidationError && error.path === "$.strictAutoReview",
  );
  assert.equal(await request.respond({ permissions: {}, strictAutoReview: false }), true);
  assert.deepEqual(answers, [{ scope: "turn", permissions: {}, strictAutoReview: false }]);
  requests.close();
});

test("is() tells methods apart, and parameters that are no object read as none", async () => {
  const b = bench();
  const requests = readServerRequests(b.host);
  b.ask("a");
  b.ask("b", "some/new/question", "text");
  const [command, other] = [await nextOf(requests), await nextOf(requests)];
  assert.equal(command.is(COMMAND), true);
  assert.equal(command.is("item/tool/call"), false);
  assert.equal(command.request.type, "command");
  assert.equal(other.is(COMMAND), false);
  assert.deepEqual(other.params, {});
  requests.close();
});

test("leaving the loop lets the next reader in, who gets what nobody has seen", async () => {
  const b = bench();
  const seen: string[] = [];
  const first = readServerRequests(b.host);
  assert.throws(() => readServerRequests(b.host), /taken/);
  b.ask("a");
  b.ask("b");
  const { stop } = b.ask("answered meanwhile");
  for await (const { id } of first) {
    seen.push(id);
    break;
  }
  assert.equal(b.attached(), false);
  assert.equal((await first.next()).done, true);
  stop.abort();
  const second = readServerRequests(b.host);
  b.ask("c");
  for await (const { id } of second) {
    seen.push(id);
    if (id === "c") break;
  }
  assert.deepEqual(seen, ["a", "b", "c"]);
});

test("who waits is let go when the reader closes or the connection is over", async () => {
  const b = bench();
  const closed = readServerRequests(b.host);
  const waiting = closed.next();
  closed.close();
  closed.close();
  assert.deepEqual(await waiting, { done: true, value: undefined });
  const disposed = readServerRequests(b.host);
  await disposed[Symbol.asyncDispose]();
  const over = readServerRequests(b.host);
  const last = over.next();
  b.end();
  assert.equal((await last).done, true);
  assert.equal(b.attached(), false);
  assert.equal((await readServerRequests(b.host).next()).done, true);
});
