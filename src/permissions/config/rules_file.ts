/**
 * What codex's own `rules` files allow: commands that run outside the sandbox, with nobody asked.
 * @module
 */

/** A file with rules by which codex runs commands outside the sandbox, with nobody asked. */
export interface RulesFile {
  /** The file, or the directory that could not be looked into. */
  readonly path: string;
  /** The patterns of its rules, as they are written; empty when they could not be read. */
  readonly allows: readonly string[];
}

/**
 * What a rules file may allow, a pattern each; empty when it certainly allows nothing. The files are programs (Starlark):
 * what is not plainly a rule that asks or forbids counts as one that allows.
 */
export function allowedByRules(text: string): string[] {
  const code = text.replace(/^\s*#.*$/gm, "");
  const calls = [...code.matchAll(/\b\w*rule\s*\(/g)];
  const allows: string[] = [];
  for (const [at, call] of calls.entries()) {
    const body = code.slice(call.index, calls[at + 1]?.index ?? code.length);
    // A rule that says nothing allows.
    if (/\bdecision\s*=\s*["'](?:prompt|forbidden|deny)["']/.test(body)) continue;
    const pattern = /\b(?:pattern|host)\s*=\s*(\[[^\]]*\]|"[^"]*")/.exec(body)?.[1];
    allows.push(pattern ?? "a rule that could not be read");
  }
  if (calls.length === 0 && code.trim() !== "") allows.push("a rule that could not be read");
  return allows;
}
