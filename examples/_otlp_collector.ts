/** A collector of OTLP spans as JSON, as small as it can be: what an example exports, and the test of it looks at. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** A span as OTLP tells it. */
export interface OtlpSpan {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  startTimeUnixNano: string;
  name: string;
  /** Who made it: the library's spans have its name. */
  scope: string;
}

/** Collects on this machine until it is disposed. */
export async function collector(): Promise<
  { url: string; spans: OtlpSpan[]; bodies: string[] } & AsyncDisposable
> {
  const spans: OtlpSpan[] = [];
  const bodies: string[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8");
    request.on("data", (text: string) => body += text);
    request.on("end", () => {
      bodies.push(body);
      if (request.url === "/v1/traces") {
        for (const { scopeSpans } of JSON.parse(body).resourceSpans) {
          for (const { scope, spans: told } of scopeSpans) {
            for (const span of told) spans.push({ ...span, scope: scope?.name ?? "" });
          }
        }
      }
      response.setHeader("content-type", "application/json");
      response.end("{}");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    bodies,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Prints the spans of this script and of the library as a tree; of codex's own only how many there are below each. */
export function printTrace(spans: OtlpSpan[]): void {
  const known = new Set(spans.map(({ spanId }) => spanId));
  const below = (span: OtlpSpan | null): OtlpSpan[] =>
    spans.filter(({ parentSpanId = "" }) =>
      span === null ? !known.has(parentSpanId) : parentSpanId === span.spanId
    ).sort((a, b) => Number(BigInt(a.startTimeUnixNano) - BigInt(b.startTimeUnixNano)));
  const count = (span: OtlpSpan): number =>
    below(span).reduce((sum, each) => sum + 1 + count(each), 0);
  const print = (span: OtlpSpan, indent: string): void => {
    const children = below(span);
    const codex = children.filter(({ scope }) => !OURS.has(scope));
    const inside = codex.reduce((sum, each) => sum + 1 + count(each), 0);
    console.log(`${indent}${span.name}${inside === 0 ? "" : ` (${inside} spans of codex's)`}`);
    for (const child of children) if (OURS.has(child.scope)) print(child, `${indent}  `);
  };
  for (const root of below(null)) if (OURS.has(root.scope)) print(root, "");
}

const OURS: ReadonlySet<string> = new Set(["app", "@codex/runtime"]);
