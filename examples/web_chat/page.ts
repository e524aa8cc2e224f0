/** The files of the chat page, and the cookie by which a browser is known again. */
import { readFile } from "node:fs/promises";

const FILES: Record<string, [file: string, type: string]> = {
  "/": ["index.html", "text/html; charset=utf-8"],
  "/app.js": ["app.js", "text/javascript; charset=utf-8"],
  "/view.js": ["view.js", "text/javascript; charset=utf-8"],
};
const PAGE_HEADERS = {
  "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; " +
    "connect-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "cache-control": "no-cache",
};

/** A file of the page; `null` when the request is for something else. */
export async function page(request: Request): Promise<Response | null> {
  const file = URL.canParse(request.url) ? FILES[new URL(request.url).pathname] : undefined;
  if (file === undefined) return null;
  const headers = new Headers({ ...PAGE_HEADERS, "content-type": file[1] });
  if (browserOf(request) === null) {
    // The cookie is the key to everything of this browser; a real program asks for a login instead.
    const key = crypto.randomUUID() + crypto.randomUUID();
    headers.set("set-cookie", `chat=${key}; Path=/; HttpOnly; SameSite=Strict; Max-Age=31536000`);
  }
  return new Response(await readFile(new URL(file[0], import.meta.url), "utf8"), { headers });
}

/** The browser that a request comes from, by its cookie. */
export function browserOf(request: Request): string | null {
  return /(?:^|;\s*)chat=([\w-]{72})(?:;|$)/.exec(request.headers.get("cookie") ?? "")?.[1] ?? null;
}

/** A directory's name for a tenant, which tells nothing of the key. */
export async function directoryName(tenant: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(tenant));
  return [...new Uint8Array(digest.slice(0, 8))]
    .map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
