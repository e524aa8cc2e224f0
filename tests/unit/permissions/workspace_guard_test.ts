import assert from "node:assert/strict";
import { leavesWorkspace } from "../../../src/permissions/guard/approval_guard.ts";
import type { SandboxPolicy } from "../../../src/permissions/types.ts";
import { test } from "../../_harness.ts";

const WRITES: SandboxPolicy = { type: "workspaceWrite", writableRoots: ["/srv/shared"] };
const command = { type: "command", action: "command", network: null, additionalPermissions: null };
const patch = (path: string, movePath?: string) => ({
  type: "fileChange",
  changes: [{ path, ...(movePath === undefined ? {} : { movePath }) }],
  grantRoot: null,
});
/** `/ws/ann/link` leads to another tenant, `/ws/ann/lost` nowhere. */
const realPath = (path: string) =>
  path.startsWith("/ws/ann/lost") ? null : path.replace(/^\/ws\/ann\/link/, "/ws/bob");

const CASES: [name: string, request: unknown, declined: RegExp | null, more?: {
  os?: string | null;
  sandbox?: SandboxPolicy;
  reads?: "all";
}][] = [
  ["a command on Linux", command, null],
  ["a command elsewhere", command, /not known/, { os: "macos" }],
  ["a command on an unknown system", command, /not known/, { os: null }],
  ["what is typed into a command", { ...command, action: "writeStdin" }, null],
  ["a command of a newer kind", { ...command, action: "teleport" }, /action/],
  ["a command with more permissions", { ...command, additionalPermissions: {} }, /more than/],
  ["a command that wants the network", { ...command, network: { host: "a" } }, /network/],
  ["the network where the profile gives it", { ...command, network: { host: "a" } }, null, {
    sandbox: { type: "workspaceWrite", networkAccess: true },
  }],
  ["a patch inside", patch("/ws/ann/a.txt"), null],
  ["a patch by a relative path", patch("a.txt"), null],
  ["a patch in a writable root", patch("/srv/shared/a"), null],
  ["a patch outside", patch("/ws/bob/a.txt"), /outside/],
  ["a patch in a directory of a longer name", patch("/ws/ann2/a.txt"), /outside/],
  ["a patch that climbs", patch("/ws/ann/../bob/a.txt"), /outside/],
  ["a patch through a link", patch("/ws/ann/link/a.txt"), /outside/],
  ["a patch whose place can't be told", patch("/ws/ann/lost/a.txt"), /outside/],
  ["a patch that moves a file out", patch("/ws/ann/a", "/ws/bob/a"), /outside/],
  ["a patch of which nothing is known", { ...patch("a"), changes: null }, /not known/],
  ["a patch that wants a directory", { ...patch("a"), grantRoot: "/" }, /writable directory/],
  ["a patch in a read-only sandbox", patch("a"), /read-only/, { sandbox: { type: "readOnly" } }],
  ["permissions", { type: "permissions", permissions: {} }, /more than/],
  ["a question in words", { type: "userInput" }, null],
  ["anything where reads are not limited", patch("/ws/bob/a.txt"), null, { reads: "all" }],
];

for (const [name, request, declined, more = {}] of CASES) {
  test(`leavesWorkspace() ${declined === null ? "passes" : "declines"} ${name}`, () => {
    const policy = { reads: "workspace" as const, cwd: "/ws/ann", sandbox: WRITES, ...more };
    const os = more.os === undefined ? "linux" : more.os;
    const why = leavesWorkspace(
      request as Parameters<typeof leavesWorkspace>[0],
      policy,
      os,
      realPath,
    );
    if (declined === null) assert.equal(why, null);
    else assert.match(why ?? "accepted", declined);
  });
}
