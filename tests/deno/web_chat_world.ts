/** The chat example as a process of its own, and browsers that visit it. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import {
  type Browser,
  type BrowserContext,
  chromium,
  type Locator,
  type Page,
} from "npm:playwright-core@1.65.1";
import { directoryName } from "../../examples/web_chat/page.ts";
import { codexPath } from "../_codex.ts";
import { tempDir } from "../_temp.ts";
import { CHROMIUM_FLAGS, chromiumPath } from "./web_chromium.ts";

export type { Page } from "npm:playwright-core@1.65.1";

const SERVER = fileURLToPath(new URL("../../examples/web_chat/server.ts", import.meta.url));

/** Milliseconds that a page may take to show something, on a machine that has other work. */
export const WAIT_MS = 60_000;

/** A visitor with cookies of its own. */
export interface Visitor {
  page: Page;
  context: BrowserContext;
  /** What went wrong in the page. */
  errors: string[];
}

/** A way to the server that can be cut. */
export class Wire {
  readonly port: number;
  readonly #listener: Deno.Listener;
  readonly #ends: Set<Deno.Conn> = new Set();
  readonly #done: Promise<void>;

  constructor(target: number) {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.#listener = listener;
    this.port = (listener.addr as Deno.NetAddr).port;
    this.#done = this.#accept(target);
  }

  /** Cuts every connection; new ones are let through. */
  cut(): void {
    for (const end of this.#ends) close(end);
  }

  async close(): Promise<void> {
    this.#listener.close();
    this.cut();
    await this.#done;
  }

  async #accept(target: number): Promise<void> {
    const pipes: Promise<unknown>[] = [];
    for await (const near of this.#listener) {
      const far = await Deno.connect({ hostname: "127.0.0.1", port: target });
      this.#ends.add(near).add(far);
      for (const [from, to] of [[near, far], [far, near]] as const) {
        const over = () => [near, far].forEach(close);
        pipes.push(from.readable.pipeTo(to.writable).then(over, over));
      }
    }
    await Promise.all(pipes);
  }
}

function close(end: Deno.Conn): void {
  try {
    end.close();
  } catch {
    // The other side was faster.
  }
}

/** A server that can be restarted, and its visitors. */
export class ChatWorld {
  readonly data: string;
  readonly port: number;
  readonly #env: Record<string, string>;
  readonly #chromium: string;
  readonly #contexts: BrowserContext[] = [];
  #browser: Promise<Browser> | null = null;
  #server: Deno.ChildProcess | null = null;

  constructor(data: string, port: number, env: Record<string, string>, chromiumAt: string) {
    this.data = data;
    this.port = port;
    this.#env = env;
    this.#chromium = chromiumAt;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/`;
  }

  /** Starts the server; settles when it listens. */
  async start(): Promise<void> {
    this.#server = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--unstable-kv",
        SERVER,
        "--port",
        `${this.port}`,
        "--data",
        join(this.data, "chat"),
      ],
      env: this.#env,
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const reader = this.#server.stdout.getReader();
    const { value } = await reader.read();
    reader.releaseLock();
    if (!new TextDecoder().decode(value).includes("http://")) throw new Error("no server");
  }

  /** Ends the server: `SIGTERM` politely, `SIGKILL` as a crash does. */
  async stop(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const server = this.#server;
    if (server === null) return;
    this.#server = null;
    server.kill(signal);
    await server.stdout.cancel();
    await server.status;
  }

  /** A visitor whom nobody knows yet: all share one browser, and no cookies. */
  async visit(options: {
    width?: number;
    height?: number;
    colorScheme?: "light" | "dark";
    url?: string;
  } = {}): Promise<Visitor> {
    const { width = 1200, height = 860, colorScheme = "light", url = this.url } = options;
    this.#browser ??= chromium.launch({ executablePath: this.#chromium, args: CHROMIUM_FLAGS });
    const context = await (await this.#browser).newContext({
      viewport: { width, height },
      colorScheme,
      reducedMotion: "reduce",
    });
    this.#contexts.push(context);
    context.setDefaultTimeout(WAIT_MS);
    const page = await context.newPage();
    const errors: string[] = [];
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("console", (message) => {
      // A server that is away shows up as failed loads; the tests take it away on purpose.
      if (message.type() === "error" && !/Failed to load|ERR_/.test(message.text())) {
        errors.push(message.text());
      }
    });
    await page.goto(url);
    return { page, context, errors };
  }

  /** All visitors go: a page that nobody looks at any more would go on with each server that comes back. */
  async leave(): Promise<void> {
    await Promise.all(this.#contexts.splice(0).map((context) => context.close()));
  }

  /** The text of a file in a visitor's workspace, or `null`. */
  async file({ context }: Visitor, name: string): Promise<string | null> {
    const key = (await context.cookies()).find((cookie) => cookie.name === "chat")!.value;
    const workspace = join(this.data, "chat", "workspaces", await directoryName(key));
    return await readFile(join(workspace, name), "utf8").catch(() => null);
  }

  async close(): Promise<void> {
    await (await this.#browser)?.close();
    await this.stop("SIGTERM");
  }
}

/** Sets everything up, lets the test act, and takes everything down. */
export async function inChat(act: (world: ChatWorld) => Promise<void>): Promise<void> {
  await using directory = await tempDir("web-");
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  const env = { CODEX_PATH: await codexPath() };
  const world = new ChatWorld(directory.path, port, env, await chromiumPath());
  try {
    await world.start();
    await act(world);
  } finally {
    await world.close();
  }
}

/** Types a prompt and sends it by keyboard. */
export async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel("Message").fill(text);
  await page.keyboard.press("Enter");
}

/** Waits until this many turns are over; gives their statuses. */
export async function turnsOver(page: Page, count: number): Promise<string[]> {
  await page.waitForFunction(
    (wanted) => {
      // deno-lint-ignore no-explicit-any
      const turns = [...(globalThis as any).document.querySelectorAll(".turn")];
      return turns.length >= wanted && turns.every((turn) => turn.dataset.status !== "inProgress");
    },
    count,
    { polling: 100 },
  );
  return await page.locator(".turn").evaluateAll((turns) =>
    // deno-lint-ignore no-explicit-any
    turns.map((turn) => (turn as any).dataset.status)
  );
}

/** Waits until what is found has these texts; after a minute the difference fails the test. */
export async function shows(found: Locator, texts: string[]): Promise<void> {
  const until = performance.now() + WAIT_MS;
  for (;;) {
    const now = await found.allInnerTexts();
    if (isDeepStrictEqual(now, texts)) return;
    if (performance.now() > until) assert.deepEqual(now, texts);
    // The page changes with its frames.
    await found.page().evaluate("new Promise(requestAnimationFrame)");
  }
}

/** Waits until nothing is found any more. */
export async function shownNoMore(found: Locator): Promise<void> {
  await found.waitFor({ state: "hidden" });
}
