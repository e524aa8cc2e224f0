/** What was granted by the name of a link is what the link led to when it was judged. */
import assert from "node:assert/strict";
import { mkdir, readdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { testing } from "../../mod.ts";
import { codexes } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { world } from "../real/_safety_world.ts";

const { exec, toolCall } = testing.script;
const FLAGS = {
  "features.request_permissions_tool": true,
  "features.exec_permission_approvals": true,
};

for (const version of codexes("0.169.0", "0.145.0")) {
  test(`a link that was granted leads nowhere else later, codex ${version}`, async () => {
    await using w = await world(version, { flags: FLAGS });
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

for (const version of codexes("0.169.0", "0.145.0")) {
  test(`nor does one in another directory where the agent may write, codex ${version}`, async () => {
    await using root = await tempDir("root-");
    await using w = await world(version, { flags: FLAGS });
    const tmp = w.model.clientConfig().env.set["TMPDIR"]!;
    await using two = await tempDir("two-");
    const place = await w.session({
      approvalPolicy: "on-request",
      additionalDirectories: [root.path],
      approvals: () => ({ decision: "acceptForSession" }),
    });
    for (const folder of [root.path, tmp]) {
      const [link, one] = [join(folder, "link"), join(folder, "one")];
      await mkdir(one);
      await symlink(one, link);
      const permissions = { file_system: { write: [link] } };
      await place.act(toolCall("request_permissions", { reason: "to write there", permissions }));
      await place.act(exec(`ln -sfn ${two.path} ${link}`), exec(`touch ${link}/never`));
    }
    assert.deepEqual(await readdir(two.path), []);
  });

  test(`nor one of a command that was accepted for the session, codex ${version}`, async () => {
    await using one = await tempDir("one-");
    await using two = await tempDir("two-");
    await using w = await world(version, { flags: FLAGS });
    const place = await w.session({
      approvalPolicy: "on-request",
      approvals: () => ({ decision: "acceptForSession" }),
    });
    const link = join(place.cwd, "link");
    await symlink(one.path, link);
    const touch = (folder: string, more: string) =>
      toolCall("exec_command", {
        cmd: `touch ${folder}/x`,
        sandbox_permissions: "with_additional_permissions",
        justification: "to write there",
        additional_permissions: { file_system: { write: [more] } },
      });
    await place.act(touch("link", link));
    await place.act(exec(`ln -sfn ${two.path} link`), touch("link", link));
    assert.deepEqual(await readdir(two.path), []);
    await place.act(touch(one.path, one.path));
    assert.deepEqual(await readdir(one.path), ["x"]);
  });
}
