/**
 * What the server's answers say about it, and which of codex's own rules files hold for a directory.
 * @module
 */
import { codexEnv, isRemote } from "../defaults.ts";
import type { RulesFile } from "../../permissions/mod.ts";
import { codexHomeIn, parentPath, pathKind, platformName, readEnv } from "../../platform/mod.ts";
import type { RuntimeConfig } from "../config.ts";
import type { RuntimeCore } from "../core.ts";
import type * as askedFiles from "./asked_files.ts";
import type { HomeFile } from "./asked_files.ts";
import type { Call } from "./server_text.ts";

// Which of codex's own rules files hold for a directory.
//
// They let commands run outside the sandbox in any session, whatever its policy, and no setting switches them off (measured
// on 0.104 to 0.169).

/** What the search needs to know. */
interface Place {
  config: RuntimeConfig;
  /** Codex's home as the server told it. */
  codexHome: string | undefined;
  /** The directory of the session, real; `null` where nothing below it counts. */
  cwd: string | null;
  /** Whether the session says by itself which folders are its project's, or trusted: codex tells of others. */
  ownTrust: boolean;
  call: Call;
}

/**
 * The files that allow something in sessions in `cwd`. What could not be looked into is in the list with no patterns, and so
 * is a place that is not known.
 *
 * This script looks by itself where it may. Elsewhere codex is asked: for what it reads anyway, and whether it trusts a
 * repository whose `.codex` holds such files.
 */
export function readRulesFiles(
  core: RuntimeCore,
  cwd: string | null,
  ownTrust = false,
): Promise<RulesFile[]> {
  return rulesFilesAt({
    config: core.config,
    codexHome: core.server.codexHome,
    cwd,
    ownTrust,
    call: (method, params) => core.callNow(method, params),
  });
}

async function rulesFilesAt(place: Place): Promise<RulesFile[]> {
  const remote = isRemote(place.config);
  const home = codexHomeOf(place) ?? await (await reading()).homeByServer(place.call);
  if (home === null) return [{ path: "the rules in codex's home, which is not known", allows: [] }];
  const own = [`${home}/rules`, ...(remote ? [] : [machineRules()])];
  const project = await Promise.all(
    foldersAbove(place.cwd).map((folder) => filesIn(place.call, `${folder}/.codex/rules`, remote)),
  );
  const found = await Promise.all(own.map((folder) => filesIn(place.call, folder, remote)));
  const there = project.flat().filter(({ path }) => !path.startsWith(`${home}/rules`));
  return [
    ...found.flat(),
    ...(there.length === 0 || place.ownTrust
      ? there
      : await (await reading()).inForce(place, remote, there)),
  ];
}

/** The home of a codex on this machine; `null` where that is not known. */
export function codexHome(core: RuntimeCore): string | null {
  return codexHomeOf({ config: core.config, codexHome: core.server.codexHome });
}

/** Where the rules of this machine's administrator lie. */
function machineRules(): string {
  if (platformName() !== "win32") return "/etc/codex/rules";
  return `${readEnv("ProgramData") ?? "C:\\ProgramData"}\\OpenAI\\Codex\\rules`;
}

/** Codex's home, as far as it is known here. */
function codexHomeOf(
  { config, codexHome }: Pick<Place, "config" | "codexHome">,
): string | null {
  return codexHome ?? (isRemote(config) ? null : configuredHome(config));
}

/** The home that a codex on this machine takes when it is started so; `null` when the variables tell none. */
export function configuredHome(config: RuntimeConfig): string | null {
  return codexHomeIn(platformName(), (name) => codexEnv(config, name) ?? undefined) ?? null;
}

function foldersAbove(cwd: string | null): string[] {
  const folders: string[] = [];
  for (let path = cwd; path !== null; path = parentPath(path)) {
    folders.push(path.replace(/\/$/, ""));
  }
  return folders;
}

function reading(): Promise<typeof askedFiles> {
  return import("./asked_files.ts");
}

async function filesIn(call: Call, folder: string, remote: boolean): Promise<RulesFile[]> {
  const kind = remote ? "unknown" : pathKind(folder);
  // Nearly always: a list of what is not there costs an error.
  if (kind === "missing") return [];
  return await (await reading()).rulesIn(call, folder, kind !== "unknown");
}

/** Reads a file in the home of a codex on this machine: by itself where this script may, else by codex, which reads it anyway. */
export async function readHomeFile(core: RuntimeCore, name: string): Promise<HomeFile> {
  return (await reading()).homeFile(core, codexHome(core), name);
}
