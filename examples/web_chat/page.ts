/** The files of the chat page, and the cookie by which a browser is known again. */
import { readFile } from "node:fs/promises";
import * as nodeModule from "node:module";

const SCRIPT = "text/javascript; charset=utf-8";
const FILES: Record<string, [file: string, type: string]> = {
  "/": ["index.html", "text/html; charset=utf-8"],
  "/app.js": ["app.js", SCRIPT],
  "/view.js": ["view.js", SCRIPT],
};
/** The bridge's client and what it imports; a program with a build step bundles `@codex/runtime/connect` instead. */
const CLIENT = /^\/src\/(?:web\/\w+|errors\/\w+|async|redact|secret_text|json)\.ts$/;
const PAGE_HEADERS = {
  "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; " +
    "connect-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "cache-control": "no-cache",
};

/** A file of the page; `null` when the request is for something else. */
export async function page(request: Request): Promise<Response | null> {
  const { pathname } = URL.parse(request.url) ?? { pathname: "" };
  const file = CLIENT.test(pathname) ? [`../..${pathname}`, SCRIPT] as const : FILES[pathname];
  if (file === undefined) return null;
  const text = await readFile(new URL(file[0], import.meta.url), "utf8").catch(() => null);
  if (text === null) return null;
  const headers = new Headers({ ...PAGE_HEADERS, "content-type": file[1] });
  if (browserOf(request) === null) {
    // The cookie is the key to everything of this browser; a real program asks for a login instead.
    const key = crypto.randomUUID() + crypto.randomUUID();
    headers.set("set-cookie", `chat=${key}; Path=/; HttpOnly; SameSite=Strict; Max-Age=31536000`);
  }
  return new Response(pathname.endsWith(".ts") ? withoutTypes(text) : text, { headers });
}

/** The part of Bun that is used here; Deno brings no types of it. */
declare const Bun: {
  Transpiler: new (options: { loader: "ts" }) => { transformSync(text: string): string };
};

/** TypeScript as a browser reads it. */
function withoutTypes(text: string): string {
  if (typeof Bun !== "undefined") return new Bun.Transpiler({ loader: "ts" }).transformSync(text);
  return nodeModule.stripTypeScriptTypes(text);
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
