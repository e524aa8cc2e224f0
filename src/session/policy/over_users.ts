/**
 * What holds in a session over what the user's configuration and account bring: hooks that answer in our place, tools that were
 * approved for ever, a chosen profile, apps and plugins.
 * @module
 */
import { PolicyError } from "../../errors/mod.ts";
import { type JsonObject, memberOf, objectOf, objectsOf } from "../../json.ts";
import type { EffectivePolicy } from "../../permissions/mod.ts";
import { supports } from "../../protocol/mod.ts";
import type { RuntimeCore } from "../../runtime/mod.ts";

/** A thread's settings, with those that hold over what the user's configuration and account bring. */
export async function overUsers(
  core: RuntimeCore,
  { cwd, reads, approvalPolicy }: EffectivePolicy,
  config: JsonObject,
  goals: boolean,
  guarded: boolean,
): Promise<JsonObject> {
  const apart: JsonObject = reads === "all" ? {} : {
    // What the login's account is connected to, such as its mail, is read by tools that nobody is asked about; of the two
    // names codex takes the older one. Of the account's plugins it starts programs.
    "features.apps": false,
    "features.connectors": config["features.apps"] ?? false,
    "features.plugins": false,
  };
  const [hooks, tables] = await Promise.all([
    approvalPolicy === "never" ? {} : withoutAnsweringHooks(core, cwd, config),
    guarded ? askingAboutApproved(core, cwd, config) : {},
  ]);
  const held = { ...apart, ...config, ...hooks, ...tables };
  return supports(core.server.version, "profilesWin")
    ? await overProfile(core, cwd, { ...held, "features.goals": goals })
    : held;
}

/**
 * The settings by which no hook of the user's or of a plugin answers codex's questions: codex asks those first, and us only where
 * none has answered (0.130 to 0.169). What this script itself gave codex stays, and so do an administrator's hooks.
 */
async function withoutAnsweringHooks(
  core: RuntimeCore,
  cwd: string,
  own: JsonObject,
): Promise<JsonObject> {
  if (!supports(core.server.version, "listsHooks")) return {};
  const listed = await core.callNow("hooks/list", { cwds: [cwd] });
  const answering = objectsOf(listed, "data").flatMap((one) => objectsOf(one, "hooks"))
    .filter(({ eventName, enabled, isManaged, source }) =>
      eventName === "permissionRequest" && enabled !== false && isManaged !== true &&
      source !== "sessionFlags"
    );
  if (answering.length === 0) return {};
  const off = Object.fromEntries(answering.map(({ key }) => [String(key), { enabled: false }]));
  const state = { ...objectOf(own, "hooks", "state"), ...off };
  return { hooks: { ...objectOf(own, "hooks"), state } };
}

/**
 * The settings by which codex asks about the tools of servers and apps that the user has approved for ever, where hooks or rules
 * are to see each call: it would ask nobody. What the caller's own settings say stays.
 */
async function askingAboutApproved(
  core: RuntimeCore,
  cwd: string,
  own: JsonObject,
): Promise<JsonObject> {
  const read = await core.callNow("config/read", { cwd });
  const asking: JsonObject = {};
  for (const table of ["mcp_servers", "apps"]) {
    const said = objectOf(own, table) ?? {};
    const held: JsonObject = {};
    for (const [name, one] of Object.entries(objectOf(read, "config", table) ?? {})) {
      const tools = Object.keys(objectOf(one, "tools") ?? {}).filter((tool) =>
        memberOf(one, "tools", tool, "approval_mode") === "approve"
      );
      const all = memberOf(one, "default_tools_approval_mode") === "approve";
      if (!all && tools.length === 0) continue;
      held[name] = {
        ...(all ? { default_tools_approval_mode: "prompt" } : {}),
        tools: Object.fromEntries(tools.map((tool) => [tool, { approval_mode: "prompt" }])),
        ...objectOf(said, name),
      };
    }
    if (Object.keys(held).length > 0) asking[table] = { ...said, ...held };
  }
  return asking;
}

/**
 * A thread's settings, also as those of the profile that the user's configuration chooses: codex lets that win (0.104 to 0.130).
 * Only what a profile can hold.
 */
async function overProfile(
  core: RuntimeCore,
  cwd: string,
  config: JsonObject,
): Promise<JsonObject> {
  const profile = config["profile"] ??
    memberOf(await core.callNow("config/read", { cwd }), "config", "profile");
  if (typeof profile !== "string") return config;
  const own: JsonObject = { features: {} };
  for (const [key, value] of Object.entries(config)) {
    const [first, name] = key.split(".");
    if (first === "features" && name !== undefined) (own["features"] as JsonObject)[name] = value;
    else if (key === "web_search" || key === "tools") own[key] = value;
  }
  return { ...config, profiles: { [profile]: own } };
}

/** Rejects a prompt that asks in a session that did not: its thread has those hooks. */
export async function refuseAnsweringHooks(core: RuntimeCore, cwd: string): Promise<void> {
  const { hooks } = await withoutAnsweringHooks(core, cwd, {});
  if (hooks === undefined) return;
  throw new PolicyError(
    "A hook of the user's configuration (`PermissionRequest`) would answer codex's questions in your place. " +
      "Give the session the approval policy or the hooks from its start, which leaves that hook out.",
    { data: { reason: "answeringHooks" } },
  );
}
