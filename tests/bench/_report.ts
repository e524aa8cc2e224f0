/** What is wanted, beside what was measured. */

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
  /** What was measured. */
  measured: number;
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

/** The final table. */
export function targetTable(runtime: string, rows: readonly Row[]): string {
  return markdown(
    ["", "what", "target", "stretch", `${runtime}`, ""],
    rows.map(({ id, what, target, stretch, measured, unit = "×" }) => [
      id,
      what,
      target === null ? "" : `≤ ${number(target)} ${unit}`,
      stretch === undefined ? "" : `${number(stretch)} ${unit}`,
      `${number(measured)} ${unit}`,
      target === null ? "" : measured <= target ? "met" : "missed",
    ]),
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
