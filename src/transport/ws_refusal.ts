/** Why an app server refused a WebSocket, in words that help. @module */

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
  return /does not answer as|invalid HTTP|socket hang up|connection ended|ECONNRESET|unexpected end/i
    .test(message);
}
