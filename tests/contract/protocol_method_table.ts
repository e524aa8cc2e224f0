/**
 * What it takes to call each client method on a real codex that has no account, no desktop and no network.
 *
 * Every method is called with sample parameters. The server then either answers, or refuses for a reason of its
 * own ("thread not found", "chatgpt authentication required"); what must not happen is that it does not understand
 * the call. {@linkcode misunderstood} tells the two apart.
 */
import { methodInfo } from "../../src/protocol/inventory.ts";
import { sampleParams } from "../unit/protocol/_sample.ts";

/** Methods that a test must not call with sample parameters, with the reason. */
export const NOT_CALLED: Readonly<Record<string, string>> = {
  "initialize": "the connection has done it",
  "feedback/upload": "sends data to a third party when there is a network",
};

/** Where a call happens. */
export interface Place {
  /** A loaded thread of this server. */
  threadId: string;
  /** An existing private directory. */
  dir: string;
}

/** Parameters of a method that the server can understand: absolute paths and a thread that exists. */
export function callableParams(method: string, { threadId, dir }: Place): unknown {
  const info = methodInfo(method);
  if (info?.kind !== "clientRequest") throw new Error(`${method} is no client request`);
  const text = (field: string): string => {
    if (field === "threadId") return threadId;
    return /path|cwd|root|dir$/i.test(field) ? `${dir}/sample` : "text";
  };
  return sampleParams(method, { text });
}

/** Whether an error says that the server could not read the call, as opposed to not doing what it asks. */
export function misunderstood(error: { code: number; message: string }): boolean {
  return /^Invalid request: |requires experimentalApi capability/.test(error.message);
}
