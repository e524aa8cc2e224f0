import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { test } from "../_harness.ts";
import { methodInfo } from "../../src/protocol/inventory.ts";
import {
  type Issue,
  validateNotification,
  validateParams,
  validateResult,
  validateServerRequestParams,
  validateServerRequestResult,
} from "../../src/protocol/validator.ts";

interface Message {
  id?: number | string;
  method?: string;
  params?: unknown;
  result?: unknown;
}

/** Replays a recorded connection; calls are matched with their answers per direction. */
function replay(text: string, report: (method: string, issue: Issue | null) => void): void {
  const asked = { ">": new Map<unknown, string>(), "<": new Map<unknown, string>() };
  for (const line of text.trimEnd().split("\n")) {
    const { dir, m } = JSON.parse(line) as { dir: ">" | "<"; m: Message };
    const sent = dir === ">";
    if (m.method !== undefined) {
      const check = sent
        ? validateParams
        : m.id === undefined
        ? validateNotification
        : validateServerRequestParams;
      if (m.id !== undefined) asked[dir].set(m.id, m.method);
      report(m.method, check(m.method, m.params));
    } else if ("result" in m) {
      const method = asked[sent ? "<" : ">"].get(m.id);
      assert.ok(method !== undefined, "an answer to a call of the recording");
      const check = sent ? validateServerRequestResult : validateResult;
      report(method, check(method, m.result));
    }
  }
}

for (const version of ["0.104", "0.169"]) {
  test(`every message recorded with codex ${version} passes the validator`, async () => {
    const folder = new URL(`../transcripts/${version}/`, import.meta.url);
    const files = (await readdir(folder)).filter((name) => name.endsWith(".jsonl")).sort();
    assert.ok(files.length >= 15);
    let known = 0;
    const unknown = new Set<string>();
    const issues: unknown[] = [];
    for (const file of files) {
      replay(await readFile(new URL(file, folder), "utf8"), (method, issue) => {
        if (methodInfo(method) === undefined) unknown.add(method);
        else known++;
        if (issue !== null) issues.push({ file, method, ...issue });
      });
    }
    assert.ok(known > 300, `${known} known messages`);
    if (version === "0.169") {
      assert.deepEqual(issues, []);
      assert.deepEqual([...unknown], []);
      return;
    }
    // The recording sends a tool without its type, as the old protocol had it. The library always sends the
    // type, which every version takes, and refuses to leave it out.
    const expectation = 'expected one of "function", "namespace", got nothing';
    const path = "$.dynamicTools[0].type";
    assert.deepEqual(issues, [
      { file: "dynamic-tool.jsonl", method: "thread/start", path, expectation },
    ]);
    assert.ok(unknown.size > 0);
    for (const method of unknown) assert.match(method, /^codex\/event\//);
  });
}
