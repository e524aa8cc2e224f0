/** What the compiler knows about the protocol; `deno check` is the test. */
import type * as protocol from "../../src/protocol/mod.ts";
import type { rpcMethods } from "../../src/protocol/generated/methods.ts";
import type { JsonValue } from "../../src/json.ts";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true
  : false;
function assertType<_T extends true>(): void {}
function use(..._values: unknown[]): void {}

// The method literal decides about parameters and result.
assertType<Equal<protocol.Params<"thread/start">, protocol.ThreadStartParams>>();
assertType<Equal<protocol.Result<"thread/start">, protocol.ThreadStartResponse>>();
assertType<Equal<protocol.Params<"turn/start">["input"], protocol.UserInput[]>>();
assertType<Equal<protocol.Params<"account/logout">, protocol.NoParams>>();
assertType<
  Equal<
    protocol.NotificationParams<"item/agentMessage/delta">,
    protocol.AgentMessageDeltaNotification
  >
>();
assertType<
  Equal<
    protocol.ServerRequestParams<"item/commandExecution/requestApproval">,
    protocol.CommandExecutionRequestApprovalParams
  >
>();
assertType<
  Equal<
    protocol.ServerRequestResult<"item/fileChange/requestApproval">,
    protocol.FileChangeRequestApprovalResponse
  >
>();
assertType<Equal<protocol.ClientNotificationMethod, "initialized">>();
assertType<Equal<typeof rpcMethods.THREAD_START, "thread/start">>();
assertType<
  Equal<(typeof rpcMethods)[keyof typeof rpcMethods], protocol.StableClientMethod>
>();
assertType<Equal<protocol.DynamicToolCallParams["arguments"], JsonValue>>();

declare function request<M extends protocol.ClientMethod>(
  method: M,
  params: protocol.Params<M>,
): Promise<protocol.Result<M>>;

export async function calls(): Promise<void> {
  const { thread } = await request("thread/start", { cwd: "/w", sandbox: "read-only" });
  const input: protocol.UserInput[] = [{ type: "text", text: "hi" }];
  const { turn } = await request("turn/start", { threadId: thread.id, input });
  const status: string = turn.status;
  await request("thread/loaded/list", {});
  await request("account/logout", undefined);
  await request("account/logout", {});
  await request("turn/start", { threadId: "t", input, outputSchema: { type: "object" } });
  use(status);

  // @ts-expect-error: the input is missing
  await request("turn/start", { threadId: "t" });
  // @ts-expect-error: a field of turn/start, not of thread/start
  await request("thread/start", { sandboxPolicy: { type: "readOnly" } });
  // @ts-expect-error: no such sandbox mode
  await request("thread/start", { sandbox: "readonly" });
  // @ts-expect-error: no such input
  await request("turn/start", { threadId: "t", input: [{ type: "txt", text: "hi" }] });
  // @ts-expect-error: no such method
  await request("thread/begin", {});
  // @ts-expect-error: it takes no parameters
  await request("account/logout", { now: true });
}

// What is received is open, and still narrows.
export function items(item: protocol.ThreadItem): string | null {
  const id: string = item.id;
  const type: string = item.type;
  use(id, type);
  if (item.type === "agentMessage") {
    assertType<Equal<typeof item.text, string>>();
    return item.text;
  }
  switch (item.type) {
    case "commandExecution":
      assertType<Equal<typeof item.command, string>>();
      return item.aggregatedOutput ?? null;
    case "userMessage":
      return item.content.map((part) => part.type === "text" ? part.text : "").join("");
    case "fileChange":
    case "mcpToolCall":
    case "reasoning":
    case "plan":
      return null;
    default:
      // @ts-expect-error: other items have no text
      return item.text;
  }
}

export function unknowns(turn: protocol.Turn, policy: protocol.ReceivedSandboxPolicy): void {
  // A status of a newer server is a string like any other.
  const status: protocol.Turn["status"] = "paused";
  use(status, turn);
  if (policy.type === "workspaceWrite") {
    const roots: readonly string[] | undefined = policy.writableRoots;
    use(roots);
  }
  const info = turn.error?.codexErrorInfo;
  if (typeof info === "object" && info !== null && "httpConnectionFailed" in info) {
    const code: number | null | undefined = info.httpConnectionFailed.httpStatusCode;
    use(code);
  }
  if (info === "usageLimitExceeded") use(info);
  // @ts-expect-error: what is sent is closed
  const sent: protocol.SandboxPolicy = { type: "readWrite" };
  // @ts-expect-error: what was received may be unknown, and must be looked at before it is sent
  const back: protocol.SandboxPolicy = policy;
  const received: protocol.ReceivedSandboxPolicy = { type: "readOnly" } as protocol.SandboxPolicy;
  use(sent, back, received);
}

// Fields that an older supported server leaves out are optional in what it sends.
assertType<Equal<protocol.InitializeResponse["codexHome"], string | undefined>>();
assertType<Equal<protocol.ItemStartedNotification["startedAtMs"], number | undefined>>();
assertType<Equal<protocol.Thread["id"], string>>();

export function notifications(message: protocol.ServerNotification): string {
  if (message.method === "turn/completed") {
    assertType<Equal<typeof message.params, protocol.TurnCompletedNotification>>();
    return message.params.turn.id;
  }
  return message.method;
}
