/** What was granted by the name of a link is what the link led to when it was judged. */
import assert from "node:assert/strict";
import { readdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { testing } from "../../mod.ts";
import { codexes } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { world } from "../real/_safety_world.ts";

const { exec, toolCall } = testing.script;

for (const version of codexes("0.169.0", "0.145.0")) {
  test(`a link that was granted leads nowhere else later, codex ${version}`, async () => {
    await using w = await world(version, { flags: { "features.request_permissions_tool": true } });
    await using one = await tempDir("one-");
    await using two = await tempDir("two-");
    const place = await w.session({
      approvalPolicy: "on-request",
      approvals: () => ({ decision: "acceptForSession" }),
    });
    const link = join(place.cwd, "link");
    await symlink(one.path, link);
    const permissions = { file_system: { write: [link] } };
    await place.act(exec(`touch ${join(two.path, "before")}`));
    await place.act(toolCall("request_permissions", { reason: "to write there", permissions }));
    await place.act(exec(`ln -sfn ${two.path} link`), exec("touch link/never"));
    await place.act(
      toolCall("request_permissions", {
        reason: "to write there",
        permissions: { file_system: { write: [one.path] } },
      }),
      exec(`touch ${join(one.path, "granted")}`),
    );
    assert.deepEqual(await readdir(one.path), ["granted"]);
    assert.deepEqual(await readdir(two.path), []);
  });
}
