/**
 * Request bodies of limited size.
 * @module
 */
import { WebError } from "../../errors/mod.ts";
import { badRequest } from "./refusals.ts";

/** Reads a JSON body; an empty one is `{}`. Throws `WebError` 413 or 400, and reads no more than it must. */
export async function readJson(request: Request, maxBytes: number): Promise<unknown> {
  const announced = Number(request.headers.get("content-length") ?? 0);
  if (announced > maxBytes) {
    // Left unread, some servers would keep the connection waiting for it.
    await request.body?.cancel().catch(() => {});
    throw tooLarge(maxBytes);
  }
  const text = await readText(request, maxBytes);
  if (text.trim() === "") return {};
  try {
    return JSON.parse(text);
  } catch {
    throw badRequest("The body is not JSON.", "invalidJson");
  }
}

async function readText(request: Request, maxBytes: number): Promise<string> {
  if (request.body === null) return "";
  const reader = (request.body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let text = "";
  let bytes = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return text + decoder.decode();
      bytes += value.length;
      if (bytes > maxBytes) {
        await reader.cancel().catch(() => {});
        throw tooLarge(maxBytes);
      }
      text += decoder.decode(value, { stream: true });
    }
  } catch (error) {
    if (error instanceof WebError) throw error;
    throw badRequest("The body could not be read as UTF-8 text.", "invalidJson");
  }
}

function tooLarge(maxBytes: number): WebError {
  return new WebError(413, "tooLarge", `A body may have up to ${maxBytes} bytes.`);
}
