/**
 * codex is killed or stopped, and the script ends, in every phase of a client's life, with the real codex: every call
 * settles, nothing is claimed that the server did not confirm, and no process is left. A part of it here, all of it with
 * `deno task bad-days`. Linux.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { script } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS, codexPath, type CodexVersion, nodePath } from "../_codex.ts";
import { onDeno, test } from "../_harness.ts";
import { isRunning, within, World } from "../real/_session_world.ts";
import { type Life, live, type Phase, PHASES } from "./bad_days_script.ts";

const ALL = process.env["BAD_DAYS"] === "all";
const SCRIPT = fileURLToPath(new URL("./bad_days_script.ts", import.meta.url));
/** A bound for promises that must settle and processes that must go, not a pace. */
const LIMIT_MS = 60_000;

type Launcher = "native" | "npm";

interface Day {
  version: CodexVersion;
  launcher: Launcher;
  /** The end of codex, or of the script. */
  who: "codex" | "script";
  at: Phase | "spawn";
  how: string;
}

/** Puts a program before codex that writes its process id; as npm's launcher it stays as the parent. */
async function launcherOf(world: World, day: Day): Promise<{ path: string; pidFile: string }> {
  const codex = await codexPath(day.version);
  const pidFile = join(dirname(world.cwd), `pid-${day.launcher}`);
  let start = `exec "${codex}" "$@"`;
  if (day.launcher === "npm") {
    const root = codex.slice(0, codex.indexOf("/node_modules/"));
    const js = join(root, "node_modules/@openai/codex/bin/codex.js");
    start = `exec "${await nodePath()}" "${js}" "$@"`;
  }
  const path = await world.program(`codex-${day.launcher}`, `echo $$ > '${pidFile}'\n${start}`);
  return { path, pidFile };
}

/** The process id in a file; 0 while none is there. It is whole only with its newline. */
const pidIn = (file: string): number => {
  try {
    return Number(/^(\d+)\n/.exec(readFileSync(file, "utf8"))?.[1] ?? 0);
  } catch {
    return 0;
  }
};

async function until(what: string, is: () => boolean): Promise<void> {
  const deadline = performance.now() + LIMIT_MS;
  while (!is()) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${LIMIT_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Nothing that was claimed lacks its confirmation. */
function checkClaims({ settled, ended }: Life): void {
  for (const { call, value, error } of settled) {
    if (call === "ask") {
      if (error === undefined) assert.ok(ended.includes("completed"), "an answer without its end");
      if (error?.name === "TurnInterruptedError" || error?.stopped === true) {
        assert.ok(ended.includes("interrupted"), `${error} without the server's word`);
      }
    }
    if (error !== undefined) {
      assert.equal(typeof error.code, "string", `${call}: ${error.stack}`);
      assert.doesNotMatch(error.message, /undefined|\[object/, call);
    }
    if (call === "shutdown") assert.equal((value as { gone?: boolean })?.gone, true, call);
  }
}

async function codexDies(world: World, day: Day): Promise<void> {
  const { path, pidFile } = await launcherOf(world, day);
  const signal = day.how as NodeJS.Signals;
  let pid = 0;
  // A launcher that is slow to start may not have written its id yet; 0 would be this test's own group.
  const attack = async (): Promise<void> => {
    await until("the process", () => pidIn(pidFile) > 0);
    if (pid !== 0) return;
    pid = pidIn(pidFile);
    try {
      process.kill(pid, signal);
    } catch (error) {
      // Whoever comes to the shutdown may find it done.
      if (day.at !== "shutdown" || (error as { code?: string }).code !== "ESRCH") throw error;
    }
  };
  let attacked: Promise<void> | undefined;
  const prompt = world.prompt(PLAY);
  const lived = live(
    world.config({ codexPath: path }),
    world.cwd,
    prompt,
    (phase) => phase === day.at && (attacked = attack()),
  );
  if (day.at === "spawn") attacked = attack();
  const life = await within(LIMIT_MS, "the life", lived);
  await attacked;
  assert.ok(
    pid > 0,
    `${day.at} was never reached: ${
      life.settled.map(({ call, error }) => `${call} ${error ?? "ok"}`)
    }`,
  );
  checkClaims(life);
}

async function scriptEnds(world: World, day: Day): Promise<void> {
  const { path, pidFile } = await launcherOf(world, day);
  const given = [world.config({ codexPath: path }), world.cwd, world.prompt(PLAY), day.at, day.how];
  const command = onDeno ? ["run", "-A", "--no-check", "--no-prompt", SCRIPT] : [SCRIPT];
  const child = spawn(process.execPath, [...command, JSON.stringify(given)], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  let gone = false;
  ended.then(() => gone = true);
  let out = "";
  child.stdout.on("data", (chunk) => out += String(chunk));
  if (day.how.startsWith("SIG")) {
    const there = day.at === "spawn" ? () => pidIn(pidFile) !== 0 : () => /reached/.test(out);
    await until(`${day.at} in the script`, () => there() || gone);
    assert.ok(there(), `${day.at} was never reached`);
    child.kill(day.how as NodeJS.Signals);
  }
  await within(LIMIT_MS, "the script", ended);
  child.stdout.destroy();
  // A signal may come when a short shutdown is over.
  if (!day.how.startsWith("SIG")) assert.ok(child.exitCode !== 0, `${day.at} was never reached`);
}

const PLAY = [[
  script.say(["I ", "look."]),
  script.exec("touch begun; exec sleep 4735"),
], "done"];

async function spend(day: Day): Promise<void> {
  const world = await World.start(day.version);
  try {
    await (day.who === "codex" ? codexDies : scriptEnds)(world, day);
    let left: number[] = [];
    await until("the end of all processes", () => (left = world.running()).length === 0)
      .catch((error) => {
        const lines = left.map((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8"));
        for (const pid of left) if (isRunning(pid)) process.kill(pid, "SIGKILL");
        throw new Error(`left: ${lines.join("; ").replaceAll("\0", " ")}`, { cause: error });
      });
  } finally {
    await world[Symbol.asyncDispose]();
  }
}

const name = ({ version, launcher, who, at, how }: Day): string =>
  `${who} ${how} at ${at} [${version} ${launcher}]`;

function everyDay(): Day[] {
  const days: Day[] = [];
  for (const version of CODEX_VERSIONS) {
    for (const launcher of ["native", "npm"] as const) {
      for (const at of ["spawn", ...PHASES] as const) {
        const base = { version, launcher, at };
        for (const how of ["SIGKILL", "SIGSTOP"]) days.push({ ...base, who: "codex", how });
        for (const how of ["exit", "throw", "SIGTERM", "SIGINT", "SIGKILL"]) {
          // A script can't end itself before it is told of anything.
          if (at !== "spawn" || how.startsWith("SIG")) days.push({ ...base, who: "script", how });
        }
      }
    }
  }
  return days;
}

/** Each phase and each kind of end at least once, versions and launchers in turn. */
function someDays(): Day[] {
  const ends = ["SIGKILL", "exit", "SIGTERM", "throw", "SIGINT"];
  const mixed = (index: number) => ({
    version: CODEX_VERSIONS[index % 2 === 0 ? 0 : CODEX_VERSIONS.length - 1]!,
    launcher: index % 3 === 0 ? "npm" as const : "native" as const,
  });
  const at: Day["at"][] = ["spawn", ...PHASES];
  return [
    ...at.map((at, index): Day => ({ ...mixed(index), at, who: "codex", how: "SIGKILL" })),
    ...(["thread/start", "command", "close"] as const).map((at, index): Day => ({
      ...mixed(index),
      at,
      who: "codex",
      how: "SIGSTOP",
    })),
    ...(["command", "approval", "interrupt", "deltas", "initialize"] as const).map((
      at,
      index,
    ): Day => ({ ...mixed(index + 1), at, who: "script", how: ends[index]! })),
  ];
}

/** Days at the same time. */
const AT_ONCE = 4;

if (process.platform === "linux") {
  test("bad days: everything settles, nothing is left, nothing is claimed", {
    timeoutMs: ALL ? 3_600_000 : 300_000,
  }, async () => {
    const days = ALL ? everyDay() : someDays();
    const failed: string[] = [];
    const one = async (): Promise<void> => {
      for (let day = days.shift(); day !== undefined; day = days.shift()) {
        await spend(day).catch((error) =>
          failed.push(
            `${name(day!)}: ${error?.stack ?? error}${error?.cause ? `\n  ${error.cause}` : ""}`,
          )
        );
        if (ALL) {
          console.log(`${failed.at(-1)?.startsWith(name(day)) ? "FAILED" : "ok"} ${name(day)}`);
        }
      }
    };
    const count = days.length;
    await Promise.all(Array.from({ length: AT_ONCE }, one));
    assert.deepEqual(failed, [], `${failed.length} of ${count} days:\n${failed.join("\n")}`);
  });
}
