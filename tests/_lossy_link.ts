/** A link to codex that loses the messages a test names, in either direction. */
import type { Transport, TransportFactory, TransportSink } from "../src/transport/transport.ts";

/** One message, as far as a test looks at it. */
export interface LinkMessage {
  id?: number | string;
  method?: string;
  params?: Record<string, unknown>;
  result?: Record<string, unknown>;
}

/** Puts the link before a transport. `loses` is asked for each message. */
export function lossyLink(
  open: TransportFactory,
  loses: (message: LinkMessage, direction: "in" | "out") => boolean,
): TransportFactory {
  return async (options) => {
    const inner = await open(options);
    const kept = (line: string, direction: "in" | "out") =>
      line.trim() === "" || !loses(JSON.parse(line), direction);
    let rest = "";
    const decoder = new TextDecoder();
    const encoder = new TextEncoder();
    const link: Transport = Object.create(inner, {
      start: {
        value: (sink: TransportSink) =>
          inner.start({
            bytes: (chunk) => {
              const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
              rest = lines.pop()!;
              const text = lines.filter((line) => kept(line, "in")).map((line) => `${line}\n`);
              if (text.length > 0) sink.bytes(encoder.encode(text.join("")));
            },
            text: (message) => kept(message, "in") && sink.text(message),
            closed: (info) => sink.closed(info),
          }),
      },
      write: {
        value: (text: string) => {
          const lines = text.split("\n").filter((line) => line !== "" && kept(line, "out"));
          return lines.length === 0
            ? Promise.resolve()
            : inner.write(lines.map((line) => `${line}\n`).join(""));
        },
      },
      kind: { value: inner.kind },
      pid: { get: () => inner.pid },
      maxOutboundBytes: { get: () => inner.maxOutboundBytes },
      close: { value: (how?: Parameters<Transport["close"]>[0]) => inner.close(how) },
      stderrTail: { value: () => inner.stderrTail() },
      kill: { value: () => inner.kill() },
      ref: { value: () => inner.ref?.() },
      unref: { value: () => inner.unref?.() },
    });
    return link;
  };
}
