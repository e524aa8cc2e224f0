/**
 * Goes on with a thread that a store keeps, and dies before the step of that number: an append to the store, or what is done
 * with a file of codex's. Arguments: which steps count, the number, settings.
 */
import process from "node:process";
import { fileSystem } from "../../src/platform/fs.ts";
import { coreOf } from "../../src/runtime/mod.ts";
import { Client } from "../../src/session/client/client.ts";
import { FileThreadStore } from "../../src/session/history/file_thread_store.ts";
import { materialise } from "../../src/session/history/materialise.ts";
import type { ThreadStore } from "../../src/session/history/thread_store.ts";

const [steps, last, settings = "{}"] = process.argv.slice(2);
const { config, cwd, directory, threadId, home } = JSON.parse(settings);
let done = 0;

async function dieAt(): Promise<void> {
  if (done++ < Number(last)) return;
  process.kill(process.pid, "SIGKILL");
  await new Promise(() => {});
}

const client = await Client.connect(config);
const kept = new FileThreadStore(directory);
if (steps === "append") {
  const store: ThreadStore = {
    load: (id) => kept.load(id),
    append: async (...args) => {
      await dieAt();
      await kept.append(...args);
      await dieAt();
    },
  };
  const session = await client.startSession({ cwd, store });
  console.log(`thread ${session.threadId}`);
  await session.ask("one");
  await session.ask("two");
} else {
  const real = fileSystem()!;
  const before =
    <Args extends unknown[], T>(act: (...args: Args) => Promise<T>) =>
    async (...args: Args): Promise<T> => {
      await dieAt();
      return await act(...args);
    };
  await materialise(coreOf(client.runtime), {
    ...real,
    makeDirectory: before(real.makeDirectory),
    append: before(async (...args) => {
      const file = await real.append(...args);
      return { ...file, append: before(file.append), close: before(file.close) };
    }),
    rename: before(real.rename),
    syncDirectory: before(real.syncDirectory),
    removeFile: before(real.removeFile),
  }, { home, threadId, lines: (await kept.load(threadId))! });
}
console.log("done");
process.exit(0);
