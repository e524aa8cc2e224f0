/** Stores a thread, or puts one in place, and is killed at a given step: before the file operation of that number, or in a write. */
import process from "node:process";
import { FileThreadStore } from "../../src/session/history/file_thread_store.ts";
import { materialise } from "../../src/session/history/materialise.ts";
import { fileSystem } from "../../src/platform/fs.ts";

const [what, root, threadId, at, lines] = Deno.args as [string, string, string, string, string];
let left = Number(at);

/** Dies like a machine that loses its power: nothing is cleaned up, nobody is told. */
function step(): void {
  if (left-- > 0) return;
  process.kill(process.pid, "SIGKILL");
  for (;;);
}

for (const name of ["mkdir", "open", "rename", "remove"] as const) {
  const real = Deno[name] as (...args: unknown[]) => Promise<unknown>;
  Object.defineProperty(Deno, name, {
    value: (...args: unknown[]) => {
      step();
      return real.apply(Deno, args);
    },
  });
}
const { prototype } = Deno.FsFile;
const { write, sync } = prototype;
prototype.write = async function (bytes) {
  const half = await write.call(this, bytes.subarray(0, bytes.length >> 1));
  step();
  return half + await write.call(this, bytes.subarray(half));
};
prototype.sync = function () {
  step();
  return sync.call(this);
};

const all = JSON.parse(lines) as string[];
if (what === "append") {
  await new FileThreadStore(root).append(threadId, all, 2);
} else {
  const stored = (async function* () {
    yield* all;
  })();
  // Of the connection only the version is asked for.
  const core = { server: { version: "0.169.0" }, callNow: () => Promise.resolve({}) } as never;
  await materialise(core, fileSystem()!, { home: root, threadId, lines: stored });
}
console.log("done");
