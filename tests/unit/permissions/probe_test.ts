import assert from "node:assert/strict";
import { hostProbe, nodePermissionProbe } from "../../../src/permissions/probe.ts";
import { test } from "../../_harness.ts";

test("nodePermissionProbe() asks Node's permission model", () => {
  const asked: string[] = [];
  const probe = nodePermissionProbe({
    has: (scope, reference) => {
      asked.push(reference === undefined ? scope : `${scope} ${reference}`);
      return scope === "fs.read";
    },
  }, "25.1.0");
  assert.equal(probe.enforcedBy, "node");
  assert.deepEqual(
    [probe.read(), probe.read("/ws"), probe.write("/ws"), probe.net(), probe.run(), probe.ffi()],
    [true, true, false, false, false, false],
  );
  assert.deepEqual(asked, ["fs.read", "fs.read /ws", "fs.write /ws", "net", "child", "addon"]);
  assert.deepEqual([probe.env(), probe.sys()], [true, true]);
});

test("nodePermissionProbe() takes the network for granted where Node does not guard it", () => {
  const nothing = { has: () => false };
  assert.equal(nodePermissionProbe(nothing, "24.9.0").net(), true);
  assert.equal(nodePermissionProbe(nothing, "25.0.0").net(), false);
});

test("nodePermissionProbe() counts a question that Node refuses as not granted", () => {
  const broken = {
    has: () => {
      throw new Error("bad scope");
    },
  };
  assert.equal(nodePermissionProbe(broken, "25.0.0").read("/ws"), false);
});

test("hostProbe() asks Deno on Deno, and nobody where nobody guards", () => {
  assert.equal(hostProbe().enforcedBy, "Deno" in globalThis ? "deno" : "none");
});
