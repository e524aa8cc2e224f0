/**
 * Agents for editors: the Agent Client Protocol on codex.
 *
 * @module
 */
import { approvalsKind } from "../../approvals/rules/check_rules.ts";
import {
  callback,
  checkArgument,
  having,
  type Kind,
  required,
  type Shape,
  shape,
  signal,
  takeOptions,
} from "../../check/mod.ts";
import type { Client } from "../../session/mod.ts";
import { RUN_PROFILE_FIELDS } from "../../session/profile_shape.ts";
import type { ByteStreams, ServeProfile } from "./wire.ts";

export type { ByteStreams, ServeProfile } from "./wire.ts";

const rulesKind: Kind = {
  ...approvalsKind,
  misfit: (value, path) => {
    const given = Object(value) as { ask?: unknown };
    const asks = typeof value === "function" || given.ask !== undefined;
    return asks
      ? { path, received: "a handler", accepts: "{ rules }; who is asked is the editor's user" }
      : approvalsKind.misfit(value, path);
  },
};

const SERVE_PROFILE: Shape = shape<ServeProfile>({
  ...RUN_PROFILE_FIELDS,
  approvals: rulesKind,
  signal,
});

const clientKind: Kind = required(having("a Client", { startSession: required(callback) }));

const streamsKind: Kind = required(having("{ readable, writable }", {
  readable: required(having("a ReadableStream", { getReader: required(callback) })),
  writable: required(having("a WritableStream", { getWriter: required(callback) })),
}));

/**
 * Serves an editor by the Agent Client Protocol (version 1), as long as it speaks: each of its sessions is a codex thread.
 * Settles when the editor has closed its end, its turns have stopped and its sessions are released; they stay in the history.
 * The codex client goes on to belong to the caller.
 *
 * The editor may choose what `profile` allows. The modes `read-only`, `plan` and `ask` are always there, but `ask` not with
 * `approvalPolicy: "never"`. `workspace-write` needs `allowPrivilegedEscalation` and a profile whose `sandbox` is not
 * `"read-only"`; `full-access` needs a `sandbox` without limits, such as `"danger-full-access"`. Sessions begin in the
 * profile's mode `plan` or in that of its `sandbox`, without both in `ask`. The default of `approvalPolicy` is `"on-request"`
 * here, that of `timeoutMs` one hour. Rules, hooks and this script's own permissions come before the user, who has the codex
 * client's `approvalTimeoutMs` to answer. With hooks that see tools, and with `approvals`, codex asks in `read-only` and
 * `plan` as well. There the user is asked about commands where the policy's `acceptedCommands` is `"sandboxed"`, and what could
 * be more than the mode allows is declined, whatever rules allow.
 *
 * Rejects with `InvalidArgumentError` for a wrong argument, and with `RequestTimeoutError` when codex did not confirm that a
 * session has stopped.
 *
 * ```ts ignore
 * import { acp, Client } from "@codex/runtime";
 *
 * await using client = await Client.connect({ approvalTimeoutMs: 3_600_000 });
 * const { readable } = Deno.stdin;
 * const { writable } = Deno.stdout;
 * await acp.serve(client, { readable, writable }, { allowPrivilegedEscalation: true });
 * ```
 */
export async function serve(
  client: Client,
  streams: ByteStreams,
  profile: ServeProfile = {},
): Promise<void> {
  checkArgument("acp.serve", "client", client, clientKind);
  checkArgument("acp.serve", "streams", streams, streamsKind);
  const given = takeOptions("acp.serve", profile, SERVE_PROFILE);
  // Programs that serve no editor do not load what it takes.
  const { serveAgent } = await import("./agent.ts");
  await serveAgent(client, streams, given);
}
