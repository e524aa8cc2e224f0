/**
 * The JSON in a model's answer.
 * @module
 */

/**
 * The value of an answer that is JSON, or that holds it in a fenced block; `undefined` when there is none.
 *
 * Models that are not held to a schema like to explain themselves: text around the blocks is skipped, and of several
 * blocks the last one that is JSON counts, as the one the model came to. Fences may be of three or more backticks or
 * tildes, and are named `json`, `jsonc`, `json5` or nothing. Without a block that is JSON, lines that begin as JSON does count, up
 * to the last one that ends as it does.
 */
export function parseJson(text: string): unknown {
  const clean = text.trim();
  const blocks = fencedBlocks(clean).reverse().flatMap((block) => [
    () => block,
    () => withoutComments(block),
  ]);
  for (const candidate of [() => clean, ...blocks, () => unfenced(clean)]) {
    try {
      // Without byte order marks, and the blanks that JSON does not know.
      return JSON.parse(candidate().trim());
    } catch {
      // The next one may be JSON; an expression may find a text too long.
    }
  }
  return undefined;
}

/** From the first line that begins like JSON to the last one that ends like it. */
function unfenced(text: string): string {
  const start = text.search(/^[{[]/m);
  return start < 0
    ? ""
    : text.slice(start, Math.max(text.lastIndexOf("}"), text.lastIndexOf("]")) + 1);
}

/** A string, to its end or the text's, a lone backslash there included: nothing of it is read twice. */
const STRING = /"(?:\\[^]|[^"\\])*(?:"|\\?$)/;
const COMMENT = new RegExp(`${STRING.source}|//[^\\n]*|/\\*[^]*?(?:\\*/|$)`, "g");
const TRAILING_COMMA = new RegExp(`${STRING.source}|,(?=\\s*[}\\]])`, "g");

/** JSON as people write it into `jsonc` blocks, without what JSON lacks. */
function withoutComments(text: string): string {
  const keepStrings = (found: string) => found.startsWith('"') ? found : "";
  return text.replace(COMMENT, keepStrings).replace(TRAILING_COMMA, keepStrings);
}

/** Deeper nesting is not read: each level reads the text once more. */
const MAX_NESTING = 3;

/** The contents of the blocks, those within others included, in the order of their ends. */
function fencedBlocks(text: string, depth = 0): string[] {
  if (depth === MAX_NESTING) return [];
  const lines = text.split(/\r?\n/);
  const blocks: string[] = [];
  for (let i = 0; i < lines.length; i++) {
    const opening = /^\s*(`{3,}|~{3,})(.*)$/.exec(lines[i]!);
    if (opening === null) continue;
    const [, fence, info] = opening as unknown as [string, string, string];
    const named = /^\s*(?:json[c5]?)?(?=[\s{[]|$)/i.exec(info)?.[0];
    const inline = beforeFence(info, fence);
    if (inline !== null) {
      if (named !== undefined) blocks.push(inline.slice(named.length));
      continue;
    }
    const content: string[] = [];
    for (i++; i < lines.length; i++) {
      const last = beforeFence(lines[i]!, fence);
      content.push(last ?? lines[i]!);
      if (last !== null) break;
    }
    const body = content.join("\n");
    blocks.push(...fencedBlocks(body, depth + 1));
    if (named !== undefined) blocks.push(body);
  }
  return blocks;
}

/** What stands before the closing fence at the end of a line, or `null` when it does not close the block. */
function beforeFence(line: string, fence: string): string | null {
  const trimmed = line.trimEnd();
  if (!trimmed.endsWith(fence)) return null;
  let end = trimmed.length - fence.length;
  while (end > 0 && trimmed[end - 1] === fence[0]) end--;
  return trimmed.slice(0, end);
}
