/** Why an app server refused a WebSocket, in words that help. @module */

/** The explanation for an HTTP answer to the upgrade; pure. */
export function refusalOf({ status, text }: { status: number; text: string }): string {
  const said = text.trim() === "" ? "" : ` (${text.trim()})`;
  if (status === 401) {
    return `HTTP 401${said}. Pass its capability token as \`token\`: the content of the file that it was ` +
      `started with as --ws-token-file.`;
  }
  if (status === 403) {
    return `HTTP 403${said}. It refuses every request with an Origin header, as browsers and some proxies ` +
      `send it.`;
  }
  if (status < 400 || status === 400 || status === 426) {
    return `it answers HTTP, but not the WebSocket upgrade (status ${status})${said}. Is this the url of an ` +
      `app server?`;
  }
  return `HTTP ${status}${said}.`;
}
