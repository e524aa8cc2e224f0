/**
 * What a person may accept in a session that is kept to its workspace: nothing that leads out of it.
 * @module
 */
import { isInside, resolvePath } from "../../platform/mod.ts";
import type { EffectivePolicy } from "../policy/policy.ts";
import type { AcceptedRequest } from "./approval_guard.ts";

/** The question, as far as it tells what accepting it would allow. */
export type WorkspaceRequest = AcceptedRequest & {
  /** Of a command: permissions beyond the sandbox. */
  additionalPermissions?: unknown;
  /** Of a command: what is asked for. */
  action?: string;
};

/**
 * Why a question is declined before anybody is asked, or `null` when whatever is answered stays in the workspace.
 *
 * A command stays inside on Linux, whatever it asked for: the profile denies the root, and codex holds even a command with
 * consent to leave the sandbox to denied paths (0.145, 0.169). The question does not tell which commands want that, so
 * elsewhere each is declined. An accepted patch is written wherever it says.
 */
export function leavesWorkspace(
  request: WorkspaceRequest,
  policy: Pick<EffectivePolicy, "reads" | "cwd" | "sandbox">,
  os: string | null,
  realPath: (path: string) => string | null,
): string | null {
  if (policy.reads !== "workspace") return null;
  const { sandbox } = policy;
  switch (request.type) {
    case "command": {
      const { network, additionalPermissions, action = "command" } = request as WorkspaceRequest & {
        network?: unknown;
      };
      if (os !== "linux") return "whether an accepted command stays in the workspace is not known";
      if (action !== "command" && action !== "writeStdin") return "its action is not known";
      if (additionalPermissions) return "it asks for more than the sandbox";
      const open = "networkAccess" in sandbox && sandbox.networkAccess === true;
      return network && !open ? "it asks for the network" : null;
    }
    case "fileChange": {
      const { changes, grantRoot } = request as Extract<AcceptedRequest, { type: "fileChange" }>;
      if (sandbox.type !== "workspaceWrite") return "the sandbox is read-only";
      if (grantRoot) return "it asks for a writable directory";
      if (!Array.isArray(changes)) return "its changes are not known";
      const roots = [policy.cwd, ...(sandbox.writableRoots ?? [])];
      const stays = (path: string) => isBelow(path, policy.cwd, roots, realPath);
      return changes.every(({ path, movePath }) =>
          stays(path) && (movePath === undefined || stays(movePath))
        )
        ? null
        : "it changes files outside of the workspace";
    }
    case "permissions":
      return "it asks for more than the sandbox";
    default:
      return null;
  }
}

/** Both as spelled and where it really leads. */
function isBelow(
  path: string,
  cwd: string,
  roots: readonly string[],
  realPath: (path: string) => string | null,
): boolean {
  const spelled = resolvePath(cwd, path);
  const real = realPath(spelled);
  return real !== null &&
    [spelled, real].every((each) => roots.some((root) => isInside(each, root)));
}
