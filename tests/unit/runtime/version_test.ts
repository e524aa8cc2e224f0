import assert from "node:assert/strict";
import {
  compareVersions,
  MIN_CODEX_VERSION,
  versionInUserAgent,
} from "../../../src/protocol/dialect.ts";
import { test } from "../../_harness.ts";

test("versionInUserAgent() finds the version behind our own name, whatever that holds", () => {
  const table: [string, string, string | null][] = [
    ["probe/0.169.0 (Debian 12.0.0; x86_64) xterm (probe; 1.2.3)", "probe", "0.169.0"],
    ["probe/0.104.0 (Debian 12.0.0; x86_64) unknown (probe; 1.2.3)", "probe", "0.104.0"],
    ["my client/with spaces é/0.169.0 (Debian 12)", "my client/with spaces é", "0.169.0"],
    ["/0.169.0 (Debian 12.0.0; x86_64) xterm (;)", "", "0.169.0"],
    ["a/9.9.9 (x/0.169.0 (Debian)", "a/9.9.9 (x", "0.169.0"],
    ["1.2.3/0.170.0-alpha.1 (Mac OS)", "1.2.3", "0.170.0-alpha.1"],
    ["renamed/0.169.0 (Debian 12)", "probe", "0.169.0"],
    ["probe/0.169.0", "probe", "0.169.0"],
    ["", "probe", null],
    ["probe", "probe", null],
    ["probe/latest (Debian)", "probe", null],
  ];
  for (const [userAgent, name, expected] of table) {
    assert.equal(versionInUserAgent(userAgent, name), expected, userAgent);
  }
});

test("compareVersions() compares numbers, not text; a pre-release counts as its release", () => {
  const table: [string, string, number][] = [
    ["0.104.0", "0.104.0", 0],
    ["0.9.0", "0.104.0", -1],
    ["0.169.0", "0.104.0", 1],
    ["1.0.0", "0.999.9", 1],
    ["0.104.1", "0.104.0", 1],
    ["0.104.0-alpha.5", "0.104.0", 0],
    ["0.104", "0.104.0", 0],
    ["unknown", "0.104.0", -1],
  ];
  for (const [a, b, expected] of table) {
    assert.equal(Math.sign(compareVersions(a, b)), expected, `${a} ${b}`);
    assert.equal(Math.sign(compareVersions(b, a)), expected === 0 ? 0 : -expected, `${b} ${a}`);
  }
  assert.equal(MIN_CODEX_VERSION, "0.104.0");
});
