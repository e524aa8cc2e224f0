/**
 * What readers of the generated documentation miss:
 *
 *     deno run -A tests/tools/doc_symbols.ts
 *
 * lists public symbols without a description, and namespaces, classes and functions without an example. It reads what
 * `deno doc --json` says, which is what JSR shows.
 */

/** Symbols that lack something; `all` counts what was looked at. */
export interface DocGaps {
  all: number;
  undocumented: string[];
  withoutExample: string[];
}

interface JsDoc {
  doc?: string;
  tags?: { kind: string }[];
}

interface Declaration {
  kind: string;
  declarationKind: string;
  jsDoc?: JsDoc;
  def?: {
    elements?: DocSymbol[];
    methods?: Member[];
    properties?: Member[];
  };
}

interface Member {
  name: string;
  accessibility?: "private" | "protected";
  jsDoc?: JsDoc;
}

interface DocSymbol {
  name: string;
  declarations: Declaration[];
}

const WITH_EXAMPLE = new Set(["namespace", "class", "function"]);
/** The language's own name for a method says it all. */
const SAID_BY_NAME = /^\[Symbol\.\w+\]$/;

/** What is missing in a documentation, as `deno doc --json` gives it. */
export function docGaps(json: string): DocGaps {
  const gaps: DocGaps = { all: 0, undocumented: [], withoutExample: [] };
  const { nodes }: { nodes: Record<string, { symbols: DocSymbol[] }> } = JSON.parse(json);
  const described = new Set(
    Object.values(nodes).flatMap(({ symbols }) => symbols)
      .filter(({ declarations }) => declarations.some(({ jsDoc }) => describes(jsDoc)))
      .map(({ name }) => name),
  );
  for (const { symbols } of Object.values(nodes)) walk(symbols, "");
  return gaps;

  function walk(symbols: DocSymbol[], path: string): void {
    for (const { name, declarations } of symbols) {
      for (const declaration of declarations) look(`${path}${name}`, declaration);
    }
  }

  function look(name: string, { kind, declarationKind, jsDoc, def }: Declaration): void {
    if (declarationKind === "private") return;
    gaps.all++;
    // One that another entry point exports as well is described there.
    if (!describes(jsDoc) && (kind !== "reference" || !described.has(name))) {
      gaps.undocumented.push(name);
    }
    if (WITH_EXAMPLE.has(kind) && !shows(jsDoc)) gaps.withoutExample.push(name);
    // The types of the wire are the schema's own.
    if (name === "protocol") return;
    if (kind === "namespace") walk(def?.elements ?? [], `${name}.`);
    for (const member of [...def?.methods ?? [], ...def?.properties ?? []]) {
      if (member.accessibility !== undefined || SAID_BY_NAME.test(member.name)) continue;
      gaps.all++;
      if (!describes(member.jsDoc)) gaps.undocumented.push(`${name}.${member.name}`);
    }
  }
}

function describes(jsDoc: JsDoc | undefined): boolean {
  return (jsDoc?.doc ?? "").trim() !== "";
}

function shows(jsDoc: JsDoc | undefined): boolean {
  return (jsDoc?.doc ?? "").includes("```") ||
    (jsDoc?.tags ?? []).some(({ kind }) => kind === "example");
}

/** What `deno doc` says of the public modules. */
export async function documentation(): Promise<string> {
  const { exports } = JSON.parse(
    await Deno.readTextFile(new URL("../../deno.json", import.meta.url)),
  );
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--json", ...Object.values<string>(exports)],
    cwd: new URL("../..", import.meta.url),
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

if (import.meta.main) {
  const { all, undocumented, withoutExample } = docGaps(await documentation());
  for (const name of undocumented) console.log(`no description: ${name}`);
  for (const name of withoutExample) console.log(`no example: ${name}`);
  console.log(
    `${all} symbols, ${undocumented.length} undocumented, ${withoutExample.length} without example`,
  );
  Deno.exit(undocumented.length + withoutExample.length === 0 ? 0 : 1);
}
