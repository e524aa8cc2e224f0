/**
 * What goes over the wire to start a thread or a turn.
 * @module
 */
import { kindOf } from "../../check/mod.ts";
import { InvalidArgumentError } from "../../errors/mod.ts";
import type { JsonObject, JsonValue } from "../../json.ts";
import {
  currentDirectory,
  isWindowsPath,
  pathKind,
  pathRules,
  platformName,
  resolvePath,
} from "../../platform/mod.ts";
import type { ResolvedProfile } from "../profile.ts";
import { type DynamicTool, toolSchema } from "../prompt/dynamic_tool.ts";
import type { DecidedPolicy } from "./session_policy.ts";

/** Parameters that `thread/start`, `thread/resume` and `thread/fork` share. The sandbox is a mode here. */
function threadParams(
  cwd: string,
  profile: ResolvedProfile,
  { thread }: DecidedPolicy,
): JsonObject {
  // Codex offers goals to every thread that is kept, and then starts turns that nobody asked for (0.145, 0.169).
  const config = { ...thread.config, "features.goals": profile.goals };
  return {
    cwd,
    approvalPolicy: thread.approvalPolicy as JsonValue,
    // Whatever the user configured: the server's questions are answered here.
    approvalsReviewer: "user",
    ...(thread.sandbox === undefined ? {} : { sandbox: thread.sandbox }),
    ...(profile.model === null ? {} : { model: profile.model }),
    ...(profile.developerInstructions === null
      ? {}
      : { developerInstructions: profile.developerInstructions }),
    ...(Object.keys(config).length === 0 ? {} : { config }),
  };
}

/** Parameters of `thread/start`. */
export function threadStartParams(
  cwd: string,
  profile: ResolvedProfile,
  decided: DecidedPolicy,
): JsonObject {
  const tools = Object.entries(profile.tools);
  return {
    ...threadParams(cwd, profile, decided),
    ...(profile.ephemeral ? { ephemeral: true } : {}),
    ...(tools.length === 0
      ? {}
      : { dynamicTools: tools.map(([name, tool]) => toolSpec(name, tool)) }),
  };
}

/** Parameters of `thread/resume` and `thread/fork`. The history stays on the server, however long it is. */
export function threadAttachParams(
  threadId: string,
  cwd: string,
  profile: ResolvedProfile,
  decided: DecidedPolicy,
): JsonObject {
  return { ...threadParams(cwd, profile, decided), threadId, excludeTurns: true };
}

/** Parameters of `turn/start`. The sandbox is an object here. Settings are repeated, since they stick to the thread. */
export function turnStartParams(
  threadId: string,
  input: JsonObject[],
  profile: ResolvedProfile,
  { effective, turn }: DecidedPolicy,
  outputSchema: JsonObject | null,
): JsonObject {
  return {
    threadId,
    input,
    cwd: effective.cwd,
    approvalPolicy: effective.approvalPolicy as JsonValue,
    approvalsReviewer: "user",
    ...turn,
    ...(profile.model === null ? {} : { model: profile.model }),
    effort: profile.effort,
    ...(outputSchema === null ? {} : { outputSchema }),
  };
}

/** What of a turn's parameters sticks to the thread. */
export function settingsOf(params: JsonObject): JsonObject {
  const { threadId: _id, input: _input, outputSchema: _schema, ...settings } = params;
  return settings;
}

function toolSpec(name: string, tool: DynamicTool): JsonObject {
  return {
    type: "function",
    name,
    description: tool.description,
    inputSchema: toolSchema(name, tool),
  };
}

// The directory that an agent works in: absolute, and there.

/**
 * Makes a cwd absolute and checks that it is a directory. Where this script may not look, the server finds out.
 * `remote` leaves both to the server, whose file system is another one.
 */
export function workingDirectory(cwd: string, remote: boolean): string {
  if (typeof cwd !== "string" || cwd.trim() === "") {
    throw new InvalidArgumentError("cwd", {
      argument: "cwd",
      received: typeof cwd === "string" ? "an empty string" : kindOf(cwd),
      accepts: "the path of a directory",
    });
  }
  if (remote) return cwd;
  const rules = pathRules(platformName());
  const base = rules.isAbsolute(cwd) ? "" : currentDirectory();
  if (base === null) {
    throw new InvalidArgumentError("cwd", {
      argument: "cwd",
      received: "a relative path",
      accepts:
        "an absolute path, since this script's own working directory does not exist any more",
    });
  }
  // On Windows `\\x` and `/x` lie on the drive of this script.
  const join = isWindowsPath(base) ? resolvePath : rules.join;
  const absolute = base === "" ? cwd : join(base, cwd);
  const kind = pathKind(absolute);
  if (kind === "directory" || kind === "unknown") return absolute;
  throw new InvalidArgumentError("cwd", {
    argument: "cwd",
    received: kind === "missing" ? "a path that does not exist" : "the path of a file",
    accepts: "the path of a directory",
    sentence: `\`cwd\` must be a directory, but ${absolute} ${
      kind === "missing" ? "does not exist" : "is none"
    }`,
  });
}
