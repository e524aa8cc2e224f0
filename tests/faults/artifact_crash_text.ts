/** Texts of very different sizes that show whether they are whole. */
import type { StoredArtifact } from "../../src/artifact/store/store.ts";

/** The text of version `n`. */
export function textOf(n: number): string {
  return `${n}\n${`${n}.`.repeat((n * 7_919) % 20_000)}\nend`;
}

/** The version of a stored artifact; throws when its text and meta are not one whole version. */
export function numberOf({ text, meta }: StoredArtifact): number {
  const n = Number(meta.title);
  if (text !== textOf(n)) throw new Error(`version ${n} is torn: ${text.length} characters`);
  return n;
}
