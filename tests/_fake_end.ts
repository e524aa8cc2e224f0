/** The server's end of an in-memory connection, and the transport that is its other end. */
import type { Transport, TransportFactory, TransportSink } from "../src/transport/transport.ts";

/** What a fake server speaks through: lines of text. */
export interface FakeEnd {
  /** Takes the lines that the client sends. */
  onLine(handler: (line: string) => void): void;
  /** Sends one line to the client. */
  send(line: string): void;
  /** Ends the connection as a dying process would. */
  close(exit?: { code: number | null; signal: string | null }, stderr?: string): void;
}

/** A transport factory whose server is made by `serve`, anew for each connection. */
export function fakeTransport(serve: (end: FakeEnd) => void): TransportFactory {
  return () => {
    const { transport, end } = fakePair();
    serve(end);
    return Promise.resolve(transport);
  };
}

/** Both ends of a connection. Lines arrive in order, each in a later microtask than its sending. */
export function fakePair(): { transport: Transport; end: FakeEnd } {
  let sink: TransportSink | undefined;
  let handler: (line: string) => void = () => {};
  let closed = false;
  let stderrTail = "";
  const early: string[] = [];
  const deliver = (line: string) => {
    if (sink === undefined) early.push(line);
    else queueMicrotask(() => closed || sink!.text(line));
  };
  const finish = (exit: { code: number | null; signal: string | null } | null) => {
    if (closed) return;
    // Lines already sent still arrive; the end comes after them.
    queueMicrotask(() => {
      if (closed) return;
      closed = true;
      sink?.closed({ exit, stderrTail });
    });
  };
  const transport: Transport = {
    kind: "memory",
    pid: null,
    maxOutboundBytes: null,
    start(to) {
      sink = to;
      for (const line of early.splice(0)) deliver(line);
    },
    write(text) {
      for (const line of text.split("\n")) {
        if (line !== "") queueMicrotask(() => closed || handler(line));
      }
      return Promise.resolve();
    },
    stderrTail: () => stderrTail,
    close() {
      finish({ code: 0, signal: null });
      return Promise.resolve({
        gone: true,
        how: "eof",
        exit: { code: 0, signal: null },
        durationMs: 0,
      });
    },
    kill: () => finish({ code: null, signal: "SIGKILL" }),
  };
  const end: FakeEnd = {
    onLine: (to) => void (handler = to),
    send: deliver,
    close(exit = { code: 1, signal: null }, stderr = "") {
      stderrTail = stderr;
      finish(exit);
    },
  };
  return { transport, end };
}
