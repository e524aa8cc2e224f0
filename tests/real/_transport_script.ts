/**
 * A user's script that starts codex (or what it is told is codex) and then ends in some way without closing
 * it. Arguments: how it ends, the program, its arguments. Prints the process id when the program has spoken.
 */
import process from "node:process";
import { openStdio } from "../../src/transport/stdio.ts";

const [how = "", command = "", ...args] = process.argv.slice(2);
if (how === "exit in listener") process.on("exit", () => process.exit(9));
if (how === "throw in listener") {
  process.on("exit", () => {
    throw new Error("in a listener, on purpose");
  });
}
const transport = await openStdio({ process: { command, args } });
await new Promise<void>((resolve) => {
  transport.start({ bytes: () => resolve(), text() {}, closed: () => resolve() });
  transport.write(
    '{"id":1,"method":"initialize","params":{"clientInfo":{"name":"t","version":"1"}}}\n',
  );
});
console.log(`pid ${transport.pid}`);
if (how === "exit") process.exit(3);
if (how === "throw") throw new Error("uncaught, on purpose");
if (how === "reject") Promise.reject(new Error("unhandled, on purpose"));
if (how === "end" || how.endsWith("in listener")) transport.unref();
