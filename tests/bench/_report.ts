/** What is wanted, beside what was measured. */
import { isSettled, type Ratio } from "./_measure.ts";

/** One line of the final table. */
export interface Row {
  /** Which target. */
  id: string;
  /** What is measured. */
  what: string;
  /** What is wanted at most, or `null` where the number is only told. */
  target: number | null;
  /** What would be better still. */
  stretch?: number;
  /** What was measured: a ratio with its interval, or a plain number. */
  measured: number | Ratio;
  /** Behind the numbers, such as `x` for ratios. */
  unit?: string;
}

/** A table of cells, as markdown. */
export function markdown(head: string[], rows: string[][]): string {
  const widths = head.map((cell, i) => Math.max(cell.length, ...rows.map((row) => row[i]!.length)));
  const line = (row: string[]) =>
    `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(" | ")} |`;
  return [line(head), `| ${widths.map((w) => "-".repeat(w)).join(" | ")} |`, ...rows.map(line)]
    .join("\n");
}

/** The number of a row, without its interval. */
export function middleOf({ measured }: Row): number {
  return typeof measured === "number" ? measured : measured.middle;
}

/** The final table. */
export function targetTable(runtime: string, rows: readonly Row[]): string {
  return markdown(
    ["", "what", "target", "stretch", `${runtime}`, ""],
    rows.map((row) => {
      const { id, what, target, stretch, measured, unit = "×" } = row;
      const wanted = (value: number) => `${number(value)} ${unit}`.trim();
      return [
        id,
        what,
        target === null ? "" : `≤ ${wanted(target)}`,
        stretch === undefined ? "" : wanted(stretch),
        typeof measured === "number" ? wanted(measured) : shown(measured, unit),
        target === null ? "" : middleOf(row) <= target ? "met" : "missed",
      ];
    }),
  );
}

/** A ratio with where it lies; what a single run says has no interval. */
function shown(ratio: Ratio, unit: string): string {
  const { middle, low, high, pairs } = ratio;
  const between = pairs === 1 ? "" : ` (${number(low)}–${number(high)})`;
  return `${number(middle)} ${unit}${between}${isSettled(ratio) ? "" : ", not settled"}`;
}

/** What changed since an earlier run. */
export function comparison(rows: readonly Row[], before: readonly Row[]): string {
  const key = ({ id, what }: Row) => `${id} ${what}`;
  const earlier = new Map(before.map((row) => [key(row), middleOf(row)]));
  return markdown(
    ["", "what", "before", "now", "now / before"],
    rows.filter((row) => earlier.has(key(row))).map((row) => {
      const then = earlier.get(key(row))!;
      const now = middleOf(row);
      const ratio = then === now ? 1 : now / then;
      return [row.id, row.what, number(then), number(now), number(ratio)];
    }),
  );
}

/** Three digits that matter. */
export function number(value: number): string {
  return value >= 100
    ? value.toFixed(0)
    : value >= 10
    ? value.toFixed(1)
    : value >= 0.1
    ? value.toFixed(2)
    : value.toFixed(3);
}
