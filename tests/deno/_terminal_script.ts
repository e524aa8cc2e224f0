/** Tries what needs permissions that this script does not have, or no longer; its arguments are a place and what it gives back before. */
import assert from "node:assert/strict";
import { FileArtifactStore } from "../../src/artifact/mod.ts";
import { PermissionDeniedError } from "../../src/errors/mod.ts";
import { rememberProcess } from "../../src/launch/pid_file.ts";
import { type FileSystem, fileSystem, treeFiles } from "../../src/platform/fs.ts";
import type { TreeFiles } from "../../src/platform/mod.ts";
import { thisOwner } from "../../src/runtime/hermetic/home.ts";
import { FileThreadStore } from "../../src/session/history/file_thread_store.ts";

console.log(`on a terminal: ${Deno.stdin.isTerminal() && Deno.stderr.isTerminal()}`);
const [place, given = ""] = Deno.args;
const revoked = given.split(",").filter((name) => name !== "");
if (revoked.includes("write")) {
  // With a second record the file is written to when the first one is struck out.
  const [forget] = [Deno.pid, Deno.ppid].map((pid) => rememberProcess(`${place}/pids`, pid));
  Deno.permissions.revokeSync({ name: "write" });
  forget!();
}
for (const name of revoked as ("read" | "write" | "sys")[]) Deno.permissions.revokeSync({ name });

const path = `${place}/none`;
const bytes = new Uint8Array();
const refuses = (call: Promise<unknown>) => assert.rejects(call, { name: "NotCapable" });
const files: FileSystem = fileSystem()!;
for (
  const name of ["read", "list", "modifiedMs", "makeDirectory", "empty", "removeFile"] as const
) {
  await refuses(files[name](path));
}
await refuses(files.removeAll(path));
await refuses(files.readAt(path, 0, 1));
await refuses(files.create(path, bytes));
await refuses(files.append(path, false));
await refuses(files.rename(path, `${path}-2`));
await files.syncDirectory(path);
assert.deepEqual(await Promise.all([files.size(path), files.lastByte(path, 1)]), [null, null]);

const tree: TreeFiles = (await treeFiles())!;
for (const name of ["list", "entry", "readLink", "makeDirectory", "touch"] as const) {
  await refuses(tree[name](path));
}
await refuses(tree.removeDirectory(path));
await refuses(tree.hold(path));
await refuses(tree.setMode(path, 0o700));
await refuses(tree.writeNew(path, bytes, false));
await refuses(tree.makeLink("target", path));

const denied = (call: Promise<unknown>) => assert.rejects(call, PermissionDeniedError);
await denied(new FileThreadStore(path).load(crypto.randomUUID()));
await denied(new FileArtifactStore(path).load("a"));
// Who the owner of a private home is, as far as that can be told.
await thisOwner();
console.log("asked nobody");
