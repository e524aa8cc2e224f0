/** Why an app server refused a WebSocket, in words that help. @module */
import { builtin } from "../platform/mod.ts";

/** An HTTP answer in place of the upgrade. */
export interface Refusal {
  /** The HTTP status. */
  status: number;
  /** The beginning of the body; empty when it is not known. */
  text: string;
}

/** The explanation for an HTTP answer to the upgrade; pure. */
export function explainRefusal({ status, text }: Refusal): string {
  const said = text.trim() === "" ? "" : ` (${text.trim()})`;
  if (status === 401) {
    return `HTTP 401${said}. Pass its capability token as \`token\`: the content of the file that it was ` +
      `started with as --ws-token-file.`;
  }
  if (status === 403) {
    return `HTTP 403${said}. It refuses every request with an Origin header, as browsers and some proxies ` +
      `send it.`;
  }
  if (status < 400 || status === 400 || status === 404 || status === 426) {
    return `HTTP ${status}${said}. Is this the url of an app server?`;
  }
  return `HTTP ${status}${said}.`;
}

/** The status in the message of a WebSocket's error event, as Deno and Bun tell it; pure. */
export function statusInMessage(message: string): Refusal | null {
  const status = /status code:? (\d{3})\b/.exec(message)?.[1];
  return status === undefined ? null : { status: Number(status), text: "" };
}

/** As much of a body as is told. */
const MAX_TEXT = 200;

interface HttpModule {
  request(url: string, options: unknown, onResponse: (response: HttpResponse) => void): {
    on(event: string, listener: (...args: never[]) => void): void;
    end(): void;
    destroy(): void;
  };
}

interface HttpResponse {
  statusCode?: number;
  on(event: string, listener: (chunk: Uint8Array) => void): void;
}

/**
 * What is wrong with TLS, when a runtime's message is about that: who vouches for the certificate, or that one side
 * speaks TLS and the other does not; pure.
 */
export function tlsTrouble(message: string): string | null {
  const text = message.trim();
  const said = text === "" ? "" : ` (${text.slice(0, 200)})`;
  if (
    /certificate|self.signed|unknown ?issuer|CERT_|UNABLE_TO_VERIFY|notvalid|expired/i.test(text)
  ) {
    return `its certificate is not trusted${said}. Let this runtime trust the authority that signed it: DENO_CERT on Deno, ` +
      "NODE_EXTRA_CA_CERTS on Node and Bun.";
  }
  if (
    /\b(?:tls|ssl)\b|ssl3_|wrong version|invalid ?contenttype|corrupt message|EPROTO|packet length|fatal alert/i
      .test(text)
  ) {
    return `the other side does not speak TLS as it should${said}. Is it ws:// that is wanted?`;
  }
  return null;
}

/** Whether a runtime's message says that somebody answered, and not as an HTTP server does; pure. */
export function hungUp(message: string): boolean {
  return /invalid HTTP|socket hang up|connection ended|ECONNRESET|unexpected end/i.test(message);
}

/**
 * Node's WebSocket tells neither status nor reason: the same upgrade by hand does. A string is the reason of a connection
 * that failed; `null` when this does not tell either, or not within so many milliseconds.
 */
export function askForRefusal(
  httpUrl: string,
  headers: Record<string, string>,
  timeoutMs: number,
): Promise<Refusal | string | null> {
  const module = builtin<HttpModule>(httpUrl.startsWith("https:") ? "https" : "http");
  if (module === null) return Promise.resolve(null);
  return new Promise((resolve) => {
    const upgrade = {
      Connection: "Upgrade",
      Upgrade: "websocket",
      "Sec-WebSocket-Version": "13",
      "Sec-WebSocket-Key": btoa("refused before..").slice(0, 24),
    };
    const end = (found: Refusal | string | null): void => {
      clearTimeout(timer);
      resolve(found);
      request.destroy();
    };
    let answer: Refusal | null = null;
    const request = module.request(
      httpUrl,
      { headers: { ...headers, ...upgrade }, agent: false },
      (response) => {
        const decoder = new TextDecoder();
        const heard = { status: response.statusCode ?? 0, text: "" };
        answer = heard;
        response.on("data", (chunk) => {
          heard.text = (heard.text + decoder.decode(chunk, { stream: true })).slice(0, MAX_TEXT);
          if (heard.text.length === MAX_TEXT) end(heard);
        });
        for (const event of ["end", "error"]) response.on(event, () => end(heard));
      },
    );
    // A body may have no end, such as a stream of events that is kept alive.
    const timer = setTimeout(() => end(answer), timeoutMs);
    request.on("error", (error?: { code?: string; message?: string }) => {
      const told = [error?.code, error?.message].filter((part) => typeof part === "string");
      end(answer ?? (told.length === 0 ? null : told.join(": ")));
    });
    request.on("upgrade", () => end(null));
    request.end();
  });
}
