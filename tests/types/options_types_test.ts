/** What callers write without a cast: literals, interfaces, what libraries make; `deno check` is the test. */
import { toJsonSchema } from "npm:@valibot/to-json-schema@1.8.0";
import * as v from "npm:valibot@1.5.0";
import * as z from "npm:zod@4.6.7";
import {
  type AskOptions,
  type Client,
  type ClientConfig,
  CodexError,
  type CommandItem,
  type FileChangeEvent,
  type JsonSchema,
  type Session,
  type StandardSchemaV1,
  type ThreadItem,
  tool,
  TurnError,
  type web,
} from "../../mod.ts";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true
  : false;
function assertType<_T extends true>(): void {}

interface Row {
  id: number;
  at: Date;
}

interface Search {
  words: readonly string[];
}

interface Servers {
  docs: { command: string; args: readonly string[] };
}

const schema = {
  type: "object",
  properties: { summary: { type: "string" }, status: { type: "string", enum: ["ok", "bad"] } },
  required: ["summary", "status"],
  additionalProperties: false,
} as const;

const config = {
  mcp_servers: { docs: { command: "docs", args: ["--stdio"] } },
  "features.web_search": true,
} as const;

/** A caller's own function for any schema. */
export async function asked<S extends StandardSchemaV1>(
  session: Session,
  output: S,
): Promise<NonNullable<S["~standard"]["types"]>["output"]> {
  const answer = await session.ask("x", { output });
  // @ts-expect-error: a JSON Schema is no `output`
  await session.ask("x", { output: { type: "object" } });
  return answer.output;
}

export async function schemas(session: Session, client: Client, cwd: string): Promise<void> {
  const zod = z.object({ risks: z.array(z.string()) });
  await session.ask("x", { outputSchema: schema });
  await session.ask("x", { outputSchema: z.toJSONSchema(zod) });
  await session.ask("x", { outputSchema: toJsonSchema(v.object({ a: v.string() })) });
  const { output } = await session.ask("x", { output: zod });
  assertType<Equal<typeof output, { risks: string[] }>>();
  const plain = await session.ask("x");
  assertType<Equal<typeof plain.output, unknown>>();
  const valid = await session.ask("x", { output: v.object({ a: v.optional(v.string()) }) });
  assertType<Equal<typeof valid.output, { a?: string | undefined }>>();
  const beside = { type: "object", properties: { a: { type: "string" } } } as const;
  const both = await session.ask("x", {
    output: v.object({ a: v.string() }),
    outputSchema: beside,
  });
  assertType<Equal<typeof both.output, { a: string }>>();
  const ran = await client.run(cwd, "x", { output: zod, config, allowRulesFiles: true });
  assertType<Equal<typeof ran.output, { risks: string[] }>>();
  const stream = await session.askStream("x", { output: zod });
  const finished = await stream.finish();
  assertType<Equal<typeof finished.output, { risks: string[] }>>();
}

export async function settings(client: Client, cwd: string, servers: Servers): Promise<void> {
  await client.startSession({ cwd, config });
  await client.startSession({ cwd, config: { mcp_servers: servers } });
  const started: ClientConfig = { configOverrides: config };
  // @ts-expect-error: settings are an object
  await client.startSession({ cwd, config: "a=b" });
  return void started;
}

const shared = {
  approvalPolicy: "untrusted",
  sandbox: { type: "workspaceWrite", writableRoots: ["/w/out"] },
  allowPrivilegedEscalation: true,
  attachments: ["docs/API.md", { type: "localImage", path: "a.png" }],
  additionalDirectories: ["/w/more"],
  mcpServers: { docs: { command: "docs", args: ["--stdio"] } },
} as const;

const rules = [
  { effect: "allow", kind: ["command"], command: ["ls"], cwd: ["/w"] },
  { effect: "deny", kind: "fileChange", paths: [".env", ".git"] },
  { effect: "ask", host: ["example.com"], tool: ["t"], mcpServer: ["m"] },
] as const;

/** What is shared by several places is written `as const`; other libraries give lists that may only be read. */
export async function constants(client: Client, names: readonly string[]): Promise<void> {
  const session = await client.startSession({ cwd: "/w", ...shared, approvals: { rules } });
  await session.ask({ text: "x", attachments: names }, { attachments: shared.attachments });
  await session.inject([{ type: "message", role: "user", content: [{ names }] }]);
  const search: Search = { words: names };
  await session.mcp.call("docs", "find", search);
  void client.threads({ modelProviders: names });
  void client.runtime.events({ methods: names });
  const config: ClientConfig = {
    env: { inherit: names },
    transport: { type: "command", command: names },
    approvals: { rules, ask: () => ({ answers: { id: names } }) },
    hooks: {
      pre: [{ name: "n", call: () => ({ type: "mutate", patch: { attachments: names } }) }],
    },
  };
  const bridge: Partial<web.BridgeOptions> = {
    models: names,
    efforts: names,
    rules,
    origins: names,
    hosts: names,
  };
  return void [config, bridge];
}

export async function tools(client: Client, cwd: string, rows: Map<string, Row>): Promise<void> {
  const byZod = tool({
    description: "d",
    inputSchema: z.object({ id: z.string() }),
    run: ({ id }) => {
      assertType<Equal<typeof id, string>>();
      return rows.get(id);
    },
  });
  const byValibot = tool({
    description: "d",
    inputSchema: v.object({ n: v.number() }),
    run: ({ n }, { threadId, signal }) => {
      assertType<Equal<typeof n, number>>();
      assertType<Equal<typeof threadId, string>>();
      return signal.aborted ? null : new Map([[n, 1n]]);
    },
  });
  const byConstant = tool({
    description: "d",
    inputSchema: schema,
    run: ({ summary, status }) => {
      assertType<Equal<typeof status, "ok" | "bad">>();
      return [summary, new Date(), new Uint8Array()];
    },
  });
  const bySchema = tool({
    description: "d",
    inputSchema: z.toJSONSchema(z.object({})),
    run: (): Record<string, unknown> => ({}),
  });
  const byLiteral = tool({
    description: "d",
    inputSchema: {
      type: "object",
      properties: { n: { type: "number" }, tag: { enum: ["a", "b"] } },
      required: ["n"],
    },
    run: (args) => {
      assertType<Equal<typeof args.n, number>>();
      return new Error("told as text");
    },
  });
  await client.startSession({
    cwd,
    tools: {
      byZod,
      byValibot,
      byConstant,
      bySchema,
      byLiteral,
      plain: { description: "d", inputSchema: schema, run: ({ id }: { id: string }) => id },
    },
  });
}

export function items(error: unknown, change: FileChangeEvent, item: ThreadItem): string[] {
  if (!(error instanceof CodexError)) throw error;
  if (error instanceof TurnError) assertType<Equal<typeof error.items, ThreadItem[]>>();
  if (item.type === "commandExecution") {
    assertType<Equal<CommandItem["script"], string | null>>();
    return [item.script ?? item.command];
  }
  if (item.type === "agentMessage") return [item.text];
  return change.changes.map(({ unified }) => unified);
}

export async function images(session: Session, bytes: Uint8Array, blob: Blob): Promise<void> {
  await session.ask({ text: "x", attachments: [{ type: "image", data: bytes }] });
  await session.ask({
    text: "x",
    attachments: [{ type: "image", data: blob, mimeType: "image/png" }],
  });
  // @ts-expect-error: neither url nor data
  await session.ask({ text: "x", attachments: [{ type: "image" }] });
}

export async function answers(session: Session, client: Client, plain: JsonSchema): Promise<void> {
  const literal = {
    type: "object",
    properties: {
      risks: { type: "array", items: { type: "string" } },
      level: { enum: ["low", "high"] },
    },
    required: ["risks"],
  } as const;
  const { output } = await session.ask("x", { outputSchema: literal });
  const level: "low" | "high" | undefined = output.level;
  const risks: string[] = output.risks;
  void [level, risks];
  const run = await client.run("/w", "x", { outputSchema: literal, model: "m" });
  assertType<Equal<typeof run.output.risks, string[]>>();
  const stream = await session.askStream("x", { outputSchema: literal });
  assertType<Equal<Awaited<ReturnType<typeof stream.finish>>["output"]["risks"], string[]>>();
  const unknown = await session.ask("x", { outputSchema: plain });
  assertType<Equal<typeof unknown.output, unknown>>();
  const checked = await session.ask("x", { output: z.object({ n: z.number() }) });
  assertType<Equal<typeof checked.output, { n: number }>>();
  const options: AskOptions = { outputSchema: { type: "string" } };
  assertType<Equal<Awaited<ReturnType<typeof session.ask>>["output"], unknown>>();
  // @ts-expect-error: no member of the schema
  void [options, run.output.nothing];
}
