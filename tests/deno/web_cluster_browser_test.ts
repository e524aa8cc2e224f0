/** The example cluster as people start it, and two tabs of one browser on it, in a real Chromium. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { chromium } from "npm:playwright-core@1.65.1";
import { codexPath } from "../_codex.ts";
import { limited } from "../_limit.ts";
import { findRedis, freePort, redisCommand } from "../_redis.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { say, shownNoMore, turnsOver, WAIT_MS } from "./web_chat_world.ts";
import { CHROMIUM_FLAGS, chromiumPath } from "./web_chromium.ts";

const MAIN = fileURLToPath(new URL("../../examples/web_cluster/main.ts", import.meta.url));
const redis = await findRedis();

if (redis !== null) {
  test(
    "two tabs on a cluster: bridges are killed one after the other, and the chat goes on",
    { timeoutMs: 180_000, denoOnly: "npm:playwright-core" },
    async () => {
      await using directory = await tempDir("cluster-");
      const [port, redisPort] = await Promise.all([freePort(), freePort()]);
      const child = new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          "-A",
          "--no-check",
          MAIN,
          ...["--data", join(directory.path, "data")],
          ...["--port", `${port}`, "--redis", `${redisPort}`],
        ],
        env: {
          ...redis.env,
          REDIS_SERVER: redis.path,
          CODEX_PATH: await codexPath(),
          LEASE_MS: "3000",
        },
        stdin: "null",
        stdout: "piped",
        stderr: "null",
      }).spawn();
      const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
      let context;
      try {
        let told = "";
        while (!told.includes("\n")) {
          const { done, value } = await limited("the cluster's address", reader.read());
          if (done) throw new Error(`the cluster did not start: ${told}`);
          told += value;
        }
        const bridges = /bridges: ([\d, ]+)\)/.exec(told)![1]!.split(", ").map(Number);
        assert.equal(bridges.length, 3);

        context = await chromium.launchPersistentContext(join(directory.path, "profile"), {
          executablePath: await chromiumPath(),
          args: CHROMIUM_FLAGS,
          reducedMotion: "reduce",
        });
        context.setDefaultTimeout(WAIT_MS);
        const [one = await context.newPage()] = context.pages();
        const errors: string[] = [];
        one.on("pageerror", (error) => errors.push(String(error)));
        await one.goto(`http://127.0.0.1:${port}/`);
        await say(one, "Hello there");
        assert.deepEqual(await turnsOver(one, 1), ["completed"]);
        const two = await context.newPage();
        two.on("pageerror", (error) => errors.push(String(error)));
        await two.goto(one.url());
        await turnsOver(two, 1);

        // Twice whoever has the session dies, in the middle of a turn.
        const nodes: string[] = JSON.parse(
          await readFile(join(directory.path, "data", "nodes.json"), "utf8"),
        );
        const sessionId = new URL(one.url()).hash.slice(1);
        const owner = async () => {
          const url = await redisCommand(redisPort, "HGET", `codex:owner:${sessionId}`, "url");
          return nodes.findIndex((node) => url.startsWith(`${node}/`));
        };
        for (const i of [0, 1]) {
          await say(i === 0 ? one : two, "Tell me a story");
          await Promise.all(
            [one, two].map((page) => page.getByText("Line 9 of").nth(i).waitFor()),
          );
          process.kill(bridges[await owner()]!, "SIGKILL");
          const ends = await Promise.all([one, two].map((page) => turnsOver(page, 2 + i)));
          assert.deepEqual(ends[0], ends[1]);
          assert.equal(ends[0]!.at(-1)!, "interrupted");
        }
        await say(one, "Are you there?");
        const last = await Promise.all([one, two].map((page) => turnsOver(page, 4)));
        assert.equal(last[0]!.at(-1), "completed");
        const [texts, same] = await Promise.all(
          [one, two].map((page) => page.locator(".agent").allInnerTexts()),
        );
        assert.equal(texts!.at(-1), "You said: Are you there?");
        assert.deepEqual(texts, same, "both tabs show the same");
        // What was told before a node died is still there, once.
        const lines = texts!.join("\n").match(/Line 1 of/g) ?? [];
        assert.equal(lines.length, 2);

        // A chat can be closed, whoever has it; the other tab is told.
        await two.getByRole("button", { name: "Close Hello there" }).click();
        await one.getByText("What should we work on?").waitFor();
        await shownNoMore(one.getByRole("button", { name: "Close Hello there" }));
        assert.deepEqual(errors, []);
      } finally {
        await context?.close();
        child.kill("SIGTERM");
        await reader.cancel();
        await limited("the end of the cluster", child.status);
      }
    },
  );
}
