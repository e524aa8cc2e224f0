/** OpenTelemetry's own tracers and meters are what `telemetry` takes, without a cast; `deno check` is the test. */
import { type Context, metrics, type Span, trace } from "npm:@opentelemetry/api@1.10.0";
import { Client, type ClientConfig, type OtelContext, type OtelSpan } from "../../mod.ts";

export async function clients(): Promise<void> {
  await using client = await Client.connect({
    telemetry: {
      tracer: trace.getTracer("app"),
      meter: metrics.getMeter("app"),
      captureContent: true,
    },
  });
  const configs: ClientConfig[] = [{}, { telemetry: "auto" }, { telemetry: "off" }];
  // @ts-expect-error: it is not a word
  configs.push({ telemetry: "on" });
  return void client;
}

export function parts(span: Span, context: Context): void {
  const [ours, around]: [OtelSpan, OtelContext] = [span, context];
  return void [ours, around];
}
