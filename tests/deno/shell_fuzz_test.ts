/** The shells are the oracle: what a rule allows runs nothing else, and what runs was seen. */
import "./_seed.ts";
import fc from "npm:fast-check@4.10.2";
import { test } from "../_harness.ts";
import { checkReport, fuzzShell } from "./_shell_fuzz.ts";

test(
  "whatever bash or dash runs of 2,000 scripts was neither allowed by a rule for something else nor hidden from a deny",
  async () => {
    const { seed = Date.now() } = fc.readConfigureGlobal() ?? {};
    checkReport(await fuzzShell(2000, seed));
  },
);
