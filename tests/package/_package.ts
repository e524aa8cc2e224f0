/** The package as its users get it: what `deno publish` uploads, and the tarball that npm's registry of JSR serves. */
import { createHash } from "node:crypto";
import { access, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { ROOT } from "../_codex.ts";
import { succeed } from "./_run.ts";

/** Name and version, from deno.json. */
export const PACKAGE: { name: string; version: string } = JSON.parse(
  await readFile(join(ROOT, "deno.json"), "utf8"),
);

let published: Promise<Map<string, string>> | undefined;

/**
 * The files that would be published, by their path in the package, such as `/mod.ts`.
 * Slow types, undocumented licences and other obstacles of a publication reject.
 */
export function publishedFiles(): Promise<Map<string, string>> {
  return published ??= listFiles();
}

async function listFiles(): Promise<Map<string, string>> {
  // Types are checked by `deno task check`; here they would only cost time.
  const args = ["publish", "--dry-run", "--allow-dirty", "--no-check"];
  const { output } = await succeed(process.execPath, args, { cwd: ROOT });
  const root = pathToFileURL(ROOT).href;
  const files = [...output.matchAll(/^\s*(file:\S+) \([\d.]+\w+\)$/gm)].map((match) => match[1]!);
  if (files.length === 0) throw new Error(`no files in the list of deno publish:\n${output}`);
  return new Map(files.map((url) => [decodeURI(url.slice(root.length)), decodeURI(url)]));
}

let packed: Promise<string> | undefined;

/**
 * The path of the tarball. It is packed once for each state of the published files, whoever asks first, because its
 * declarations take ten seconds of a processor.
 */
export function pack(): Promise<string> {
  return packed ??= packOnce();
}

async function packOnce(): Promise<string> {
  const hash = createHash("sha256").update(process.execPath);
  for (const [path, url] of await publishedFiles()) {
    hash.update(path).update(await readFile(new URL(url)));
  }
  const folder = join(ROOT, ".cache", "package");
  await mkdir(folder, { recursive: true });
  const path = join(folder, `${hash.digest("hex").slice(0, 16)}.tgz`);
  using lock = await Deno.open(join(folder, "lock"), { create: true, write: true });
  await lock.lock(true);
  if (await access(path).then(() => true, () => false)) return path;
  // Quietly: Deno writes declarations for what the public types refer to and warns of every other file that it "could
  // not generate types" for them. That nothing refers to one of those is tested.
  const draft = join(folder, "draft.tgz");
  const args = ["pack", "--quiet", "--allow-dirty", "--output", draft];
  const { output } = await succeed(process.execPath, args, { cwd: ROOT, timeoutMs: 180_000 });
  if (output.trim() !== "") throw new Error(`deno pack complains:\n${output}`);
  await rename(draft, path);
  return path;
}

const MANIFEST = '{ "private": true, "type": "module" }';

/**
 * Unpacks the tarball to where npm installs it. What npm itself makes of it is shown by one test, and takes two seconds of a
 * processor each time; the package has no dependencies.
 */
export async function unpackPackage(project: string): Promise<void> {
  await writeFile(join(project, "package.json"), MANIFEST);
  const place = join(project, "node_modules", "@codex", "runtime");
  await mkdir(place, { recursive: true });
  const args = ["-xzf", await pack(), "-C", place, "--strip-components=1"];
  await succeed("tar", args, { cwd: project });
}

/** Installs the tarball in an empty project of npm. */
export async function installPackage(project: string): Promise<void> {
  await writeFile(join(project, "package.json"), MANIFEST);
  const npm = ["install", "--no-audit", "--no-fund", await pack()];
  await succeed("npm", npm, { cwd: project, timeoutMs: 120_000 });
}
