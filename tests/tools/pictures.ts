/**
 * Renews the README's pictures from real runs:
 *
 *     deno run -A tests/tools/pictures.ts          both
 *     deno run -A tests/tools/pictures.ts demo     the demo in a terminal, an SVG that plays once
 *     deno run -A tests/tools/pictures.ts chat     the chat page in Chromium
 */
import { type Piece, terminalSvg } from "./_terminal_svg.ts";

const ROOT = new URL("../..", import.meta.url);
const ASSETS = new URL(".assets/", ROOT);

/** The test of the page takes the picture, where it is told to. */
const CHAT_TEST = "tests/deno/web_chat_browser_test.ts";

/** Runs the demo and keeps what it prints, with the moments when. */
async function recordDemo(): Promise<Piece[]> {
  const started = performance.now();
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "-q", "tests/tools/demo.ts"],
    cwd: ROOT,
    env: { FORCE_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const pieces: Piece[] = [{ atMs: 0, text: "$ deno task demo\n" }];
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    pieces.push({ atMs: performance.now() - started, text });
  }
  if (!(await child.status).success) throw new Error("the demo failed");
  return pieces;
}

async function chat(): Promise<void> {
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", "--no-check", "--filter", "a conversation", CHAT_TEST],
    cwd: ROOT,
    env: { WEB_CHAT_PICTURES: ".assets" },
  }).output();
  if (!success) throw new Error("the test of the chat page failed");
  // Taken on the way, and shown nowhere.
  await Deno.remove(new URL("ask.png", ASSETS));
}

const [only] = Deno.args;
if (only !== "chat") {
  await Deno.writeTextFile(new URL("demo.svg", ASSETS), terminalSvg(await recordDemo()));
}
if (only !== "demo") await chat();
