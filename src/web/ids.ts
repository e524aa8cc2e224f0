/** Names that can't be guessed. */
import { base64 } from "../json.ts";

/** A prefix and `bytes` random bytes, in letters, digits, `_` and `-`. */
export function randomId(prefix: string, bytes = 24): string {
  const random = crypto.getRandomValues(new Uint8Array(bytes));
  return prefix + base64(random).replaceAll("+", "_").replaceAll("/", "-").replaceAll("=", "");
}

/** A session's id. */
export function sessionId(): string {
  return randomId("sess_");
}

/** Whether it has the form of a session's id; anything else is not looked for. */
export function isSessionId(id: string): boolean {
  return /^sess_[\w-]{32}$/.test(id);
}
