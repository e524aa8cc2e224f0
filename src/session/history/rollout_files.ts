/**
 * The files in which codex keeps threads.
 * @module
 */
import type { FileSystem } from "../../platform/mod.ts";
import { rolloutFile } from "./rollout.ts";

/** The files of all threads below codex's home, the newest days first. */
export async function* rolloutsBelow(files: FileSystem, home: string): AsyncGenerator<string> {
  const below = async (path: string, name = /^\d+$/) =>
    (await files.list(`${home}${path}`) ?? []).filter((each) => name.test(each)).sort().reverse();
  for (const year of await below("sessions")) {
    for (const month of await below(`sessions/${year}`)) {
      for (const day of await below(`sessions/${year}/${month}`)) {
        const folder = `sessions/${year}/${month}/${day}`;
        for (const name of await below(folder, /^rollout-/)) {
          const file = rolloutFile(`${home}${folder}/${name}`);
          if (file !== null) yield file;
        }
      }
    }
  }
}

/** The first line of a file, which says what it is based on; empty when it has no end. */
export async function firstLine(files: FileSystem, path: string): Promise<string> {
  for (let room = 1 << 16;; room *= 4) {
    const bytes = await files.readAt(path, 0, room);
    const end = bytes.indexOf(0x0A);
    if (end >= 0) return new TextDecoder().decode(bytes.subarray(0, end));
    if (bytes.length < room) return "";
  }
}
