/**
 * The examples in the documentation that are no whole programs (`ts ignore`), as one module for the type checker: what they
 * call is there, under that name, with those arguments. `deno task check` checks it.
 */

/** What examples take as given, by its type; `$` is the library. */
const GIVEN: Record<string, string> = {
  adapter: "$.web.WebAdapter",
  app: "$.AppServer",
  client: "$.Client",
  connection: "$.runtime.Runtime",
  controller: "AbortController",
  cwd: "string",
  error: "unknown",
  event: "$.TurnEvent",
  goal: "$.GoalRun",
  handle: "$.automation.AutomationHandle",
  manager: "$.artifact.ArtifactSessionManager",
  model: "$.testing.ScriptedModel",
  replay: "$.testing.CassetteReplay",
  script: "typeof $.testing.script",
  session: "$.Session",
  sessionId: "string",
  signal: "AbortSignal",
  stream: "$.PromptRunStream",
  text: "string",
  threadId: "string",
  turnId: "string",
  workflow: "$.Workflow",
};

/** What other libraries and the reader's own program have. */
const FOREIGN =
  "askOnCall connect createUIMessageStreamResponse file isFine kv print provider readFile render send show streamText generateText tenantOfCookie toLines tryAgainLater writeFile z";

/** An example, and where it stands. */
interface Example {
  at: string;
  code: string;
}

/** The examples of a source file that say that they are no whole programs. */
export function examplesOf(path: string, source: string): Example[] {
  return [...source.matchAll(/^ *\* ```ts ignore\n([^]*?)^ *\* ```$/gm)].map((match) => ({
    at: `${path}:${source.slice(0, match.index).split("\n").length + 1}`,
    code: match[1]!.replaceAll(/^ *\* ?/gm, "").replaceAll(/^import [^;]*;$/gm, ""),
  }));
}

/** The names that a module exports by lists and as namespaces. */
export function exportedNames(source: string): string[] {
  const code = source.replaceAll(/\/\*[^]*?\*\//g, "");
  return [...code.matchAll(/^export (?:type )?(?:\{([^}]*)\}|\* as (\w+))/gm)]
    .flatMap(([, list, name]) => list?.split(",") ?? [name!])
    .map((each) => each.trim().replace(/^type /, "")).filter((each) => each !== "");
}

/** The module: each example is a function in it, below a comment that says where it stands. */
export function exampleModule(library: string, names: string[], examples: Example[]): string {
  const given = Object.entries(GIVEN).map(([name, type]) => `declare const ${name}: ${type};`);
  const foreign = FOREIGN.split(" ").map((name) => `declare const ${name}: any;`);
  return [
    `import * as $ from "${library}";`,
    `import { ${names.join(", ")} } from "${library}";`,
    ...given,
    ...foreign,
    ...examples.flatMap(({ at, code }, index) => {
      // Steps of a script stand alone.
      const isSteps = /^\[[^]*\],(?: \/\/.*)?\s*$/.test(code.trim());
      const body = isSteps ? `const turns: testing.ModelTurn[] = [\n${code}];` : code;
      return [`// ${at}`, `export async function example${index}() {`, body, "}"];
    }),
  ].join("\n");
}

/** What stands where a message of the compiler leads. */
export function placeOf(module: string, line: number): string {
  const before = module.split("\n").slice(0, line);
  return before.findLast((each) => /^\/\/ \S+:\d+$/.test(each))?.slice(3) ?? "its head";
}
