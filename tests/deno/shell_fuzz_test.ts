/** The shells are the oracle: what a rule allows runs nothing else, and what runs was seen. */
import "./_seed.ts";
import fc from "npm:fast-check@4.10.2";
import { tries } from "../_codex.ts";
import { test } from "../_harness.ts";
import { checkReport, fuzzShell } from "./_shell_fuzz.ts";

test(
  "whatever bash or dash runs of many scripts was neither allowed by a rule for something else nor hidden from a deny",
  async () => {
    const { seed = Date.now() } = fc.readConfigureGlobal() ?? {};
    // The same ones each time; `deno task fuzz:shell` tries others.
    checkReport(await fuzzShell(tries(2000, 750), seed));
  },
);
