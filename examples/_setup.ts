/**
 * What the examples share: a real account with `--live`, else a scripted model, so that each runs anywhere.
 * In your own program you need none of this: `Client.connect()` finds codex and its login by itself.
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { type ClientConfig, testing } from "../mod.ts";

/** Where an example works, and with which codex. */
export interface Setup extends AsyncDisposable {
  /** A fresh directory, or the current one with `--live`. */
  cwd: string;
  /** Points codex at the scripted model; empty with `--live`. */
  client: ClientConfig;
  /** Whether a real account is used. */
  live: boolean;
}

/** Prepares an example; `script` is what the model says without `--live`. */
export async function setup(script: testing.Script): Promise<Setup> {
  if (process.argv.includes("--live")) {
    return {
      cwd: process.cwd(),
      client: {},
      live: true,
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }
  const model = await testing.ScriptedModel.start(script);
  const root = join(homedir(), ".cache", "codex-runtime-examples");
  await mkdir(root, { recursive: true });
  const cwd = await mkdtemp(join(root, "workspace-"));
  return {
    cwd,
    client: model.clientConfig(),
    live: false,
    [Symbol.asyncDispose]: async () => {
      await model.close();
      await rm(cwd, { recursive: true, force: true });
    },
  };
}
