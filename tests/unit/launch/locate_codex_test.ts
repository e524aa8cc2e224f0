import assert from "node:assert/strict";
import { SpawnError } from "../../../src/errors/mod.ts";
import { locateCodex, type LocateProbe } from "../../../src/launch/locate_codex.ts";
import type { PathKind } from "../../../src/platform/runtime.ts";
import { test } from "../../_harness.ts";

interface World {
  platform?: string;
  arch?: string;
  cwd?: string;
  script?: string;
  env?: Record<string, string>;
  /** Files that exist; directories follow from them. */
  files?: string[];
  /** Links: from a path to where it leads. */
  links?: Record<string, string>;
  /** What may be looked at; default everything. */
  readable?: (path: string) => boolean;
  /** Files without an x bit; default none. */
  plain?: string[];
  /** Whether the system looks bare names up in PATH alone; default yes. */
  bareNames?: boolean;
  /** What may be run; default everything. */
  runnable?: string[];
}

function probe(world: World): LocateProbe {
  const files = world.files ?? [];
  const links = world.links ?? {};
  const readable = world.readable ?? (() => true);
  const follow = (path: string): string => {
    for (const [from, to] of Object.entries(links)) {
      if (path === from || path.startsWith(from + "/")) return follow(to + path.slice(from.length));
    }
    return path;
  };
  return {
    platform: world.platform ?? "linux",
    arch: world.arch ?? "x64",
    cwd: world.cwd ?? "/work",
    startDirectories: [world.cwd ?? "/work", ...(world.script === undefined ? [] : [world.script])],
    env: (name) => world.env?.[name],
    kind(path): PathKind {
      if (!readable(path)) return "unknown";
      const real = follow(path);
      if (files.includes(real)) return "file";
      const inside = files.some((file) =>
        file.startsWith(real + "/") || file.startsWith(real + "\\")
      );
      return inside ? "directory" : "missing";
    },
    realPath: (path) => readable(path) ? follow(path) : null,
    executable: (path) => !(world.plain ?? []).includes(path),
    bareNames: world.bareNames ?? true,
    canRun: (command) => world.runnable === undefined || world.runnable.includes(command ?? "*"),
  };
}

const TRIPLE = "x86_64-unknown-linux-musl";
const npm = (modules: string): string[] => [
  `${modules}/@openai/codex/package.json`,
  `${modules}/@openai/codex/bin/codex.js`,
  `${modules}/@openai/codex-linux-x64/vendor/${TRIPLE}/bin/codex`,
];

const FOUND: [
  string,
  World & { codexPath?: string },
  string,
  { native?: boolean | null; path?: string[] }?,
][] = [
  ["a relative path, from this script's directory", {
    codexPath: "./tools/codex",
    files: ["./tools/codex"],
  }, "/work/./tools/codex"],
  ["a relative directory in PATH, also for a process that starts elsewhere", {
    env: { PATH: "bin" },
    files: ["bin/codex"],
  }, "/work/bin/codex"],
  ["a relative path on Windows", {
    platform: "win32",
    cwd: "C:\\w",
    codexPath: "bin\\codex.exe",
    files: ["bin\\codex.exe"],
  }, "C:\\w\\bin\\codex.exe"],
  ["the option's path", {
    codexPath: "/opt/codex",
    env: { CODEX_PATH: "/other/codex", PATH: "/bin" },
    files: ["/opt/codex", "/other/codex", "/bin/codex"],
  }, "/opt/codex"],
  ["the option's name, found in PATH", {
    codexPath: "codex-nightly",
    env: { PATH: "/usr/bin:/opt/bin" },
    files: ["/opt/bin/codex-nightly", "/usr/bin/codex"],
  }, "/opt/bin/codex-nightly"],
  ["CODEX_PATH before PATH", {
    env: { CODEX_PATH: "/other/codex", PATH: "/bin" },
    files: ["/other/codex", "/bin/codex"],
  }, "/other/codex"],
  ["the first of PATH", {
    env: { PATH: "/a::/b:/c" },
    files: ["/b/codex", "/c/codex"],
  }, "/b/codex"],
  ["PATH before a package", {
    env: { PATH: "/bin" },
    files: ["/bin/codex", ...npm("/work/node_modules")],
  }, "/bin/codex"],
  [
    "behind npm's global link",
    {
      env: { PATH: "/usr/local/bin" },
      files: npm("/usr/local/lib/node_modules"),
      links: { "/usr/local/bin/codex": "/usr/local/lib/node_modules/@openai/codex/bin/codex.js" },
    },
    `/usr/local/lib/node_modules/@openai/codex-linux-x64/vendor/${TRIPLE}/bin/codex`,
    {
      native: true,
    },
  ],
  [
    "behind npm's global link, nested package",
    {
      env: { PATH: "/g/bin" },
      files: [
        "/g/lib/node_modules/@openai/codex/package.json",
        "/g/lib/node_modules/@openai/codex/bin/codex.js",
        `/g/lib/node_modules/@openai/codex/node_modules/@openai/codex-linux-x64/vendor/${TRIPLE}/bin/codex`,
      ],
      links: { "/g/bin/codex": "/g/lib/node_modules/@openai/codex/bin/codex.js" },
    },
    `/g/lib/node_modules/@openai/codex/node_modules/@openai/codex-linux-x64/vendor/${TRIPLE}/bin/codex`,
    {
      native: true,
    },
  ],
  [
    "behind bun's global link",
    {
      env: { PATH: "/home/u/.bun/bin" },
      files: npm("/home/u/.bun/install/global/node_modules"),
      links: {
        "/home/u/.bun/bin/codex":
          "/home/u/.bun/install/global/node_modules/@openai/codex/bin/codex.js",
      },
    },
    `/home/u/.bun/install/global/node_modules/@openai/codex-linux-x64/vendor/${TRIPLE}/bin/codex`,
    {
      native: true,
    },
  ],
  [
    "behind pnpm's script in .bin",
    {
      env: { PATH: "/work/node_modules/.bin:/bin" },
      files: [
        "/work/node_modules/.bin/codex",
        ...npm("/work/node_modules/.pnpm/@openai+codex@0.169.0/node_modules"),
      ],
      links: {
        "/work/node_modules/@openai/codex":
          "/work/node_modules/.pnpm/@openai+codex@0.169.0/node_modules/@openai/codex",
      },
    },
    `/work/node_modules/.pnpm/@openai+codex@0.169.0/node_modules/@openai/codex-linux-x64/vendor/${TRIPLE}/bin/codex`,
    {
      native: true,
    },
  ],
  [
    "behind pnpm's global script",
    {
      env: { PATH: "/home/u/.local/share/pnpm" },
      files: [
        "/home/u/.local/share/pnpm/codex",
        ...npm("/home/u/.local/share/pnpm/global/5/.pnpm/c@1/node_modules"),
      ],
      links: {
        "/home/u/.local/share/pnpm/global/5/node_modules/@openai/codex":
          "/home/u/.local/share/pnpm/global/5/.pnpm/c@1/node_modules/@openai/codex",
      },
    },
    `/home/u/.local/share/pnpm/global/5/.pnpm/c@1/node_modules/@openai/codex-linux-x64/vendor/${TRIPLE}/bin/codex`,
    {
      native: true,
    },
  ],
  [
    "a package above the working directory",
    {
      cwd: "/work/a/b",
      env: { PATH: "/bin" },
      files: npm("/work/node_modules"),
    },
    `/work/node_modules/@openai/codex-linux-x64/vendor/${TRIPLE}/bin/codex`,
    { native: true },
  ],
  [
    "a package beside the script",
    {
      cwd: "/elsewhere",
      script: "/app/src",
      env: { PATH: "/bin" },
      files: npm("/app/node_modules"),
    },
    `/app/node_modules/@openai/codex-linux-x64/vendor/${TRIPLE}/bin/codex`,
    { native: true },
  ],
  [
    "the layout of 0.104, with its helpers",
    {
      env: { PATH: "/bin" },
      files: [
        "/work/node_modules/@openai/codex/package.json",
        `/work/node_modules/@openai/codex-linux-x64/vendor/${TRIPLE}/codex/codex`,
      ],
    },
    `/work/node_modules/@openai/codex-linux-x64/vendor/${TRIPLE}/codex/codex`,
    {
      native: true,
      path: [`/work/node_modules/@openai/codex-linux-x64/vendor/${TRIPLE}/path`],
    },
  ],
  [
    "the launcher when the native program may not be run",
    {
      env: { PATH: "/g/bin" },
      files: npm("/g/lib/node_modules"),
      links: { "/g/bin/codex": "/g/lib/node_modules/@openai/codex/bin/codex.js" },
      runnable: ["codex", "/g/bin/codex"],
    },
    "/g/bin/codex",
    { native: false },
  ],
  [
    "the plain name when only that may be run",
    {
      env: { PATH: "/g/bin" },
      files: npm("/g/lib/node_modules"),
      links: { "/g/bin/codex": "/g/lib/node_modules/@openai/codex/bin/codex.js" },
      runnable: ["codex"],
    },
    "codex",
    { native: false },
  ],
  ["the plain name when nothing may be looked at but that may be run", {
    readable: (path) => path.startsWith("/work"),
    files: npm("/work/node_modules"),
    runnable: ["codex"],
  }, "codex"],
  ["the plain name when nothing may be looked at", { readable: () => false }, "codex"],
  [
    "a package when PATH is unknown but everything may be run",
    {
      files: npm("/work/node_modules"),
    },
    `/work/node_modules/@openai/codex-linux-x64/vendor/${TRIPLE}/bin/codex`,
    { native: true },
  ],
  ["a named path that may not be looked at", {
    codexPath: "/secret/codex",
    readable: () => false,
  }, "/secret/codex"],
  [
    "the launcher of an unknown platform",
    {
      arch: "riscv64",
      env: { PATH: "/bin" },
      files: [...npm("/work/node_modules"), "/work/node_modules/.bin/codex"],
    },
    "/work/node_modules/.bin/codex",
    { native: false },
  ],
  ["macOS: the program in an application's bundle, by its name", {
    platform: "darwin",
    arch: "arm64",
    env: { CODEX_PATH: "/Applications/Codex.app/Contents/Resources/codex", PATH: "/usr/bin:/bin" },
    files: ["/Applications/Codex.app/Contents/Resources/codex"],
  }, "/Applications/Codex.app/Contents/Resources/codex"],
  ["macOS: Homebrew's program", {
    platform: "darwin",
    arch: "arm64",
    env: { PATH: "/opt/homebrew/bin:/usr/bin" },
    files: ["/opt/homebrew/Caskroom/codex/0.169.0/codex-aarch64-apple-darwin"],
    links: {
      "/opt/homebrew/bin/codex": "/opt/homebrew/Caskroom/codex/0.169.0/codex-aarch64-apple-darwin",
    },
  }, "/opt/homebrew/bin/codex"],
  [
    "macOS: npm",
    {
      platform: "darwin",
      arch: "arm64",
      env: { PATH: "/opt/homebrew/bin" },
      files: [
        "/opt/homebrew/lib/node_modules/@openai/codex/package.json",
        "/opt/homebrew/lib/node_modules/@openai/codex/bin/codex.js",
        "/opt/homebrew/lib/node_modules/@openai/codex-darwin-arm64/vendor/aarch64-apple-darwin/bin/codex",
      ],
      links: {
        "/opt/homebrew/bin/codex": "/opt/homebrew/lib/node_modules/@openai/codex/bin/codex.js",
      },
    },
    "/opt/homebrew/lib/node_modules/@openai/codex-darwin-arm64/vendor/aarch64-apple-darwin/bin/codex",
    {
      native: true,
    },
  ],
  ["Windows: a program in PATH", {
    platform: "win32",
    cwd: "C:\\work",
    env: { PATH: "C:\\Windows;D:\\tools" },
    files: ["D:\\tools\\codex", "D:\\tools\\codex.exe"],
  }, "D:\\tools\\codex.exe"],
  [
    "Windows: behind npm's global .cmd",
    {
      platform: "win32",
      cwd: "C:\\work",
      env: { PATH: "C:\\Windows;C:\\Users\\u\\AppData\\Roaming\\npm" },
      files: [
        "C:\\Users\\u\\AppData\\Roaming\\npm\\codex",
        "C:\\Users\\u\\AppData\\Roaming\\npm\\codex.cmd",
        "C:\\Users\\u\\AppData\\Roaming\\npm\\node_modules\\@openai\\codex\\package.json",
        "C:\\Users\\u\\AppData\\Roaming\\npm\\node_modules\\@openai\\codex-win32-x64\\vendor\\x86_64-pc-windows-msvc\\bin\\codex.exe",
      ],
    },
    "C:\\Users\\u\\AppData\\Roaming\\npm\\node_modules\\@openai\\codex-win32-x64\\vendor\\x86_64-pc-windows-msvc\\bin\\codex.exe",
    {
      native: true,
    },
  ],
  ["Windows: the .cmd itself when there is no native program", {
    platform: "win32",
    cwd: "C:\\work",
    env: { PATH: "C:\\npm" },
    files: ["C:\\npm\\codex.cmd"],
  }, "C:\\npm\\codex.cmd"],
  [
    "Windows: a package above the working directory",
    {
      platform: "win32",
      cwd: "C:\\work\\deep",
      env: { PATH: "C:\\Windows" },
      files: [
        "C:\\work\\node_modules\\.bin\\codex.cmd",
        "C:\\work\\node_modules\\@openai\\codex\\package.json",
        "C:\\work\\node_modules\\@openai\\codex-win32-x64\\vendor\\x86_64-pc-windows-msvc\\bin\\codex.exe",
      ],
    },
    "C:\\work\\node_modules\\@openai\\codex-win32-x64\\vendor\\x86_64-pc-windows-msvc\\bin\\codex.exe",
    {
      native: true,
    },
  ],
  [
    "an old codex behind a relative PATH, with its helpers",
    {
      cwd: "/work",
      env: { PATH: "node_modules/.bin" },
      files: [
        "node_modules/.bin/codex",
        "node_modules/@openai/codex/package.json",
        "node_modules/@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/codex/codex",
      ],
    },
    "/work/node_modules/@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/codex/codex",
    {
      native: true,
      path: ["/work/node_modules/@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/path"],
    },
  ],
  ["Windows: a named path without its extension", {
    platform: "win32",
    codexPath: "C:\\tools\\codex",
    files: ["C:\\tools\\codex.cmd"],
  }, "C:\\tools\\codex.cmd"],
];

for (const [what, { codexPath, ...world }, command, { native = null, path = [] } = {}] of FOUND) {
  test(`locateCodex() finds ${what}`, () => {
    const found = locateCodex(codexPath, probe(world));
    assert.equal(found.command, command);
    assert.equal(found.native, native);
    assert.deepEqual(found.pathDirectories, path);
  });
}

const MISSING: [string, World & { codexPath?: string }, RegExp[]][] = [
  ["nothing is installed", { cwd: "/work/a", env: { PATH: "/usr/bin:/bin" } }, [
    /CODEX_PATH \(not set\)/,
    /PATH \(\/usr\/bin, \/bin\)/,
    /node_modules\/@openai\/codex in \/work\/a and above/,
    /npm install -g @openai\/codex/,
  ]],
  ["the named path does not exist, although PATH has one", {
    codexPath: "/opt/codex",
    env: { PATH: "/bin" },
    files: ["/bin/codex"],
  }, [/codexPath \(\/opt\/codex\)/]],
  ["CODEX_PATH does not exist, although PATH has one", {
    env: { CODEX_PATH: "/gone/codex", PATH: "/bin" },
    files: ["/bin/codex"],
  }, [/CODEX_PATH \(\/gone\/codex\)/]],
  ["the named path is a directory", { codexPath: "/opt", files: ["/opt/codex"] }, [
    /codexPath names \/opt, which is a directory/,
  ]],
  ["the named program is not in PATH", { codexPath: "codex-x", env: { PATH: "/bin" } }, [
    /codexPath \(codex-x\); PATH \(\/bin\)/,
  ]],
];

for (const [what, { codexPath, ...world }, patterns] of MISSING) {
  test(`locateCodex() throws SpawnError with the places looked at when ${what}`, () => {
    assert.throws(() => locateCodex(codexPath, probe(world)), (error) => {
      assert.ok(error instanceof SpawnError);
      for (const pattern of patterns) assert.match(error.message, pattern);
      return true;
    });
  });
}

test("locateCodex() passes by what can't be executed, as shells do, and tells it", () => {
  const files = ["/a/codex", "/b/codex"];
  const env = { PATH: "/a:/b" };
  assert.equal(
    locateCodex(undefined, probe({ env, files, plain: ["/a/codex"] })).command,
    "/b/codex",
  );
  assert.throws(
    () => locateCodex(undefined, probe({ env, files, plain: files })),
    (error) =>
      error instanceof SpawnError &&
      /\/a\/codex \(not executable\); \/b\/codex \(not executable\); PATH/.test(error.message),
  );
  assert.throws(
    () => locateCodex("mine", probe({ env, files: ["/a/mine"], plain: ["/a/mine"] })),
    /\/a\/mine \(not executable\)/,
  );
});

test("locateCodex() names the place in PATH that it found", () => {
  const found = locateCodex(undefined, probe({ env: { PATH: "/a:/b" }, files: ["/b/codex"] }));
  assert.deepEqual(found.looked, ["CODEX_PATH (not set)", "PATH (/b/codex)"]);
});

test("locateCodex() leaves no bare name to a system that looks into the working directory", () => {
  const world = { platform: "win32", cwd: "C:\\work", files: [] };
  assert.equal(locateCodex(undefined, probe(world)).command, "codex");
  for (const name of [undefined, "codex-nightly"]) {
    assert.throws(() => locateCodex(name, probe({ ...world, bareNames: false })), SpawnError);
  }
});

test("locateCodex() knows the native package that is missing behind a launcher", () => {
  const modules = "/usr/lib/node_modules";
  const launcher = `${modules}/@openai/codex/bin/codex.js`;
  const world = { env: { PATH: "/usr/bin" }, links: { "/usr/bin/codex": launcher } };
  const files = npm(modules);
  assert.equal(locateCodex(undefined, probe({ ...world, files })).missing, null);
  const bare = files.slice(0, 2);
  const found = locateCodex(undefined, probe({ ...world, files: bare }));
  assert.deepEqual([found.native, found.missing], [false, "@openai/codex-linux-x64"]);
  // There, but not to be run by this script: nothing is missing.
  const runnable = ["/usr/bin/codex", "codex"];
  assert.equal(locateCodex(undefined, probe({ ...world, files, runnable })).missing, null);
});
