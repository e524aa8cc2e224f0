import assert from "node:assert/strict";
import {
  effectivePolicy,
  recheckPolicy,
} from "../../../src/permissions/policy/effective_policy.ts";
import { codexHomeOfThread, ownRootIn } from "../../../src/permissions/policy/profile_config.ts";
import { PermissionDeniedError } from "../../../src/errors/mod.ts";
import { supports } from "../../../src/protocol/dialect.ts";
import { test } from "../../_harness.ts";
import { ALL, factsOf, type Grants, probeOf } from "./_world.ts";

test("supports() knows the versions that make a directory of their own writable", () => {
  const addsOwnRoot = (version: string | null) => supports(version, "addsOwnRoot");
  const versions = ["0.104.0", "0.107.0", "0.110.0", "0.125.0", "0.135.0", "0.136.0", "0.169.0"];
  assert.deepEqual(versions.filter(addsOwnRoot), ["0.110.0", "0.125.0", "0.135.0"]);
  assert.equal(addsOwnRoot(null), false);
});

test("codex's home is read off the place of a thread's file", () => {
  assert.equal(codexHomeOfThread("/h/.codex/sessions/2026/01/02/r.jsonl"), "/h/.codex");
  assert.equal(codexHomeOfThread("C:\\u\\.codex\\archived_sessions\\r.jsonl"), "C:\\u\\.codex");
  assert.equal(codexHomeOfThread("/elsewhere/r.jsonl"), null);
  assert.equal(ownRootIn("/h/.codex/"), "/h/.codex/memories");
  assert.equal(ownRootIn("C:\\u\\.codex"), "C:\\u\\.codex\\memories");
});

test("a directory that codex makes writable by itself needs the script's permission, too", () => {
  const workspace: Grants = { read: "all", write: ["/ws"], net: [] };
  const ask = (grants: Grants, ownRoot: string | null | undefined, mode: "refuse" | "narrow") =>
    effectivePolicy(
      { cwd: "/ws", sandbox: { type: "workspaceWrite" }, approvalPolicy: "never" },
      probeOf(grants),
      factsOf({}, ownRoot === undefined ? {} : { ownRoot }),
      mode,
    );
  assert.equal(ask(workspace, undefined, "refuse").sandbox.type, "workspaceWrite");
  const withOwn = { ...workspace, write: ["/ws", "/h/memories"] };
  assert.equal(ask(withOwn, "/h/memories", "refuse").sandbox.type, "workspaceWrite");
  assert.equal(ask(ALL, null, "refuse").sandbox.type, "workspaceWrite");
  for (const ownRoot of ["/h/memories", null]) {
    assert.throws(() => ask(workspace, ownRoot, "refuse"), PermissionDeniedError);
    const narrowed = ask(workspace, ownRoot, "narrow");
    assert.equal(narrowed.sandbox.type, "readOnly");
    assert.match(narrowed.narrowed.join(), /directory of its own/);
  }
  // What is revoked later counts as well.
  const policy = ask(withOwn, "/h/memories", "refuse");
  const facts = factsOf({}, { ownRoot: "/h/memories" });
  recheckPolicy(
    policy,
    probeOf({ ...withOwn, write: ["/ws", "/h", "/tmp", "/var/tmp/me"] }),
    facts,
  );
  assert.throws(() => recheckPolicy(policy, probeOf(workspace), facts), PermissionDeniedError);
});
