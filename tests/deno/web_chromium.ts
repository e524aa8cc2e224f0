/** A Chromium for the tests, installed where that is possible. */
import { execFile } from "node:child_process";
import { access } from "node:fs/promises";
import process from "node:process";
import { promisify } from "node:util";

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

/** The browser's path; throws with what to do where there is none and it can't be installed. */
export async function chromiumPath(): Promise<string> {
  const found = await find();
  if (found !== null) return found;
  if (process.platform !== "linux" || process.getuid?.() !== 0) throw missing("not root on Linux");
  try {
    const run = promisify(execFile);
    const options = { env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } };
    await run("apt-get", ["update"], options);
    await run("apt-get", ["install", "-y", "--no-install-recommends", "chromium"], options);
  } catch (error) {
    throw missing(error instanceof Error ? error.message : String(error));
  }
  return await find() ?? Promise.reject(missing("apt-get brought none"));
}

async function find(): Promise<string | null> {
  for (const path of PLACES) {
    if (path !== undefined && await access(path).then(() => true, () => false)) return path;
  }
  return null;
}

function missing(why: string): Error {
  return new Error(
    `The page's test needs Chromium and could not install it (${why}). ` +
      `Install it with \`apt-get install -y chromium\`, or name one by CHROMIUM_PATH.`,
  );
}
