/** What the tests of the Agent Client Protocol share: the real client of its SDK, on an agent in this process or another. */
import { join } from "node:path";
import type * as sdk from "npm:@agentclientprotocol/sdk@2.4.0";
import type { ByteStreams, ServeProfile } from "../../src/adapters/acp/mod.ts";
import { serve } from "../../src/adapters/acp/mod.ts";
import type { Client } from "../../src/session/mod.ts";
import { install } from "../_codex.ts";
import { onDeno } from "../_harness.ts";

/** The SDK; on Bun and Node, which know no `npm:`, by its path. */
export async function loadSdk(): Promise<typeof sdk> {
  if (onDeno) return await import("npm:@agentclientprotocol/sdk@2.4.0");
  const folder = await install("acp-sdk", "@agentclientprotocol/sdk", "2.4.0");
  const parts = ["node_modules", "@agentclientprotocol", "sdk", "dist", "v1", "stable", "acp.js"];
  return await import(`file://${join(folder, ...parts)}`);
}

/** What an editor's user answers to a question. */
export type Answer = (
  params: sdk.RequestPermissionRequest,
  signal: AbortSignal,
) => sdk.RequestPermissionResponse | Promise<sdk.RequestPermissionResponse>;

/** Chooses the option of a kind. */
export function choose(kind: sdk.PermissionOptionKind): Answer {
  return ({ options }) => {
    const option = options.find((each) => each.kind === kind);
    if (option === undefined) throw new Error(`there is no option ${kind}`);
    return { outcome: { outcome: "selected", optionId: option.optionId } };
  };
}

/** An editor on an agent. */
export class Editor implements AsyncDisposable {
  readonly agent: sdk.ClientContext;
  /** Everything that was told, in order. */
  readonly updates: sdk.SessionNotification[] = [];
  /** What the user was asked. */
  readonly asked: sdk.RequestPermissionRequest[] = [];
  /** What the user answers. */
  answer: Answer = choose("reject_once");
  /** Forms that the user was shown, and how they are filled. */
  readonly forms: sdk.CreateElicitationRequest[] = [];
  fill: (form: sdk.CreateElicitationRequest) => sdk.CreateElicitationResponse = () => ({
    action: "cancel",
  });
  readonly #connection: sdk.ClientConnection;
  readonly #watchers: Set<() => void> = new Set();

  private constructor(connect: (editor: Editor) => sdk.ClientConnection) {
    this.#connection = connect(this);
    this.agent = this.#connection.agent;
  }

  /** Connects to an agent by its two streams. */
  static async open({ readable, writable }: ByteStreams): Promise<Editor> {
    const { client, ndJsonStream } = await loadSdk();
    return new Editor((editor) =>
      client({ name: "editor" })
        .onNotification("session/update", ({ params }) => {
          editor.updates.push(params);
          for (const watch of editor.#watchers) watch();
        })
        .onRequest("session/request_permission", ({ params, signal }) => {
          editor.asked.push(params);
          for (const watch of editor.#watchers) watch();
          return editor.answer(params, signal);
        })
        .onRequest("elicitation/create", ({ params }) => {
          editor.forms.push(params);
          return editor.fill(params);
        })
        .connect(ndJsonStream(writable, readable))
    );
  }

  /** Says hello. */
  async initialize(
    clientCapabilities: sdk.ClientCapabilities = {},
  ): Promise<sdk.InitializeResponse> {
    return await this.agent.request("initialize", { protocolVersion: 1, clientCapabilities });
  }

  /** Opens a session. */
  async start(cwd: string): Promise<sdk.NewSessionResponse> {
    return await this.agent.request("session/new", { cwd, mcpServers: [] });
  }

  /** Asks in a session. */
  async ask(sessionId: string, prompt: string | sdk.ContentBlock[]): Promise<sdk.PromptResponse> {
    const blocks = typeof prompt === "string" ? [{ type: "text" as const, text: prompt }] : prompt;
    return await this.agent.request("session/prompt", { sessionId, prompt: blocks });
  }

  /** What was told of a kind. */
  told<Kind extends sdk.SessionUpdate["sessionUpdate"]>(
    kind: Kind,
  ): Extract<sdk.SessionUpdate, { sessionUpdate: Kind }>[] {
    return this.updates.map(({ update }) => update)
      .filter((update) => update.sessionUpdate === kind) as Extract<
        sdk.SessionUpdate,
        { sessionUpdate: Kind }
      >[];
  }

  /** The texts of chunks, joined. */
  text(kind: "agent_message_chunk" | "agent_thought_chunk" | "user_message_chunk"): string {
    return this.told(kind).map(({ content }) => content.type === "text" ? content.text : "")
      .join("");
  }

  /** Settles when something was told or asked that fits. */
  async until(fits: () => boolean): Promise<void> {
    if (fits()) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const watch = () => fits() && resolve();
    this.#watchers.add(watch);
    await promise;
    this.#watchers.delete(watch);
  }

  /** Goes, as an editor that is closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#connection.close();
    await this.#connection.closed;
  }
}

/** An agent in this process, and both ends of its connection. */
export interface Served {
  /** The editor's end. */
  streams: ByteStreams;
  /** Settles when the agent has ended. */
  served: Promise<void>;
}

/** Serves in this process. */
export function serveHere(client: Client, profile: ServeProfile = {}): Served {
  const [there, back] = [new TransformStream(), new TransformStream()];
  const streams = { readable: there.readable, writable: back.writable };
  const served = serve(client, streams, profile);
  served.catch(() => {});
  return { streams: { readable: back.readable, writable: there.writable }, served };
}
