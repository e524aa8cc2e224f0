/**
 * What an accepted question would let the agent do, against what this script may do itself.
 *
 * Measured on every minor version from 0.104 to 0.169: a command that is accepted may run **outside** the sandbox: at once
 * when the agent asked to leave it, and when the policy `untrusted` made codex ask, as soon as codex thinks that the
 * sandbox made it fail. The question does not tell which. Only a profile that denies the root holds it; see
 * {@linkcode EffectivePolicy.acceptedCommands}. An accepted patch is written wherever it says. So "accept" under limited permissions is
 * checked like any other request.
 * @module
 */
import { PermissionDeniedError } from "../../errors/mod.ts";
import { asList, type JsonObject, type JsonValue, memberOf } from "../../json.ts";
import { isAbsolutePath, isInside, plainPath, resolvePath } from "../../platform/mod.ts";
import { EVERYTHING, flagsFor, missingNeeds, type PermissionNeed } from "../need.ts";
import type { EffectivePolicy } from "../policy/policy.ts";
import type { PermissionProbe } from "../probe.ts";

/** The part of a question that tells what accepting it would allow. */
export type AcceptedRequest =
  | AcceptedCommand
  | AcceptedFileChange
  | AcceptedPermissions
  | AcceptedOther;

/** A command would run, or reach a host. */
export interface AcceptedCommand {
  /** Discriminator. */
  type: "command";
  /** The host, when the question is about the network only; empty when it can't be told. */
  network?: { host: string } | null;
  /** Whether nothing but this command is accepted: no more permissions, no rule for later ones. Default `false`. */
  plain?: boolean;
}

/** Files would change. */
export interface AcceptedFileChange {
  /** Discriminator. */
  type: "fileChange";
  /** The files; `null` when they are not known. */
  changes: readonly { path: string; movePath?: string }[] | null;
  /** A directory that would become writable. */
  grantRoot?: string | null;
}

/** The agent would get permissions. */
export interface AcceptedPermissions {
  /** Discriminator. */
  type: "permissions";
  /** What would be granted. */
  permissions: { network: JsonObject | null; fileSystem: JsonObject | null };
}

/** A question that grants nothing on this machine, such as one for an answer in words. */
export interface AcceptedOther {
  /** Discriminator. */
  type: "userInput" | "elicitation" | "dynamicTool" | "unknown" | (string & Record<never, never>);
}

/**
 * Why a question may not be accepted, or `null` when it may. `realPath` follows links and answers `null` when it can't
 * tell; see {@linkcode realPathOf}. `sandboxed`: accepted commands stay in the sandbox. Decline with the error's message.
 */
export function guardAcceptance(
  request: AcceptedRequest,
  probe: PermissionProbe,
  realPath: (path: string) => string | null,
  sandboxed = false,
): PermissionDeniedError | null {
  if (probe.enforcedBy === "none") return null;
  const missing = missingNeeds(acceptanceNeeds(request, realPath, sandboxed), probe);
  if (missing.length === 0) return null;
  return new PermissionDeniedError(
    `Accepting this ${request.type} request`,
    flagsFor(missing, probe.enforcedBy),
    { data: { request: request.type, enforcedBy: probe.enforcedBy } },
  );
}

function acceptanceNeeds(
  request: AcceptedRequest,
  realPath: (path: string) => string | null,
  sandboxed: boolean,
): PermissionNeed[] {
  if (isCommand(request)) {
    const host = request.network?.host;
    // Deno knows an address of IPv6 in brackets only.
    const name = host?.replace(/^(?!\[).*:.*:.*/, "[$&]");
    if (name !== undefined) return [name === "" ? { kind: "net" } : { kind: "net", host: name }];
    return sandboxed && request.plain === true ? [] : [...EVERYTHING];
  }
  if (isFileChange(request)) {
    if (request.changes === null) return [{ kind: "write" }];
    const paths = request.changes.flatMap(({ path, movePath }) =>
      movePath === undefined ? [path] : [path, movePath]
    );
    if (request.grantRoot) paths.push(request.grantRoot);
    return paths.flatMap((path) => bothSpellings("write", path, realPath));
  }
  return isPermissions(request) ? grantNeeds(request.permissions, realPath) : [];
}

function grantNeeds(
  { network, fileSystem }: AcceptedPermissions["permissions"],
  realPath: (path: string) => string | null,
): PermissionNeed[] {
  const needs: PermissionNeed[] = [];
  if (network !== null && network["enabled"] !== false) needs.push({ kind: "net" });
  if (fileSystem === null) return needs;
  const { read, write, entries, ...others } = fileSystem;
  if (Object.values(others).some((value) => value !== null && value !== undefined)) {
    return [...EVERYTHING];
  }
  needs.push(...paths("read", read), ...paths("write", write));
  for (const entry of asList(entries)) {
    const access = memberOf(entry, "access");
    if (access === "none" || access === "deny") continue;
    const path = memberOf(entry, "path", "path") ?? null;
    needs.push(...paths("read", [path]));
    if (access !== "read") needs.push(...paths("write", [path]));
  }
  return needs;

  function paths(kind: "read" | "write", list: JsonValue | undefined): PermissionNeed[] {
    if (list === undefined || list === null) return [];
    if (!Array.isArray(list)) return [{ kind }];
    return list.flatMap((path): PermissionNeed[] =>
      typeof path === "string" && isAbsolutePath(path)
        ? bothSpellings(kind, path, realPath)
        : [{ kind }]
    );
  }
}

function bothSpellings(
  kind: "read" | "write",
  path: string,
  realPath: (path: string) => string | null,
): PermissionNeed[] {
  // What may mean another file on the server's system can't be granted by this one's name.
  if (plainPath(path) === null) return [{ kind }];
  const spelled = resolvePath(path, ".");
  const real = realPath(spelled);
  // What can't be followed may lead anywhere, and what goes up from a link to one of two places.
  return real === null || realPath(path) !== real
    ? [{ kind }]
    : [{ kind, path: spelled }, { kind, path: real }];
}

function isCommand(request: AcceptedRequest): request is AcceptedCommand {
  return request.type === "command";
}

function isFileChange(request: AcceptedRequest): request is AcceptedFileChange {
  return request.type === "fileChange";
}

function isPermissions(request: AcceptedRequest): request is AcceptedPermissions {
  return request.type === "permissions";
}

// What a person may accept in a session that is kept to its workspace: nothing that leads out of it.

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
