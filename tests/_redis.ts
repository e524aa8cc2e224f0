/** The real redis-server: the one on PATH, else Debian's package in the git-ignored `.cache`. */
import { execFile, spawn } from "node:child_process";
import { access, mkdir, readdir, rename, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { ROOT } from "./_codex.ts";
import { limited } from "./_limit.ts";

const PACKAGES = ["redis-server", "redis-tools", "libatomic1", "libjemalloc2", "liblzf1"];
const run = promisify(execFile);

/** Where redis-server is and what it needs; `null`, said loudly, where neither can be had. */
export async function findRedis(): Promise<{ path: string; env: Record<string, string> } | null> {
  try {
    await run("redis-server", ["--version"]);
    return { path: "redis-server", env: {} };
  } catch {
    // Not installed here.
  }
  const at = join(ROOT, ".cache", "redis");
  const path = join(at, "usr", "bin", "redis-server");
  const there = () => access(path).then(() => true, () => false);
  try {
    if (!await there()) {
      const draft = `${at}.${process.pid}-${Date.now()}`;
      await mkdir(draft, { recursive: true });
      try {
        await run("apt-get", ["download", ...PACKAGES], { cwd: draft });
        for (const name of await readdir(draft)) {
          if (name.endsWith(".deb")) await run("dpkg-deb", ["-x", name, "."], { cwd: draft });
        }
        await rename(draft, at).catch(async (error) => {
          if (!await there()) throw error;
        });
      } finally {
        await rm(draft, { recursive: true, force: true });
      }
    }
    const machine = process.arch === "arm64" ? "aarch64" : "x86_64";
    const LD_LIBRARY_PATH = join(at, "usr", "lib", `${machine}-linux-gnu`);
    const env = { LD_LIBRARY_PATH };
    const server = join(at, "usr", "bin", "redis-server");
    await run(server, ["--version"], { env });
    return { path: server, env };
  } catch (error) {
    console.error(`\n!!! NO REDIS: the cluster is NOT tested here. ${(error as Error).message}\n`);
    return null;
  }
}

/** A Redis of a test's own. */
export class RedisServer {
  readonly port: number;
  readonly #program: { path: string; env: Record<string, string> };
  readonly #directory: string;
  #child: ReturnType<typeof spawn> | null = null;

  constructor(
    program: { path: string; env: Record<string, string> },
    directory: string,
    port: number,
  ) {
    this.#program = program;
    this.#directory = directory;
    this.port = port;
  }

  /** Starts it with what the file holds. */
  async start(): Promise<void> {
    const args = ["--port", `${this.port}`, "--dir", this.#directory, "--appendonly", "yes"];
    this.#child = spawn(this.#program.path, [...args, "--bind", "127.0.0.1"], {
      env: { ...process.env, ...this.#program.env },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let told = "";
    const ready = new Promise<void>((resolve, reject) => {
      this.#child!.stdout!.on("data", (chunk) => {
        told += chunk;
        if (told.includes("Ready to accept connections")) resolve();
      });
      this.#child!.once("exit", () => reject(new Error(told)));
    });
    await limited("Redis to be ready", ready);
  }

  /** Sends a signal, such as `SIGSTOP`. */
  signal(name: "SIGSTOP" | "SIGCONT"): void {
    // The method of Deno's child takes one that is stopped for one that has ended.
    process.kill(this.#child!.pid!, name);
  }

  /** Runs one command; see {@linkcode redisCommand}. */
  command(...words: string[]): Promise<string> {
    return redisCommand(this.port, ...words);
  }

  /** Ends it. */
  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null) return;
    const over = new Promise((resolve) => child.once("exit", resolve));
    process.kill(child.pid!, "SIGKILL");
    await limited("the end of Redis", over);
    child.stdout!.destroy();
  }
}

/** Runs one command on a Redis of this machine whose answer is a text or nothing; `""` for nothing. */
export async function redisCommand(port: number, ...words: string[]): Promise<string> {
  const { connect } = await import("node:net");
  const text = `*${words.length}\r\n` +
    words.map((word) => `$${new TextEncoder().encode(word).length}\r\n${word}\r\n`).join("");
  return await limited(
    words.join(" "),
    new Promise((resolve, reject) => {
      const socket = connect(port, "127.0.0.1", () => socket.write(text));
      let told = "";
      socket.setEncoding("utf8");
      socket.on("data", (chunk: string) => {
        told += chunk;
        const [head = "", ...rest] = told.split("\r\n");
        if (head.startsWith("$") && head !== "$-1" && rest.length < 2) return;
        socket.destroy();
        if (head.startsWith("-")) reject(new Error(head));
        else resolve(head.startsWith("$") ? (head === "$-1" ? "" : rest[0]!) : head.slice(1));
      });
      socket.on("error", reject);
      socket.on("end", () => reject(new Error(`Redis left ${words[0]} unanswered`)));
    }),
  );
}

/** A port that is free now. */
export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}
