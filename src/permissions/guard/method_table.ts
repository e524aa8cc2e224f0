/**
 * Which of the server's methods do what, as far as it matters for this script's own permissions.
 * @module
 */

/**
 * What a method does. `harmless`: talks about threads, models and accounts. `thread`, `turn`, `exec`: looked at with
 * their params. `codexHome`: reads codex's own files. The fs words: what they say. `everything`: runs or installs
 * things without a sandbox, or changes what later sessions may do.
 */
export type MethodReach =
  | "harmless"
  | "thread"
  | "turn"
  | "exec"
  | "fsRead"
  | "fsWrite"
  | "fsCopy"
  | "search"
  | "codexHome"
  | "everything";

const EXACT: Record<string, MethodReach> = {
  "initialize": "harmless",
  "thread/start": "thread",
  "thread/resume": "thread",
  "thread/fork": "thread",
  "thread/settings/update": "turn",
  "turn/start": "turn",
  "turn/steer": "turn",
  "turn/settings/update": "turn",
  "thread/queue/add": "turn",
  "thread/queue/update": "turn",
  "command/exec": "exec",
  "command/exec/write": "harmless",
  "command/exec/resize": "harmless",
  "command/exec/terminate": "harmless",
  "process/kill": "harmless",
  "process/resizePty": "harmless",
  "process/writeStdin": "harmless",
  "fs/readFile": "fsRead",
  "fs/readDirectory": "fsRead",
  "fs/getMetadata": "fsRead",
  "fs/watch": "fsRead",
  "fs/unwatch": "harmless",
  "fs/writeFile": "fsWrite",
  "fs/createDirectory": "fsWrite",
  "fs/remove": "fsWrite",
  "fs/copy": "fsCopy",
  "fuzzyFileSearch": "search",
  "fuzzyFileSearch/sessionStart": "search",
  "fuzzyFileSearch/sessionUpdate": "harmless",
  "fuzzyFileSearch/sessionStop": "harmless",
  "config/read": "codexHome",
  "configRequirements/read": "codexHome",
  "skills/list": "codexHome",
  "hooks/list": "codexHome",
  "plugin/list": "codexHome",
  "plugin/read": "codexHome",
  "plugin/installed": "codexHome",
  "plugin/search": "codexHome",
  "plugin/skill/read": "codexHome",
  "plugin/share/list": "codexHome",
  "memory/status": "codexHome",
  "thread/memory/read": "codexHome",
  "mcpServerStatus/list": "harmless",
  "environment/info": "harmless",
  "environment/status": "harmless",
  "experimentalFeature/list": "harmless",
  "modelProvider/list": "harmless",
  "modelProvider/capabilities/read": "harmless",
  "permissionProfile/list": "harmless",
  "server/diagnostics": "harmless",
  "windowsSandbox/readiness": "harmless",
  "collaborationMode/list": "harmless",
  "review/start": "harmless",
  "thread/shellCommand": "everything",
  "thread/approveGuardianDeniedAction": "everything",
  "thread/prepareApprovedPlan": "everything",
  "thread/attachment/add": "everything",
  "thread/realtime/start": "everything",
};

/** Known methods of `thread/` and `turn/` that neither run anything nor move a wall. */
const HARMLESS: ReadonlySet<string> = new Set([
  ...names("thread/", [
    "archive attachment/list attachment/remove attachmentOwner/list",
    "backgroundTerminals/clean backgroundTerminals/list backgroundTerminals/terminate compact/start",
    "decrement_elicitation delete goal/clear goal/get goal/set guardianReview increment_elicitation",
    "inject_items items/list items/read list loaded/list memoryMode/set metadata/update name/set",
    "prediction/request queue/delete queue/list queue/reorder queue/start read readState/update",
    "realtime/appendAudio realtime/appendSpeech realtime/appendText realtime/listVoices realtime/stop",
    "revert rollback sample sample/cancel search searchOccurrences section/move timeline/list",
    "turns/list unarchive unsubscribe",
  ]),
  ...names("turn/", ["interrupt"]),
  ...names("project/", ["list read"]),
]);

/** Families whose members talk about accounts and models only. */
const HARMLESS_FAMILIES: readonly string[] = [
  "account/",
  "accountSession/",
  "app/",
  "model/",
  "threadSection/",
  "userVerification/",
];

/** What a method does; one that is not known here, such as a newer codex's, may do everything. */
export function methodReach(method: string): MethodReach {
  if (Object.hasOwn(EXACT, method)) return EXACT[method]!;
  if (HARMLESS.has(method)) return "harmless";
  return HARMLESS_FAMILIES.some((family) => method.startsWith(family)) ? "harmless" : "everything";
}

/** Methods that run a command of the caller's without any sandbox. */
export const UNSANDBOXED: ReadonlySet<string> = new Set(["process/spawn", "thread/shellCommand"]);

function names(family: string, lines: readonly string[]): string[] {
  return lines.join(" ").split(" ").map((name) => family + name);
}
