/**
 * OpenTelemetry: one trace from this script's span through the agent's turn, the calls of its model and its tools, to what
 * codex does inside. The library takes the API that the script has registered; codex has an exporter of its own. Here both
 * export to a collector in this script, which prints the trace; with OTEL_EXPORTER_OTLP_ENDPOINT to yours.
 *
 *     deno run --allow-run=codex --allow-read=. --allow-net=127.0.0.1 --allow-env=OTEL_* examples/telemetry.ts --live
 *
 * On Deno no SDK is needed: it has one, which OTEL_DENO turns on.
 *
 *     OTEL_DENO=true OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 deno run --allow-run=codex --allow-read=. --allow-env=OTEL_* examples/telemetry.ts --live
 */
import { context, trace } from "npm:@opentelemetry/api@1.10.0";
import { AsyncLocalStorageContextManager } from "npm:@opentelemetry/context-async-hooks@3.1.1";
import { OTLPTraceExporter } from "npm:@opentelemetry/exporter-trace-otlp-http@0.301.0";
import { SimpleSpanProcessor, TracerProvider } from "npm:@opentelemetry/sdk-trace@3.1.1";
import process from "node:process";
import { Client, testing } from "../mod.ts";
import { collector, printTrace } from "./_otlp_collector.ts";
import { setup } from "./_setup.ts";

const { script } = testing;
await using env = await setup([script.exec("echo hello"), "It says hello."]);

const theirs = process.env["OTEL_EXPORTER_OTLP_ENDPOINT"];
await using own = theirs === undefined ? await collector() : null;
const endpoint = theirs ?? own!.url;

let provider: TracerProvider | null = null;
if (process.env["OTEL_DENO"] === undefined) {
  const exporter = new OTLPTraceExporter({ url: `${endpoint}/v1/traces` });
  provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
  trace.setGlobalTracerProvider(provider);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
}

const client = await Client.connect({
  ...env.client,
  configOverrides: {
    ...env.client.configOverrides,
    // What codex tells of itself. Without it, codex does not pass the trace on to the model.
    "otel.trace_exporter": { "otlp-http": { endpoint: `${endpoint}/v1/traces`, protocol: "json" } },
  },
});
await trace.getTracer("app").startActiveSpan("answer a request", async (span) => {
  const { assistantText } = await client.run(env.cwd, "Say hello by a command.");
  console.log(assistantText);
  span.end();
});
// Codex exports what is left when it ends.
await client.shutdown();
await provider?.shutdown();
if (own !== null) printTrace(own.spans);
