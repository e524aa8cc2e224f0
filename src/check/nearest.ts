/**
 * What was probably meant by a word that is not known.
 * @module
 */

/** The word that was most likely meant, or `undefined`. */
export function nearest(word: string, words: readonly string[]): string | undefined {
  const plain = (each: string) => each.toLowerCase().replaceAll(/[-_ ]/g, "");
  const wanted = plain(word);
  if (wanted === "" || word.length > 60) return undefined;
  let best: string | undefined;
  let least = 1 + Math.min(2, Math.floor(wanted.length / 3));
  for (const each of words) {
    const away = distance(wanted, plain(each));
    if (away < least) [best, least] = [each, away];
  }
  return best;
}

/** Insertions, deletions, replacements and swaps of neighbours between two words. */
function distance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 2) return Infinity;
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let row = 1; row <= a.length; row++) {
    const here = [row];
    for (let column = 1; column <= b.length; column++) {
      const cost = a[row - 1] === b[column - 1] ? 0 : 1;
      let best = Math.min(above[column]! + 1, here[column - 1]! + 1, above[column - 1]! + cost);
      if (
        row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      ) best = Math.min(best, before[column - 2]! + 1);
      here.push(best);
    }
    before = above;
    above = here;
  }
  return above[b.length]!;
}
