/**
 * Revisions: what a text is named by.
 * @module
 */

/** The revision of the empty text, which is also that of an artifact that does not exist yet. */
export const EMPTY_REVISION: string =
  "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/**
 * The revision of a text: `sha256:` and the hex digest of its UTF-8 bytes.
 *
 * ```ts
 * import { artifact } from "@codex/runtime";
 * await artifact.revisionOf("") === artifact.EMPTY_REVISION; // true
 * ```
 */
export async function revisionOf(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  let hex = "";
  for (const byte of new Uint8Array(digest)) hex += byte.toString(16).padStart(2, "0");
  return `sha256:${hex}`;
}
