/** The examples as a list for people, and how one of them is run without an account. */
import { execFileSync, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import process from "node:process";
import { bunPath, codexPath, nodePath, ROOT } from "../_codex.ts";
import { machine } from "../package/_machine.ts";
import { RECIPES } from "./_recipes.ts";

/** A program in `examples`. */
export interface Example {
  /** `recipes/chat`, `tools` … */
  name: string;
  /** The first sentence of its header. */
  about: string;
  /** The first command of its header, word for word. */
  command: string;
}

/** What needs more than a person and a played model: Redis, an editor, other programs' packages, an account. */
const LEFT_OUT = /^(?:(?:fleet|web_cluster|migration|recipes\/testing)\/|acp_agent|guarded_agent)/;

/** All examples that can be run here, recipes first. */
export function listExamples(): Example[] {
  const files = readdirSync(join(ROOT, "examples"), { recursive: true, encoding: "utf8" })
    .map((path) => path.replaceAll("\\", "/"))
    .filter((path) => /\.tsx?$/.test(path) && !LEFT_OUT.test(path));
  const found = files.flatMap((path) => {
    const name = path.replace(/\.tsx?$/, "");
    const [header] = readFileSync(join(ROOT, "examples", path), "utf8").split("*/");
    const command = /^ \* {5}((?:deno run|bun|node) .*)$/m.exec(header!)?.[1];
    if (command === undefined) return []; // a part of another one
    const text = header!.replace(/^[^]*?\/\*\*\n/, "").replace(/\n? \* ?/g, " ").trim();
    return [{ name, about: /^[^]*?(?=\. |\.$)/.exec(text)?.[0] ?? text, command }];
  });
  const rank = ({ name }: Example) => name.startsWith("recipes/") ? 0 : 1;
  return found.sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
}

/** Takes a line apart as a shell does in this directory. */
export function shellWords(cwd: string, line: string): string[] {
  return execFileSync("sh", ["-c", `for word in ${line}; do printf '%s\\n' "$word"; done`], {
    cwd,
    encoding: "utf8",
  }).trimEnd().split("\n");
}

/** Prepares the directory that a recipe works in. */
export async function furnish(name: string, cwd: string): Promise<void> {
  const { files = {}, repository = false } = RECIPES[name]!;
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(cwd, path)), { recursive: true });
    await writeFile(join(cwd, path), text);
  }
  if (!repository) return;
  const git = (...args: string[]) => execFileSync("git", args, { cwd, stdio: "ignore" });
  git("init", "-b", "main");
  git("add", ".");
  git("-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-m", "first");
}

/** Runs an example as its header says, with the played model; settles with its exit code. */
export async function runExample({ name, command }: Example): Promise<number> {
  const recipe = /^recipes\/(\w+)$/.exec(name)?.[1];
  if (recipe === undefined) {
    const env = { ...process.env, CODEX_PATH: process.env["CODEX_PATH"] ?? await codexPath() };
    // Playing the model needs more than the example itself: a server, and a home for codex.
    const words = command.replace(/ --live.*$/, "").split(" ").map((word) =>
      word.startsWith("--allow-") ? "-A" : word
    );
    return await start(words, ROOT, env);
  }
  await using user = await machine(RECIPES[recipe]!.answer);
  await furnish(recipe, user.workspace);
  await mkdir(join(user.workspace, "ann"));
  const env = { ...process.env, ...user.env, HOME: process.env["HOME"], ANN_KEY: "ann" };
  if (recipe !== "nightly") {
    const cwd = recipe === "worker" ? ROOT : user.workspace;
    return await start(shellWords(cwd, command), cwd, env);
  }
  await using hooks = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => {
    return new Response(null, { status: 204 });
  });
  const host = `127.0.0.1:${hooks.addr.port}`;
  const line = command.replaceAll("alerts.example.com", host).replace("https:", "http:");
  return await start([...shellWords(user.workspace, line), "now"], user.workspace, env);
}

async function start(words: string[], cwd: string, env: NodeJS.ProcessEnv): Promise<number> {
  const [name, ...args] = words;
  const program = name === "deno"
    ? process.execPath
    : name === "bun"
    ? await bunPath()
    : await nodePath();
  const paths = args.map((arg) => arg.replace(/^(?=examples\/)/, `${ROOT}/`));
  const child = spawn(program, paths, { cwd, env, stdio: "inherit" });
  // Ctrl-C is the example's; those that serve until they are told to end are told so.
  const onInterrupt = () => void (/hono|bun_serve|nightly/.test(words.join(" ")) && child.kill());
  process.on("SIGINT", onInterrupt);
  try {
    return await new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) => resolve(code ?? 0));
    });
  } finally {
    process.off("SIGINT", onInterrupt);
  }
}
