/**
 * Names that any store can use for any artifact id.
 * @module
 */
import { sha256Hex } from "../revision.ts";

/**
 * A readable part of at most 40 safe characters, then 32 hex digits of the id's hash, so that ids
 * which differ only in case, length or odd characters never share a name.
 */
export async function safeName(artifactId: string): Promise<string> {
  const readable = artifactId.slice(0, 40).replace(/[^A-Za-z0-9_-]/g, "_") || "artifact";
  // JSON escapes lone surrogates, which UTF-8 would fold into one replacement character.
  const bytes = new TextEncoder().encode(JSON.stringify(artifactId));
  return `${readable}-${(await sha256Hex(bytes)).slice(0, 32)}`;
}
