/** Examples of other ecosystems on Node, with the real packages; and telemetry with Deno's own exporter. */
import assert from "node:assert/strict";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { collector, type OtlpSpan } from "../../examples/_otlp_collector.ts";
import { codexPath, install, nodePath, ROOT } from "../_codex.ts";
import { test } from "../_harness.ts";
import { MCP_SDK_VERSION } from "../real/_mcp_world.ts";
import { run } from "../package/_run.ts";

const PACKAGES = /"npm:((?:@[\w-]+\/)?[\w-]+)@([\d.]+)(\/[^"]*)?"/g;

const example = (name: string) => join(ROOT, "examples", `${name}.ts`);

async function output(
  program: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<string> {
  const inherited = process.env as Record<string, string>;
  const { code, output } = await run(program, args, {
    cwd: ROOT,
    env: { ...inherited, CODEX_PATH: await codexPath(), ...env },
  });
  assert.equal(code, 0, output);
  return output;
}

/** Installs the packages that an example names. */
async function packagesOf(name: string): Promise<string> {
  const text = await readFile(example(name), "utf8");
  const named = new Map([...text.matchAll(PACKAGES)].map(([, name, version]) => [name!, version!]));
  const [first, ...others] = [...named];
  const beside = others.map(([name, version]) => `${name}@${version}`);
  return await install(join("packages", first![0]), ...first!, beside);
}

/** The SDK of MCP, which brings zod along, in the folder that other tests use. */
function mcpPackages(): Promise<string> {
  return install("mcp-sdk", "@modelcontextprotocol/sdk", MCP_SDK_VERSION);
}

/** Runs an example on Node, beside the packages that it names. */
async function onNode(
  name: string,
  env: Record<string, string> = {},
  packages: Promise<string> = packagesOf(name),
): Promise<string> {
  const text = await readFile(example(name), "utf8");
  const folder = await packages;
  const path = join(folder, `${name}-${process.pid}.ts`);
  const moved = text.replaceAll(PACKAGES, (_, name, _version, path = "") => `"${name}${path}"`)
    .replaceAll(` "./`, ` "${ROOT}/examples/`)
    .replaceAll(` "../`, ` "${ROOT}/`);
  // Node 22 has no `await using`.
  await writeFile(path, `${moved.replaceAll("await using", "const")}\nprocess.exit(0);\n`);
  try {
    const node = await nodePath();
    return await output(node, ["--disable-warning=ExperimentalWarning", path], env);
  } finally {
    await rm(path);
  }
}

/** The environment that exports to a collector, and the check of what it got. */
async function traced(act: (env: Record<string, string>) => Promise<string>): Promise<void> {
  await using otlp = await collector();
  const printed = await act({
    OTEL_EXPORTER_OTLP_ENDPOINT: otlp.url,
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
  });
  assert.match(printed, /It says hello\./);
  const named = (name: string): OtlpSpan => {
    const span = otlp.spans.find((each) => each.name === name);
    assert.ok(span, `no span ${name} among ${otlp.spans.length}: ${printed}`);
    return span;
  };
  const root = named("answer a request");
  const agent = named("invoke_agent codex");
  assert.equal(agent.parentSpanId, root.spanId);
  for (const child of ["chat scripted-model", "execute_tool shell", "turn/start"]) {
    assert.equal(named(child).parentSpanId, agent.spanId, child);
    assert.equal(named(child).traceId, root.traceId, child);
  }
}

test(
  "Deno's own exporter tells the turn below the caller's span",
  () =>
    traced((env) =>
      output(Deno.execPath(), ["run", "-A", "--no-check", example("telemetry")], {
        ...env,
        OTEL_DENO: "true",
        OTEL_DENO_CONSOLE: "ignore",
      })
    ),
);

test(
  "on Node OpenTelemetry's SDK tells the turn below the caller's span",
  { timeoutMs: 180_000 },
  () => traced((env) => onNode("telemetry", env)),
);

test("on Node the AI SDK has codex as a model", { timeoutMs: 180_000 }, async () => {
  const printed = await onNode("ai_sdk");
  assert.match(printed, /^It is empty\. \(26 tokens\)\nThen start with a README\.$/m);
  assert.match(printed, /^README\.md: 12 lines$/m);
});

test("on Node AG-UI's client reads a turn", { timeoutMs: 180_000 }, async () => {
  assert.match(await onNode("ag_ui"), /^assistant: It says hello\.\nuser: Thanks\.$/m);
});

test("on Node a session has MCP servers of its own", { timeoutMs: 180_000 }, async () => {
  assert.match(
    await onNode("mcp", {}, mcpPackages()),
    /^weather: forecast\nTake an umbrella\.\nRain$/m,
  );
});

test("on Node tools are served to threads that were begun without them", {
  timeoutMs: 180_000,
}, async () => {
  assert.match(
    await onNode("sqlite_tools", {}, mcpPackages()),
    /^SELECT .* → \[\{"n":2\}\]\nTwo orders are open\.$/m,
  );
});

test("on Node an editor with the SDK of ACP converses", { timeoutMs: 180_000 }, async () => {
  const program = join(ROOT, "tests", "deno", "_acp_node_program.ts");
  const args = ["--disable-warning=ExperimentalWarning", program];
  assert.match(await output(await nodePath(), args), /^an editor conversed/m);
});
