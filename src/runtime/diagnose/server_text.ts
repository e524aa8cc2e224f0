/**
 * Files that the server reads.
 * @module
 */
import { ConnectionClosedError, RequestTimeoutError } from "../../errors/mod.ts";
import { bytesOfBase64, type JsonValue, stringOf } from "../../json.ts";

/** How a server is asked. */
export type Call = (method: string, params: JsonValue) => Promise<JsonValue>;

/** Throws what is no answer: a lost connection says nothing of files, and must not be told as what they allow. */
export function refusedBy(error: unknown): void {
  if (error instanceof ConnectionClosedError || error instanceof RequestTimeoutError) throw error;
}

/** The text of a file, by the server; `undefined`: there is none. Rejects when it can't tell. */
export async function textThere(call: Call, path: string): Promise<string | null | undefined> {
  const result = await call("fs/readFile", { path }).catch((error) => {
    if (/no such file|os error 2\b/i.test(String(error))) return undefined;
    throw error;
  });
  if (result === undefined) return undefined;
  const data = stringOf(result, "dataBase64");
  return data === null ? null : new TextDecoder().decode(bytesOfBase64(data));
}
