/**
 * Finding codex: an explicit path, `CODEX_PATH`, PATH, an installed npm package; and behind npm's launcher
 * the native program, which starts four times faster and is one process instead of two.
 *
 * All decisions are made on a probe, so that every system and every set of permissions can be tested on one.
 * @module
 */
import { defined } from "../json.ts";
import { SpawnError } from "../errors/mod.ts";
import {
  archName,
  canRun,
  currentDirectory,
  isExecutable,
  type PathKind,
  pathKind,
  type PathRules,
  pathRules,
  platformName,
  readEnv,
  realPath,
  runtimeName,
  scriptPath,
} from "../platform/mod.ts";

/** What the locator may ask the world. Nothing here throws or prompts. */
export interface LocateProbe {
  /** Operating system in Node's spelling. */
  readonly platform: string;
  /** Processor in Node's spelling. */
  readonly arch: string;
  /** This script's working directory, which relative paths start from; `null` when it is not known. */
  readonly cwd: string | null;
  /** Where packages are looked for, and upwards from there: the script's directory, the working directory. */
  readonly startDirectories: readonly string[];
  /** A variable, or `undefined` when it is not set or may not be read. */
  env(name: string): string | undefined;
  /** What a path leads to; `unknown` when the script may not look. */
  kind(path: string): PathKind;
  /** A path with links followed, or `null`. */
  realPath(path: string): string | null;
  /** Whether a file may be started at all: it has an x bit. `true` when that can't be told, or means nothing. */
  executable(path: string): boolean;
  /** Whether the script may run this program; without one: any program. */
  canRun(command?: string): boolean;
  /** Whether a bare name is looked up in PATH alone. Node on Windows looks into the working directory first. */
  readonly bareNames: boolean;
}

/** A codex to start. */
export interface LocatedCodex {
  /** A path, or a name for the system to look up. */
  command: string;
  /** `true`: the native program; `false`: a launcher of npm's; `null`: unknown, such as a script of the user's. */
  native: boolean | null;
  /** Directories with its helper programs, to be put at the head of its PATH. */
  pathDirectories: string[];
  /** The npm package whose native program should be there and is not; `null` when nothing is known to be missing. */
  missing: string | null;
  /** The places that were looked at, for an error message. */
  looked: string[];
}

/** How to get codex, for error messages. */
const INSTALL_COMMAND: string = "npm install -g @openai/codex";

const TRIPLES: Record<string, string> = {
  "linux-x64": "x86_64-unknown-linux-musl",
  "linux-arm64": "aarch64-unknown-linux-musl",
  "android-x64": "x86_64-unknown-linux-musl",
  "android-arm64": "aarch64-unknown-linux-musl",
  "darwin-x64": "x86_64-apple-darwin",
  "darwin-arm64": "aarch64-apple-darwin",
  "win32-x64": "x86_64-pc-windows-msvc",
  "win32-arm64": "aarch64-pc-windows-msvc",
};

/** Finds codex, or throws `SpawnError` with every place looked at and the command that installs it. */
export function locateCodex(codexPath?: string, probe: LocateProbe = scriptProbe()): LocatedCodex {
  const found = new Search(probe).run(codexPath);
  const pathDirectories = found.pathDirectories.map((path) => fromHere(path, probe));
  return { ...found, command: fromHere(found.command, probe), pathDirectories };
}

/** A path that was looked at from this script's directory, for a process that may be started in another one. */
function fromHere(command: string, { cwd, platform }: LocateProbe): string {
  const { isAbsolute, isPath, join } = pathRules(platform);
  if (cwd === null || !isPath(command) || isAbsolute(command)) return command;
  // Windows knows more kinds: `C:codex` and `\\codex` are relative to a drive.
  return platform === "win32" && /^(?:[\\/]|[A-Za-z]:)/.test(command)
    ? command
    : join(cwd, command);
}

/** The error for a codex that is not there. */
export function codexNotFound(looked: readonly string[], cause?: unknown): SpawnError {
  return new SpawnError(
    `codex was not found. Looked at: ${looked.join("; ")}. ` +
      `Install it with \`${INSTALL_COMMAND}\`, or name it with \`codexPath\` or CODEX_PATH.`,
    {
      data: { reason: "notFound", looked: [...looked] },
      ...defined({ cause }),
    },
  );
}

class Search {
  readonly #probe: LocateProbe;
  readonly #paths: PathRules;
  readonly #looked: string[] = [];
  /** Set when something could not be looked at: then "not found" is not certain. */
  #uncertain = false;
  /** The native package of a launcher that was found, when it is certainly not there. */
  #missing: string | null = null;

  constructor(probe: LocateProbe) {
    this.#probe = probe;
    this.#paths = pathRules(probe.platform);
  }

  run(codexPath: string | undefined): LocatedCodex {
    if (codexPath !== undefined && codexPath !== "") return this.#named(codexPath, "codexPath");
    const fromEnv = this.#probe.env("CODEX_PATH");
    if (fromEnv !== undefined && fromEnv !== "") return this.#named(fromEnv, "CODEX_PATH");
    this.#looked.push("CODEX_PATH (not set)");

    const onPath = this.#onPath("codex");
    if (onPath !== null) return this.#prefer(onPath, "codex");
    // A scoped grant for the name says that the system found it at start-up, wherever PATH leads.
    if (this.#mayBeNamed() && this.#probe.canRun("codex") && !this.#probe.canRun()) {
      return this.#found("codex", null);
    }
    const installed = this.#installed();
    if (installed !== null) return installed;
    if (this.#mayBeNamed()) return this.#found("codex", null);
    throw codexNotFound(this.#looked);
  }

  /** A codex that the user has named: it, or nothing. */
  #named(command: string, by: string): LocatedCodex {
    this.#looked.push(`${by} (${command})`);
    if (!this.#paths.isPath(command)) {
      const onPath = this.#onPath(command);
      if (onPath !== null) return this.#prefer(onPath, command);
      if (this.#mayBeNamed()) return this.#found(command, null);
      throw codexNotFound(this.#looked);
    }
    for (const path of this.#spellings(command)) {
      const kind = this.#probe.kind(path);
      if (kind === "file") return this.#prefer(path, path);
      if (kind === "unknown") return this.#found(path, null);
      if (kind === "directory") {
        throw new SpawnError(`${by} names ${path}, which is a directory, not a program.`, {
          data: { reason: "notFound", looked: this.#looked },
        });
      }
    }
    throw codexNotFound(this.#looked);
  }

  /** Whether the system is to look a name up that this script could not look for itself. */
  #mayBeNamed(): boolean {
    return this.#uncertain && this.#probe.bareNames;
  }

  /** The first program of that name in PATH. What can't be executed is passed by, as shells do. */
  #onPath(name: string): string | null {
    const list = this.#probe.env("PATH");
    if (list === undefined) {
      this.#uncertain = true;
      this.#looked.push("PATH (not set, or not readable for this script)");
      return null;
    }
    const directories = list.split(this.#paths.listSeparator).filter((entry) => entry !== "");
    for (const directory of directories) {
      for (const path of this.#spellings(this.#paths.join(directory, name))) {
        const found = this.#program(path);
        if (found) this.#looked.push(`PATH (${path})`);
        if (found) return path;
      }
    }
    this.#looked.push(`PATH (${directories.join(", ") || "empty"})`);
    return null;
  }

  /** Whether a path leads to a program that may be started. */
  #program(path: string): boolean {
    const kind = this.#probe.kind(path);
    if (kind === "unknown") this.#uncertain = true;
    if (kind !== "file") return false;
    if (this.#probe.executable(path)) return true;
    this.#looked.push(`${path} (not executable)`);
    return false;
  }

  /** Windows leaves out the extension; a file without one is for other shells there. */
  #spellings(path: string): string[] {
    if (this.#probe.platform !== "win32" || /\.\w+$/.test(this.#paths.basename(path))) {
      return [path];
    }
    return [".exe", ".cmd", ".bat"].map((extension) => path + extension);
  }

  /** The package `@openai/codex` in a `node_modules` above the start directories. */
  #installed(): LocatedCodex | null {
    const { join } = this.#paths;
    for (const modules of this.#nodeModules(this.#probe.startDirectories)) {
      const root = join(modules, "@openai", "codex");
      const launcher = this.#launcherOf(modules, root);
      const native = this.#native(root);
      if (native !== null) return native;
      if (launcher !== null) return this.#prefer(launcher, "codex");
    }
    for (const start of this.#probe.startDirectories) {
      this.#looked.push(`node_modules/@openai/codex in ${start} and above`);
    }
    return null;
  }

  #launcherOf(modules: string, root: string): string | null {
    const { join } = this.#paths;
    const windows = this.#probe.platform === "win32";
    const candidates = [
      join(modules, ".bin", windows ? "codex.cmd" : "codex"),
      ...(windows ? [] : [join(root, "bin", "codex.js")]),
    ];
    return candidates.find((path) => this.#program(path)) ?? null;
  }

  #nodeModules(starts: readonly string[]): string[] {
    const found = new Set<string>();
    for (const start of starts) {
      for (let at = start;; at = this.#paths.dirname(at)) {
        if (this.#paths.basename(at) !== "node_modules") {
          found.add(this.#paths.join(at, "node_modules"));
        }
        if (this.#paths.dirname(at) === at) break;
      }
    }
    return [...found];
  }

  /** The native program behind a launcher when the script may run it, else what it may run. */
  #prefer(path: string, name: string): LocatedCodex {
    const packages = this.#packageRoots(path).filter((root) => this.#isPackage(root));
    for (const root of packages) {
      const native = this.#native(root);
      if (native !== null) return native;
    }
    const native = packages.length > 0 ? false : null;
    if (!this.#probe.canRun(path) && this.#probe.canRun(name)) return this.#found(name, native);
    return this.#found(path, native);
  }

  /** The package directories that a launcher may belong to. */
  #packageRoots(launcher: string): string[] {
    const { basename, dirname, join } = this.#paths;
    const roots: string[] = [];
    for (const path of [this.#probe.realPath(launcher), launcher]) {
      const parts = (path ?? "").split(/[\\/]/);
      if (path !== null && parts.slice(-4).join("/") === "@openai/codex/bin/codex.js") {
        roots.push(dirname(dirname(path)));
      }
    }
    const directory = dirname(launcher);
    const modules = dirname(directory);
    // pnpm and Windows write script files where npm makes links.
    if (basename(directory) === ".bin" && basename(modules) === "node_modules") {
      roots.push(join(modules, "@openai", "codex"));
    } else {
      roots.push(
        join(directory, "node_modules", "@openai", "codex"),
        join(directory, "global", "5", "node_modules", "@openai", "codex"),
      );
    }
    return [...new Set(roots)];
  }

  /** The native program that belongs to the package in `root`, if it is there and may be run. */
  #native(root: string): LocatedCodex | null {
    const { join, dirname } = this.#paths;
    const key = `${this.#probe.platform}-${this.#probe.arch}`;
    const triple = TRIPLES[key];
    if (triple === undefined || !this.#isPackage(root)) return null;
    const program = this.#probe.platform === "win32" ? "codex.exe" : "codex";
    const scoped = `codex-${key.replace("android", "linux")}`;
    const packages: string[] = [];
    let certain = true;
    for (const at of new Set([this.#probe.realPath(root) ?? root, root])) {
      const above = this.#nodeModules([dirname(dirname(dirname(at)))]);
      packages.push(
        join(at, "node_modules", "@openai", scoped),
        join(dirname(at), scoped),
        ...above.map((modules) => join(modules, "@openai", scoped)),
        at,
      );
    }
    for (const home of new Set(packages)) {
      const vendor = join(home, "vendor", triple);
      // Before 0.13x the program was in `codex/` and relied on its launcher to put `path/` in PATH.
      for (const [folder, helpers] of [["bin", null], ["codex", join(vendor, "path")]] as const) {
        const path = join(vendor, folder, program);
        const kind = this.#probe.kind(path);
        if (kind === "file" && this.#probe.canRun(path)) {
          return this.#found(path, true, helpers === null ? [] : [helpers]);
        }
        if (kind !== "missing") certain = false;
      }
    }
    if (certain) this.#missing = `@openai/${scoped}`;
    return null;
  }

  #isPackage(root: string): boolean {
    return this.#probe.kind(this.#paths.join(root, "package.json")) === "file";
  }

  #found(command: string, native: boolean | null, pathDirectories: string[] = []): LocatedCodex {
    const missing = native === false ? this.#missing : null;
    return { command, native, pathDirectories, missing, looked: this.#looked };
  }
}

/** The probe of this script's own world. */
function scriptProbe(): LocateProbe {
  const platform = platformName();
  const script = scriptPath();
  const cwd = currentDirectory();
  // npm links global programs. What the script brings comes first: the working directory may be anybody's repository.
  const scripts = script === null ? [] : [realPath(script) ?? script, script];
  const starts = [...scripts.map(pathRules(platform).dirname), cwd];
  return {
    platform,
    arch: archName(),
    cwd,
    startDirectories: [...new Set(starts.filter((path) => path !== null))],
    env: readEnv,
    kind: pathKind,
    realPath,
    executable: isExecutable,
    canRun,
    bareNames: platform !== "win32" || runtimeName() === "deno",
  };
}
