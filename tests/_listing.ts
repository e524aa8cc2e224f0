/** What lies below a directory, to be compared with what lies there later. */
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

/** Each path below `root`: a file's mode and bytes, a directory's mode, where a link leads. */
export function listing(root: string): Record<string, string> {
  const all: Record<string, string> = {};
  const look = (at: string) => {
    for (const name of readdirSync(join(root, at)).sort()) {
      const path = at === "" ? name : `${at}/${name}`;
      const stat = lstatSync(join(root, path));
      const mode = (stat.mode & 0o777).toString(8);
      if (stat.isSymbolicLink()) all[path] = `→ ${readlinkSync(join(root, path))}`;
      else if (stat.isDirectory()) {
        all[path] = `/ ${mode}`;
        look(path);
      } else all[path] = `${mode} ${readFileSync(join(root, path), "latin1")}`;
    }
  };
  look("");
  return all;
}
