import assert from "node:assert/strict";
import { mkdir, symlink } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { codexLauncherPath, codexPath } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";

const SCRIPT = fileURLToPath(new URL("./_transport_permissions_script.ts", import.meta.url));

interface Answer {
  spoke?: boolean;
  how?: string;
  gone?: boolean;
  code?: string;
  message?: string;
  data?: { missing?: string[]; reason?: string; looked?: string[] };
}

interface Setting {
  flags: string[];
  options?: Record<string, unknown>;
  env?: Record<string, string>;
  cwd?: string;
}

/** Runs the script in a Deno of its own under these flags. */
async function run(
  home: string,
  { flags, options = {}, env = {}, cwd = home }: Setting,
): Promise<Answer> {
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--no-check", ...flags, SCRIPT, JSON.stringify(options)],
    cwd,
    env: { CODEX_HOME: home, NO_COLOR: "1", CODEX_PATH: "", ...env },
    stdin: "null",
  }).output();
  const text = new TextDecoder().decode(stdout).trim();
  assert.notEqual(text, "", new TextDecoder().decode(stderr));
  return JSON.parse(text);
}

const WORKED: Answer = { spoke: true, how: "eof", gone: true };

/** A directory with `codex` as a link to the native program, to be put into PATH. */
async function binWith(home: string, target: string): Promise<string> {
  const bin = join(home, "bin");
  await mkdir(bin);
  await symlink(target, join(bin, "codex"));
  return `${bin}:/usr/bin:/bin`;
}

function works(answer: Answer): void {
  assert.deepEqual(
    { spoke: answer.spoke, how: answer.how, gone: answer.gone },
    WORKED,
    answer.message,
  );
}

test("codex starts with --allow-run=codex and --allow-read of the working directory only", async () => {
  await using home = await tempDir();
  const PATH = await binWith(home.path, await codexPath());
  const flags = ["--allow-run=codex", `--allow-read=${home.path}`];
  works(await run(home.path, { flags, env: { PATH } }));
  works(await run(home.path, { flags: ["--allow-run=codex"], env: { PATH } }));
});

test("codex starts under a scoped grant although LD_LIBRARY_PATH and its like are set", async () => {
  await using home = await tempDir();
  const env = {
    PATH: await binWith(home.path, await codexPath()),
    LD_LIBRARY_PATH: "/nowhere",
    LD_BIND_NOW: "1",
  };
  works(await run(home.path, { flags: ["--allow-run=codex"], env }));
  const set = { options: { env: { set: { LD_LIBRARY_PATH: "/wanted" } } } };
  const refused = await run(home.path, { flags: ["--allow-run=codex"], env, ...set });
  assert.equal(refused.code, "permissionDenied");
  assert.match(refused.message ?? "", /LD_LIBRARY_PATH set/);
});

test("codex starts by a path that was granted, with everything else closed", async () => {
  await using home = await tempDir();
  const path = await codexPath();
  works(await run(home.path, { flags: [`--allow-run=${path}`], options: { codexPath: path } }));
});

test("npm's launcher is used when only its name was granted", async () => {
  await using home = await tempDir();
  const PATH = `${dirname(await codexLauncherPath())}:${Deno.env.get("PATH")}`;
  works(
    await run(home.path, {
      flags: ["--allow-run=codex", "--allow-env", "--allow-read"],
      env: { PATH },
    }),
  );
});

test("an installed package is found from the working directory with read and run only", async () => {
  await using home = await tempDir();
  const installed = dirname(dirname(dirname(await codexLauncherPath())));
  works(await run(home.path, { flags: ["--allow-run", "--allow-read"], cwd: installed }));
});

test("a missing run permission rejects with PermissionDeniedError naming the flag", async () => {
  await using home = await tempDir();
  const PATH = await binWith(home.path, await codexPath());
  for (const flags of [[], ["--deny-run"], ["--allow-run=git"]]) {
    const answer = await run(home.path, { flags, env: { PATH } });
    assert.equal(answer.code, "permissionDenied", answer.message);
    assert.deepEqual(answer.data?.missing, ["--allow-run=codex"]);
  }
});

test("a missing codex rejects with SpawnError naming the places, whatever is granted", async () => {
  await using home = await tempDir();
  const env = { PATH: "/nowhere" };
  for (
    const flags of [["-A"], ["--allow-run=codex"], [
      "--allow-run=codex",
      `--allow-read=${home.path}`,
    ], []]
  ) {
    const answer = await run(home.path, { flags, env });
    assert.equal(answer.code, "spawn", answer.message);
    assert.equal(answer.data?.reason, "notFound");
    assert.match(
      answer.message ?? "",
      /CODEX_PATH.*PATH.*node_modules.*npm install -g @openai\/codex/,
    );
  }
});

test("env permission is needed only where an option asks for it", async () => {
  await using home = await tempDir();
  const path = await codexPath();
  const flags = [`--allow-run=${path}`];
  const inherit = (names: unknown) => ({
    codexPath: path,
    env: { inherit: names, set: { CODEX_HOME: home.path } },
  });
  works(await run(home.path, { flags, options: inherit("all") }));
  const refused = await run(home.path, { flags, options: inherit(["PATH", "HOME"]) });
  assert.equal(refused.code, "permissionDenied");
  assert.deepEqual(refused.data?.missing, ["--allow-env=PATH,HOME"]);
  works(
    await run(home.path, {
      flags: [...flags, "--allow-env=PATH,HOME"],
      options: inherit(["PATH", "HOME"]),
    }),
  );
  works(await run(home.path, { flags: [...flags, "--allow-env"], options: inherit("minimal") }));
});

test("a pid file needs its own permissions, and names them", async () => {
  await using home = await tempDir();
  const path = await codexPath();
  const pidFile = join(home.path, "codex.pid");
  const options = { codexPath: path, pidFile };
  const refused = await run(home.path, { flags: [`--allow-run=${path}`], options });
  assert.deepEqual(refused.data?.missing, [
    `--allow-read=${pidFile}`,
    `--allow-write=${pidFile}`,
  ]);
  const flags = [`--allow-run=${path}`, ...refused.data?.missing ?? []];
  works(await run(home.path, { flags, options }));
});

test("a socket of the file system needs four permissions, and names them", async () => {
  await using home = await tempDir();
  const path = join(home.path, "s");
  const server = createServer((socket) => void socket.resume().end("no\r\n\r\n"));
  await new Promise<void>((resolve) => server.listen(path, resolve));
  try {
    const refused = await run(home.path, { flags: [], options: { socket: path } });
    assert.deepEqual(refused.data?.missing, [
      `--allow-read=${path}`,
      `--allow-write=${path}`,
      `--allow-net=unix:${path}`,
      "--allow-sys=uid",
    ]);
    const flags = [...refused.data?.missing ?? [], `--allow-read=${home.path}`];
    for (const socket of [path, "s"]) {
      const { message } = await run(home.path, { flags, options: { socket } });
      assert.match(message!, /does not answer as a WebSocket server does/, socket);
    }
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});

test("a websocket without net permission rejects with PermissionDeniedError, naming the host", async () => {
  await using home = await tempDir();
  const answer = await run(home.path, { flags: [], options: { url: "ws://127.0.0.1:4500/" } });
  assert.equal(answer.code, "permissionDenied");
  assert.deepEqual(answer.data?.missing, ["--allow-net=127.0.0.1:4500"]);
});
