/** A user's script that ends while a program of its hook runs. Arguments: how it ends, and the program. */
import process from "node:process";
import { ShellCommandHook } from "../../src/plugin/shell_command_hook.ts";

const [how = "", command = ""] = process.argv.slice(2);
const hook = new ShellCommandHook("slow", command, { timeoutMs: 60_000 });
const { signal } = new AbortController();
const context = { phase: "preTurn", correlationId: "c", at: new Date(), metadata: {} } as const;
hook.call(context, { signal }).catch(() => {});
process.stdin.once("data", () => {
  if (how === "throw") throw new Error("uncaught, on purpose");
  process.kill(process.pid, how);
});
