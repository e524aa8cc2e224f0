/** Pipes that break, fill up, or stay open for too long. */
import assert from "node:assert/strict";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ConnectionClosedError, RequestTimeoutError } from "../../src/errors/mod.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { counting, type Figures } from "./faults_world.ts";

/** Answers the hello as codex does, then does what the test wants. */
const HELLO = `read line
echo '{"id":1,"result":{"userAgent":"codex-runtime/0.169.0 (test)"}}'
read line
`;

/** Runs a test on a server that is a shell script. */
async function onScript(
  script: string,
  figures: Figures,
  act: (runtime: Runtime) => Promise<void>,
): Promise<void> {
  await using directory = await tempDir();
  const codexPath = join(directory.path, "codex");
  await writeFile(codexPath, `#!/bin/sh\n${HELLO}${script}\n`);
  await chmod(codexPath, 0o755);
  const runtime = await Runtime.spawn({ codexPath, requestTimeoutMs: 300, closeGraceMs: 200 });
  try {
    await act(runtime);
  } finally {
    const report = await figures.watch(runtime.shutdown()) as { gone: boolean };
    assert.equal(report.gone, true);
  }
}

const LARGE = "x".repeat(100_000);
const ask = (runtime: Runtime) => runtime.request("model/list", { LARGE });

test("writing to a server that has closed its end fails the calls, not the script (EPIPE)", async () => {
  await counting("EPIPE", async (figures) => {
    await onScript("exec 0<&-\nwhile :; do sleep 0.05; done", figures, async (runtime) => {
      figures.faults = 50;
      const errors = await Promise.all(
        Array.from({ length: 50 }, () => figures.watch(ask(runtime))),
      );
      for (const error of errors) {
        assert.ok(error instanceof RequestTimeoutError || error instanceof ConnectionClosedError);
      }
    });
  });
});

test("a server that reads nothing fills the pipe; calls time out and shutdown works", async () => {
  await counting("full pipe", async (figures) => {
    await onScript("while :; do sleep 0.05; done", figures, async (runtime) => {
      figures.faults = 100;
      const errors = await Promise.all(
        Array.from({ length: 100 }, () => figures.watch(ask(runtime))),
      );
      for (const error of errors) assert.ok(error instanceof RequestTimeoutError, String(error));
      assert.ok(runtime.metrics().queuedCharacters > 0, "what can't be written waits here");
      assert.equal(runtime.metrics().pendingCalls, 0);
    });
  });
});

test("a server that floods and reads nothing blocks nobody: pipes full both ways", async () => {
  await counting("full pipes both ways", async (figures) => {
    const line = `{"method":"future/news","params":{"text":"${"y".repeat(1000)}"}}`;
    const lines = 20_000;
    await onScript(
      `yes '${line}' | head -n ${lines}\nwhile :; do sleep 0.05; done`,
      figures,
      async (runtime) => {
        figures.faults = 100;
        const all = (async () => {
          let seen = 0;
          for await (const event of runtime.events({ after: 0 })) {
            // A gap and a merge stand for what they cover.
            if (event.kind === "lagged") seen += (event.mergedTo ?? event.seq) - event.seq + 1;
            else if (event.method === "future/news") seen++;
            if (seen >= lines) return seen;
          }
          return seen;
        })();
        const errors = Array.from({ length: 100 }, () => figures.watch(ask(runtime)));
        assert.ok(await figures.watch(all) as number >= lines);
        for (const error of await Promise.all(errors)) {
          assert.ok(error instanceof RequestTimeoutError);
        }
        figures.lost = Math.max(0, lines - runtime.metrics().messagesIn);
      },
    );
  });
});

test("a server that writes megabytes to stderr is neither blocked nor remembered", async () => {
  await counting("stderr flood", async (figures) => {
    await onScript(
      `yes 'a line of complaint' | head -c 20000000 >&2\nread line\nexit 3`,
      figures,
      async (runtime) => {
        figures.faults = 1;
        const error = await figures.watch(runtime.request("model/list", {}, { timeoutMs: 20_000 }));
        assert.ok(error instanceof ConnectionClosedError, String(error));
        assert.deepEqual(error.exit, { code: 3, signal: null });
        assert.ok(error.stderrTail.length <= 16 * 1024);
        assert.match(error.message, /a line of complaint/);
      },
    );
  });
});

test("a server that leaves a child on its pipes ends all the same", async () => {
  await counting("pipes held open", async (figures) => {
    await onScript(`read line\nsleep 60 &\nexit 0`, figures, async (runtime) => {
      figures.faults = 1;
      const begun = performance.now();
      const error = await figures.watch(runtime.request("model/list", {}, { timeoutMs: 50_000 }));
      assert.ok(error instanceof ConnectionClosedError, String(error));
      assert.ok(performance.now() - begun < 25_000, "it did not wait for the child");
    });
  });
});
