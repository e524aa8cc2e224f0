/** A thousand sessions come and go, and nothing of them stays. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { onDeno, test } from "../_harness.ts";
import type { SessionFigures } from "./sessions_script.ts";

const SCRIPT = fileURLToPath(new URL("./sessions_script.ts", import.meta.url));

test(
  "1,000 sessions opened and closed leave the memory as it was",
  async () => {
    const flags = onDeno ? ["run", "-A", "--no-check", "--v8-flags=--expose-gc"] : [];
    const output = await new Promise<string>((resolve, reject) => {
      execFile(process.execPath, [...flags, SCRIPT, "5"], (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(`${error.message}\n${stderr}`));
      });
    });
    const { sessions, wrong, heapMb, left }: SessionFigures = JSON.parse(output);
    const [first = 0, ...later] = heapMb;
    const grew = Math.min(...later) - first;
    console.log(
      `${sessions} sessions: ${wrong} wrong answers; memory after each 250: ` +
        `${heapMb.map((mb) => mb.toFixed(1)).join(", ")} MB`,
    );
    assert.equal(wrong, 0);
    assert.deepEqual(left, { routes: 0, approvals: 0, calls: 0 });
    // The log and the state fill up in the first rounds, and stay within their bounds.
    assert.ok(grew < 4, `${grew.toFixed(1)} MB stayed`);
  },
);
