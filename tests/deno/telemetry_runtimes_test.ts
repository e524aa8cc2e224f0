/** One trace, as the exporters of other runtimes tell it: Deno's own, and the SDK on Node. */
import assert from "node:assert/strict";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { collector, type OtlpSpan } from "../../examples/_otlp_collector.ts";
import { codexPath, install, nodePath, ROOT } from "../_codex.ts";
import { test } from "../_harness.ts";
import { run } from "../package/_run.ts";

const EXAMPLE = join(ROOT, "examples", "telemetry.ts");
const PACKAGES = /"npm:(@opentelemetry\/[a-z-]+)@([\d.]+)"/g;

async function traced(
  program: string,
  args: string[],
  env: Record<string, string>,
): Promise<void> {
  await using otlp = await collector();
  const { code, output } = await run(program, args, {
    cwd: ROOT,
    env: {
      ...process.env as Record<string, string>,
      CODEX_PATH: await codexPath(),
      OTEL_EXPORTER_OTLP_ENDPOINT: otlp.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      ...env,
    },
    timeoutMs: 60_000,
  });
  assert.equal(code, 0, output);
  assert.match(output, /It says hello\./);
  const named = (name: string): OtlpSpan => {
    const span = otlp.spans.find((each) => each.name === name);
    assert.ok(span, `no span ${name} among ${otlp.spans.length}: ${output}`);
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
  { timeoutMs: 90_000 },
  () =>
    traced(Deno.execPath(), ["run", "-A", "--no-check", EXAMPLE], {
      OTEL_DENO: "true",
      OTEL_DENO_CONSOLE: "ignore",
    }),
);

test("on Node the SDK tells the turn below the caller's span", { timeoutMs: 180_000 }, async () => {
  const text = await readFile(EXAMPLE, "utf8");
  const [first, ...others] = [...text.matchAll(PACKAGES)].map(([, name, version]) =>
    [name!, version!] as const
  );
  const beside = others.map(([name, version]) => `${name}@${version}`);
  const folder = await install("otel", first![0], first![1], beside);
  const path = join(folder, `telemetry-${process.pid}.ts`);
  const moved = text.replaceAll(PACKAGES, `"$1"`).replaceAll(` "./`, ` "${ROOT}/examples/`)
    .replaceAll(` "../`, ` "${ROOT}/`);
  // Node 22 has no `await using`.
  await writeFile(path, `${moved.replaceAll("await using", "const")}\nprocess.exit(0);\n`);
  try {
    await traced(await nodePath(), ["--disable-warning=ExperimentalWarning", path], {});
  } finally {
    await rm(path);
  }
});
