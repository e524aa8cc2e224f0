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

/** All bytes of a body. Throws `WebError` 413. */
export async function readBytes(request: Request, maxBytes: number): Promise<Uint8Array> {
  if (request.body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.body as ReadableStream<Uint8Array>) {
    length += chunk.length;
    if (length > maxBytes) throw tooLarge(maxBytes);
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/** The request with a body that was read already. */
export function withBody(request: Request, body: Uint8Array): Request {
  const { method, url, headers } = request;
  if (body.length === 0) return request;
  return new Request(url, { method, headers, body: body as Uint8Array<ArrayBuffer> });
}

/** The `threadId` that a JSON body names, or `null`. */
export function threadIdIn(body: Uint8Array): string | null {
  try {
    const { threadId } = JSON.parse(new TextDecoder().decode(body)) ?? {};
    return typeof threadId === "string" ? threadId : null;
  } catch {
    return null;
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
