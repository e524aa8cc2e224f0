/**
 * Writes `.github/reference.md` from what `deno doc --json` says: options with their defaults, events, items, routes.
 *
 *     deno run -A tests/tools/reference.ts
 *
 * A test holds the file against it.
 */
import { documentation } from "./doc_symbols.ts";

/** Where the reference is. */
export const REFERENCE: URL = new URL("../../.github/reference.md", import.meta.url);

interface Type {
  kind: string;
  repr?: string;
  // deno-lint-ignore no-explicit-any
  value?: any;
}

interface Property {
  name: string;
  optional?: boolean;
  jsDoc?: { doc?: string };
  tsType?: Type;
}

interface Declaration {
  kind: string;
  jsDoc?: { doc?: string };
  def?: { properties?: Property[]; extends?: Type[]; tsType?: Type; elements?: DocSymbol[] };
}

interface DocSymbol {
  name: string;
  declarations: Declaration[];
}

/** What the schema of the server does not say: what each kind of item is. A kind that is missing here is an error. */
const ITEMS: Record<string, string> = {
  userMessage: "What was asked.",
  hookPrompt: "What a hook of codex added.",
  agentMessage: "What the agent says.",
  functionCallOutput: "What a function gave back, where nothing else tells of it.",
  plan: "A plan that the agent proposes.",
  reasoning: "What the model thinks, as far as it is told.",
  commandExecution: "A command, its output and exit code. `script` is what the shell was given.",
  fileChange: "Files that were changed, or should have been.",
  mcpToolCall: "A call of an MCP server's tool.",
  dynamicToolCall: "A call of a tool of this program.",
  collabAgentToolCall: "Something done with another agent: begun, asked, waited for, ended.",
  subAgentActivity: "What another agent is doing.",
  webSearch: "A search of the web.",
  imageView: "An image that the agent looked at.",
  sleep: "A pause.",
  enteredReviewMode: "A review began.",
  exitedReviewMode: "A review ended; `review` is its text.",
  contextCompaction: "The history was summed up.",
};

/** The tables of the reference. */
export async function reference(json: string): Promise<string> {
  const { nodes }: { nodes: Record<string, { symbols: DocSymbol[] }> } = JSON.parse(json);
  const symbols = Object.entries(nodes).find(([path]) => path.endsWith("/mod.ts"))![1].symbols;
  const find = (path: string): Declaration => {
    let found: Declaration | undefined;
    let among: DocSymbol[] = symbols;
    for (const name of path.split(".")) {
      found = among.find((symbol) => symbol.name === name)?.declarations[0];
      among = found?.def?.elements ?? [];
    }
    if (found === undefined) throw new Error(`${path} is not in the documentation`);
    return found;
  };

  const options = (title: string, intro: string, ...names: string[]) => [
    `### ${title}`,
    intro,
    table(
      ["option", "default", "what"],
      names.flatMap((name) => propertiesOf(find(name))).map(({ name, optional, jsDoc }) => {
        const { text, fallback } = splitDefault(jsDoc?.doc ?? "");
        return [`\`${name}\``, fallback ?? (optional ? "none" : "required"), text];
      }),
    ),
  ];
  const events = (title: string, intro: string, names: string[]) => [
    `### ${title}`,
    intro,
    table(
      ["`type`", "fields", "when"],
      names.map((name) => {
        const { jsDoc } = find(name);
        const properties = propertiesOf(find(name));
        const type = properties.find((property) => property.name === "type");
        const fields = properties.filter((property) => property !== type);
        return [code([literalOf(type)]), code(fields.map(({ name }) => name)), lineOf(jsDoc?.doc)];
      }),
    ),
  ];

  const parts = [
    "# Reference",
    "Written by `deno run -A tests/tools/reference.ts` from the documentation of the code; a test holds it against " +
    "the code. Everything else is in the documentation of the names: `deno doc --html mod.ts`.",
    "## Options",
    ...options("`Client.connect`", "`ClientConfig`", "ClientConfig"),
    ...options(
      "A session and its turns",
      "`RunProfile`: of `startSession`, `resumeSession`, `fork`, `run`, `quickRunWithProfile` and `Workflow`.",
      "RunProfile",
    ),
    ...options(
      "Only of a session",
      "`SessionConfig` is a `RunProfile` with these.",
      "SessionConfig",
    ),
    ...options(
      "A prompt",
      "`AskOptions` of `ask`, `askStream` and `run`. `model`, `effort`, `mode`, `approvalPolicy`, `sandbox`, both " +
        "consents, `timeoutMs`, `limits`, `attachments` and `hooks` of the profile can be given too, for one turn.",
      "AskOptions",
      "TurnOptions",
    ),
    ...options("Tries after a failure", "`RetryOptions`", "RetryOptions"),
    ...options("Limits of a prompt", "`RunLimits`", "RunLimits"),
    ...options("Automation", "`automation.AutomationSpec`", "automation.AutomationSpec"),
    ...options(
      "The web bridge",
      "`web.BridgeOptions`",
      "web.WebAdapterOptions",
      "web.BridgeOptions",
    ),
    ...options("A cluster of bridges", "`web.ClusterOptions`", "web.ClusterOptions"),
    "## Events",
    ...events(
      "Of a turn",
      "From `askStream`, `onEvent`, `session.events()` and the bridge. All have `threadId` and `turnId`.",
      membersOf(find("TurnEvent")),
    ),
    ...events(
      "Of a session",
      "From `session.events()` besides. All have `threadId`.",
      membersOf(find("SessionEvent")).filter((name) => name !== "TurnEvent"),
    ),
    "## Items",
    "What happens in a turn: `result.items`, and `item` of `itemStarted` and `itemCompleted`. All have `id`, a command has " +
    "`script` besides; newer codex may send other types.",
    items(find("protocol.ThreadItem")),
    "## Routes of the web bridge",
    "Below `basePath`; requests and answers are JSON. Browsers send a request again whose connection broke: a `POST` or " +
    "`DELETE` (but `/chat` and `/ag-ui`) named by `?once=`, 1 to 100 characters, is done once by one owner of the session.",
    routes(find("web").jsDoc?.doc ?? ""),
  ];
  return await format(`${parts.join("\n\n")}\n`);
}

/** The fields that a type declares itself, and those that it adds to others. */
function propertiesOf({ def }: Declaration): Property[] {
  if (def?.properties !== undefined) return def.properties;
  const added: Type[] = def?.tsType?.kind === "intersection" ? def.tsType.value : [];
  return added.flatMap(({ kind, value }) => kind === "typeLiteral" ? value.properties : []);
}

/** The names of a union's members. */
function membersOf({ def }: Declaration): string[] {
  const members: Type[] = def?.tsType?.value ?? [];
  return members.map(({ repr }) => repr!);
}

function literalOf(property: Property | undefined): string {
  return property?.tsType?.value?.string ?? property?.tsType?.repr ?? "";
}

function items({ def }: Declaration): string {
  const rows = (def?.tsType?.value as Type[]).flatMap(({ value }) => {
    const properties: Property[] = value?.properties ?? [];
    const type = properties.find(({ name }) => name === "type");
    if (type?.tsType?.kind !== "literal") return []; // what is not known yet
    const fields = properties.filter(({ name }) => name !== "type" && name !== "id");
    return [[literalOf(type), fields.map(({ name }) => name)] as const];
  });
  const missing = rows.filter(([type]) => ITEMS[type] === undefined).map(([type]) => type);
  const gone = Object.keys(ITEMS).filter((type) => !rows.some(([known]) => known === type));
  if (missing.length + gone.length > 0) throw new Error(`items: missing ${missing}, gone ${gone}`);
  return table(
    ["`type`", "fields", "what"],
    rows.map(([type, fields]) => [code([type]), code(fields), ITEMS[type]!]),
  );
}

function routes(doc: string): string {
  const rows = doc.split("\n").filter((line) => line.startsWith("|"));
  return rows.join("\n").replaceAll(/\{@linkcode web\.(\w+)\}/g, "`$1`");
}

/** Takes the sentence with the default out of a description. */
function splitDefault(doc: string): { text: string; fallback: string | null } {
  const text = lineOf(doc.replace(/```[^]*?```/g, ""));
  const found = /(?:^| )Default:? ((?:[^.]|\.(?! |$))+)\./.exec(text);
  if (found === null) return { text, fallback: null };
  return { text: text.replace(found[0], "").trim(), fallback: found[1]! };
}

function lineOf(doc = ""): string {
  return doc.replaceAll(/\{@linkcode ([\w.]+)\}/g, "`$1`").replaceAll(/\s+/g, " ").trim();
}

function code(names: string[]): string {
  return names.map((name) => `\`${name}\``).join(", ");
}

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

async function format(text: string): Promise<string> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--ext", "md", "-"],
    cwd: new URL("../..", import.meta.url),
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  return new TextDecoder().decode((await child.output()).stdout);
}

if (import.meta.main) await Deno.writeTextFile(REFERENCE, await reference(await documentation()));
