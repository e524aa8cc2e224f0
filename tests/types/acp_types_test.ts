/** What the agent says is what the SDK of the Agent Client Protocol says that it may be: held by the type checker, without a cast. */
import type * as sdk from "npm:@agentclientprotocol/sdk@2.4.0";
import type * as wire from "../../src/adapters/acp/wire.ts";
import { test } from "../_harness.ts";

/** Takes what an editor takes. */
function takes<T>(): (value: T) => void {
  return () => {};
}

test("messages of the agent fit the protocol's schema", () => {
  const check = (
    hello: wire.InitializeResult,
    state: wire.SessionState,
    answer: wire.PromptResult,
    list: wire.ListResult,
    told: wire.SessionNotification,
    asked: wire.PermissionParams,
    form: wire.ElicitationForm,
  ) => {
    takes<sdk.InitializeResponse>()(hello);
    takes<sdk.NewSessionResponse>()({ sessionId: "", ...state });
    takes<sdk.LoadSessionResponse>()(state);
    takes<sdk.PromptResponse>()(answer);
    takes<sdk.ListSessionsResponse>()(list);
    takes<sdk.SessionNotification>()(told);
    takes<sdk.RequestPermissionRequest>()(asked);
    takes<sdk.CreateElicitationRequest>()(form);
  };
  void check;
});
