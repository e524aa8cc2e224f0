/** How far the installation of programs is, for people who wait. */
import { lstatSync, readdirSync } from "node:fs";
import process from "node:process";

/** Megabytes below a folder. */
export function megabytes(folder: string): number {
  let bytes = 0;
  const open = [folder];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    try {
      for (const entry of readdirSync(at, { withFileTypes: true })) {
        const path = `${at}/${entry.name}`;
        if (entry.isDirectory()) open.push(path);
        else bytes += lstatSync(path).size;
      }
    } catch {
      // npm moves folders while it installs.
    }
  }
  return Math.round(bytes / 1e6);
}

/** `███···· 120 of 400 MB`; a share beyond the whole is the whole. */
export function bar(done: number, whole: number, width = 30): string {
  const full = Math.round(Math.min(1, done / whole) * width);
  return `${"█".repeat(full).padEnd(width, "·")} ${done} of about ${whole} MB`;
}

/** Draws a bar until the work is done: in place on a terminal, elsewhere a line now and then. */
export async function withBar<T>(
  work: Promise<T>,
  folder: () => string | undefined,
  whole: number,
): Promise<T> {
  const { isTTY } = process.stdout;
  const draw = () => {
    const at = folder();
    const text = bar(at === undefined ? 0 : megabytes(at), whole);
    process.stdout.write(isTTY ? `\r${text}\x1b[K` : `${text}\n`);
  };
  const timer = setInterval(draw, isTTY ? 500 : 10_000);
  try {
    return await work;
  } finally {
    clearInterval(timer);
    process.stdout.write(isTTY ? `\r${bar(whole, whole)}\x1b[K\n` : "");
  }
}
