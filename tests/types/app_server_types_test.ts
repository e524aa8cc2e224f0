/** What the compiler knows about AppServer; `deno check` is the test. */
import type { AppServer, ServerRequest } from "../../src/app_server.ts";
import type { JsonObject, JsonValue } from "../../src/json.ts";
import { rpcMethods } from "../../src/protocol/generated/methods.ts";
import type * as protocol from "../../src/protocol/mod.ts";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true
  : false;
function assertType<_T extends true>(): void {}

export async function calls(app: AppServer): Promise<void> {
  // The result follows from the literal, written out or taken from the constants.
  const started = await app.request("thread/start", { cwd: "/w", sandbox: "read-only" });
  assertType<Equal<typeof started, protocol.ThreadStartResponse>>();
  const models = await app.request(rpcMethods.MODEL_LIST, { limit: 1 }, { timeoutMs: 5 });
  assertType<Equal<typeof models, protocol.ModelListResponse>>();
  const threadId = started.thread.id;
  const turn = await app.request("turn/start", {
    threadId,
    input: [{ type: "text", text: "hi" }, { type: "localImage", path: "/w/a.png" }],
  });
  assertType<Equal<typeof turn.turn.id, string>>();
  await app.request("account/logout", undefined);
  const raw = await app.requestUnchecked("thread/begin", { any: [1] });
  assertType<Equal<typeof raw, JsonValue>>();
  await app.notify("initialized");

  // @ts-expect-error: the input is missing
  await app.request("turn/start", { threadId });
  // @ts-expect-error: no such sandbox mode
  await app.request("thread/start", { sandbox: "readonly" });
  // @ts-expect-error: a field that thread/start does not have
  await app.request("thread/start", { sandboxPolicy: { type: "readOnly" } });
  // @ts-expect-error: no such input
  await app.request("turn/start", { threadId, input: [{ type: "txt", text: "hi" }] });
  // @ts-expect-error: no such method
  await app.request("thread/begin", {});
  // @ts-expect-error: the server's own method
  await app.request("item/tool/call", {});
  // @ts-expect-error: it takes no parameters
  await app.request("account/logout", { now: true });
  // @ts-expect-error: parameters are JSON
  await app.requestUnchecked("thread/begin", new Date());
  // @ts-expect-error: no such field in the result
  started.threads;
}

export async function questions(app: AppServer): Promise<void> {
  for await (const request of app.serverRequests()) {
    assertType<Equal<typeof request, ServerRequest>>();
    assertType<Equal<typeof request.params, JsonObject>>();
    if (request.is("item/commandExecution/requestApproval")) {
      const command: string | null | undefined = request.params.command;
      await request.respond({ decision: command === "ls" ? "accept" : "decline" });
    } else if (request.is("item/tool/call")) {
      const tool: string = request.params.tool;
      await request.respond({ success: true, contentItems: [{ type: "inputText", text: tool }] });
    } else await request.reject({ message: "not supported" });
  }
}

export async function typed(
  request: ServerRequest<"item/fileChange/requestApproval">,
): Promise<void> {
  await request.respond({ decision: "acceptForSession" });
  // @ts-expect-error: no such decision
  await request.respond({ decision: "yes" });
}

export async function disposes(app: AppServer): Promise<void> {
  const all: AsyncIterable<ServerRequest> = app.serverRequests();
  const disposable: AsyncDisposable = app;
  await disposable[Symbol.asyncDispose]();
  void all;
}
