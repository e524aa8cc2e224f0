/**
 * A user's machine in a directory: `codex` on PATH, a home, and a codex configuration. Programs need no configuration
 * of their own to reach the scripted model, so that documentation runs word for word.
 */
import { spawn } from "node:child_process";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import process from "node:process";
import { testing } from "../../mod.ts";
import { endOrphans } from "../../src/platform/mod.ts";
import { codexPath, NEWEST_CODEX } from "../_codex.ts";
import { tempDir } from "../_temp.ts";
import { makeUsed } from "../_used_home.ts";

/** What programs find on it. */
export interface Machine extends AsyncDisposable {
  /** An empty directory to work in; not the home. */
  workspace: string;
  /** Everything that programs inherit. */
  env: Record<string, string>;
  model: testing.ScriptedModel;
  /** Makes an empty directory. */
  directory(name: string): Promise<string>;
  /** Starts an app server for websockets; it ends with the machine. */
  listen(): Promise<{ url: string; token: string }>;
}

/** Sets up a machine whose model plays `script`. */
export async function machine(script?: testing.Script): Promise<Machine> {
  const root = await tempDir("machine-");
  const model = await testing.ScriptedModel.start(script);
  const servers: (() => Promise<void>)[] = [];
  const directory = async (name: string): Promise<string> => {
    const path = join(root.path, name);
    await mkdir(path, { recursive: true });
    return path;
  };
  const dispose = async () => {
    await Promise.all(servers.map((end) => end()));
    await model.close();
    // Of scripts that may not look for them: their codex was asked for a file when it ended.
    endOrphans(null, [`TMPDIR=${join(root.path, "tmp")}`]);
    await root[Symbol.asyncDispose]();
  };
  try {
    const codex = await codexPath();
    const [bin, home, codexHome, tmp, workspace] = await Promise.all(
      ["bin", "home", "codex", "tmp", "workspace"].map(directory),
    );
    await symlink(codex, join(bin!, "codex"));
    await makeUsed(codexHome!, NEWEST_CODEX);
    const settings = Object.entries(model.clientConfig().configOverrides)
      .map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`);
    await writeFile(join(codexHome!, "config.toml"), settings.join(""));
    const env = {
      // Commands of the agent, and npm, come from the system.
      PATH: [bin, dirname(process.execPath), process.env["PATH"]].join(":"),
      HOME: home!,
      CODEX_HOME: codexHome!,
      TMPDIR: tmp!,
      NO_PROXY: "127.0.0.1",
    };
    return {
      workspace: workspace!,
      env,
      model,
      directory,
      listen: async () => {
        const server = await listen(codex, env, join(root.path, "token"));
        servers.push(server.end);
        return server;
      },
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

async function listen(
  codex: string,
  env: Record<string, string>,
  tokenFile: string,
): Promise<{ url: string; token: string; end: () => Promise<void> }> {
  const token = crypto.randomUUID();
  await writeFile(tokenFile, token, { mode: 0o600 });
  const args = ["--listen", "ws://127.0.0.1:0", "--ws-auth", "capability-token"];
  const child = spawn(codex, ["app-server", ...args, "--ws-token-file", tokenFile], {
    env,
    stdio: ["ignore", "ignore", "pipe"],
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const end = () => {
    child.kill("SIGKILL");
    return ended;
  };
  const url = await new Promise<string>((resolve, reject) => {
    let text = "";
    child.stderr.on("data", (piece) => {
      text += piece;
      const found = /listening on: (ws:\/\/\S+)/.exec(text)?.[1];
      if (found !== undefined) resolve(found);
    });
    child.once("error", reject);
    child.once("close", () => reject(new Error(`codex ended before it listened:\n${text}`)));
  });
  return { url, token, end };
}
