/** Scripts that try to run `bad`, what bash and dash make of them, and what the rules say. */
import assert from "node:assert/strict";
import { join } from "node:path";
import fc from "npm:fast-check@4.10.2";
import type { ApprovalRule } from "../../src/approvals/mod.ts";
import { decide } from "../../src/approvals/rules/decide.ts";
import { commandOf } from "../unit/approvals/_requests.ts";
import { tempDir } from "../_temp.ts";

/**
 * Programs and builtins that the rules allow; none of them may start `bad`. Not among them is `.`: what is in a file that
 * another script wrote is not seen, as the documentation says.
 */
const ALLOWED =
  ("ok test [ printf echo read let declare typeset export readonly unset wait shift exit return true cd " +
    "getopts mapfile set umask command type hash trap eval alias jobs").split(" ");
/** Of those, what runs its arguments: allowing it allows everything, so it is not. */
const RUNS = new Set(["command", "eval", "trap", "alias", "mapfile", "hash", "jobs"]);

const HIDDEN = [
  "bad",
  "$(bad)",
  "`bad`",
  "a[$(bad)]",
  "a[`bad`]",
  "x[$(bad)]=1",
  "$[ '$(bad)' ]",
  "$[$(bad)]",
  "$(( '$(bad)' ))",
  "$((a[$(bad)]))",
  "$((x))",
  "${x:$(bad)}",
  "${x:-$(bad)}",
  "${x@P}",
  "${y:x}",
  "$\\\n(bad)",
  "$\\\n{x:-`bad`}",
  "<(bad)",
  ">(bad)",
  "a=($(bad))",
  "a=(x [$(bad)]=y)",
  "a[$(bad)]=1",
  "${a[$(bad)]}",
  "${a[0]:$(bad):1}",
  "${x/o/$(bad)}",
  "${x/$(bad)/o}",
  "${!x}",
  "${x@E}",
  "${x@A}",
  "${x:=`bad`}",
  "((a[$(bad)]++))",
  "[[ -v a[$(bad)] ]]",
  "[[ x =~ $(bad) ]]",
  "{ok,bad}",
  "b{a,o}d",
  "ba{d..d}",
  "b?d",
  "x=1 bad",
  "PS4='$(bad)'",
  "PATH=. bad",
  "coproc bad",
  "coproc N { bad; }",
  "case x in x) bad;; esac",
  "case $(bad) in x) ok;; esac",
  "case x in $(bad)) ok;; esac",
  "f() { bad; }; f",
  "ok() { bad; }",
  "function ok { bad; }",
  "alias ok=bad",
  "for x in $(bad); do ok; done",
  "for ((;$(bad)0;)); do ok; done",
  "select x in $(bad); do ok; done",
  "while bad; do break; done",
  "until bad; do break; done",
  "<<-E\n\t$(bad)\n\tE\n",
  "<<\\E\nE\nbad\n",
  "<<E <<F\nE\n$(bad)\nF\n",
  '<<"E"\nx\nE\nbad\n',
  "-C bad -c 1",
  "-W '$(bad)'",
  "-F",
  "-O",
  "-o",
  "-x",
  "-e",
  "; bad",
  "&& bad",
  "| bad",
  "\nbad",
  "\\\n; bad",
  "&\\\n& bad",
  "<<E\n$(bad)\nE\n",
  "<<'E'\nbad\nE\n",
  "<<E\nE\\\n\nbad\nE\n",
  "<\\\n<E\n'\nE\nbad #'",
  "<<< bad",
  "| sh",
  "-v",
  "-eq",
  "-p",
  "-n",
  "-C",
  "-S",
  "-c",
  "-i",
  "-a",
];
const GLUE = [
  ..." ; && || | & ( ) { } < > << $ $( $(( )) ${ ` ' \" \\ # = ! * ? [ ] [[ ]] ~ - a x x=1 y=x <( <<< 2> >& 1 $x $' $\" \n"
    .split(" "),
  " ",
  " ",
  "\t",
  "\n",
  "\\\n",
  "if ",
  "then ",
  "fi ",
  "case ",
  " in ",
  "esac ",
  "function f ",
  "env ",
  "sh ",
  "bash ",
  "time ",
  "! ",
  "((",
  "))",
  "]]",
  "E\n",
  ":-",
  "EXIT ",
  "DEBUG ",
  "#",
  "coproc ",
  "f() ",
  "ok() ",
  "f\n",
  ";; ",
  ";& ",
  ";;& ",
  "x) ",
  "for x in ",
  "for ((",
  "select x in ",
  "while ",
  "until ",
  "do ",
  "done ",
  "else ",
  "elif ",
  "exec ",
  "builtin ",
  "source ",
  "a=(",
  "a[",
  "+=",
  "${!",
  "${a[",
  "@P}",
  "shopt -s expand_aliases\n",
  "set -x\n",
  "set -o posix\n",
  "declare -n x=",
  "declare -i x=",
  "local -a a=",
  "PROMPT_COMMAND=bad ",
  "BASH_ENV=",
  "IFS=a ",
  "compgen ",
  "complete ",
  "enable -n ",
  "{ok,",
  ",bad}",
];
const QUOTES: ((text: string) => string)[] = [
  (text) => text,
  (text) => text,
  (text) => `'${text}'`,
  (text) => `"${text}"`,
  (text) => `$'${text}'`,
  (text) => text.replace(/[$`()[\]]/g, "\\$&"),
  (text) => `"${text.replace(/[$`]/g, "\\$&")}"`,
  (text) => `x='${text}'`,
  (text) => `"\${x:-${text}}"`,
];
const part = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...GLUE) },
  { weight: 3, arbitrary: fc.constantFrom(...ALLOWED).map((name) => `${name} `) },
  {
    weight: 4,
    arbitrary: fc.tuple(fc.constantFrom(...QUOTES), fc.constantFrom(...HIDDEN))
      .map(([quote, text]) => quote(text)),
  },
);
const script: fc.Arbitrary<string> = fc.tuple(
  fc.constantFrom(...ALLOWED, "", "x='a[$(bad)]'; ", "x='$(bad)'; "),
  fc.array(part, { minLength: 1, maxLength: 7 }),
  fc.constantFrom("", " "),
).map(([head, parts, space]) => `${head} ${parts.join(space)}`);

const allow: ApprovalRule[] = ALLOWED.filter((name) => !RUNS.has(name)).map((name) => ({
  effect: "allow",
  command: [name],
}));
const deny: ApprovalRule[] = [{ effect: "deny", command: ["bad"] }];

/** What a run found. */
export interface FuzzReport {
  /** Scripts that were tried. */
  tried: number;
  /** Of those, how often a shell ran `bad`. */
  ranBad: number;
  /** How many the rules allowed. */
  allowed: number;
  /** Scripts that a rule allowed although a shell ran `bad`. */
  escaped: string[];
  /** Scripts that a deny did not see although a shell ran `bad`. */
  unseen: string[];
}

/** Tries `count` scripts on bash and on dash. The only programs there are `ok`, `bad` and the shells. */
export async function fuzzShell(count: number, seed: number): Promise<FuzzReport> {
  await using dir = await tempDir();
  const bin = join(dir.path, "bin");
  const cwd = join(dir.path, "cwd");
  await Deno.mkdir(bin);
  await Deno.mkdir(cwd);
  await Deno.writeTextFile(join(bin, "ok"), "#!/bin/dash\n:\n", { mode: 0o755 });
  const bad = '#!/bin/dash\necho "$FUZZ_N" >&9\n';
  await Deno.writeTextFile(join(bin, "bad"), bad, { mode: 0o755 });
  await Deno.symlink("/usr/bin/env", join(bin, "env"));
  await Deno.symlink("/bin/dash", join(bin, "sh"));
  await Deno.symlink("/bin/bash", join(bin, "bash"));
  const report: FuzzReport = { tried: 0, ranBad: 0, allowed: 0, escaped: [], unseen: [] };
  while (report.tried < count) {
    const batch = Math.min(250, count - report.tried);
    const scripts = fc.sample(script, { numRuns: batch, seed: seed + report.tried });
    const ran = new Set<number>();
    for (const shell of ["/bin/bash", "/bin/dash"]) {
      for (let first = 0; first < batch;) {
        const told = await runAll(shell, scripts.slice(first), { bin, cwd });
        for (const index of told.ran) ran.add(first + index);
        first += told.tried;
      }
    }
    report.tried += batch;
    report.ranBad += ran.size;
    for (const [i, text] of scripts.entries()) {
      const request = commandOf(["/bin/bash", "-lc", text]);
      const allowed = decide({ rules: allow }, request, { sandboxed: false }).effect === "allow";
      if (allowed) report.allowed++;
      if (!ran.has(i)) continue;
      if (allowed) report.escaped.push(text);
      if (decide({ rules: deny }, request).effect !== "deny") report.unseen.push(text);
    }
  }
  return report;
}

/** Longer than any of them takes that ends by itself. */
const BATCH_SECONDS = 60;

/** Runs scripts one after the other, up to one that waits for itself, such as a shell that reads from its own pipe. */
async function runAll(
  shell: string,
  scripts: string[],
  { bin, cwd }: { bin: string; cwd: string },
): Promise<{ ran: number[]; tried: number }> {
  // Files get names, for `*` to find, and no content: what a file holds is not seen, as the documentation says.
  const prelude =
    'exec 9>&1; ulimit -f 0; FUZZ_N=0; for s in "$@"; do export FUZZ_N; echo "@$FUZZ_N" >&9; ' +
    '( eval "$s" ) </dev/null >/dev/null 2>&1; wait; FUZZ_N=$((FUZZ_N+1)); done; echo end >&9';
  const { stdout } = await new Deno.Command("/usr/bin/timeout", {
    args: ["-s", "KILL", String(BATCH_SECONDS), shell, "-c", prelude, "fuzz", ...scripts],
    cwd,
    env: { PATH: bin, HOME: cwd },
    clearEnv: true,
    stdin: "null",
    stderr: "null",
  }).output();
  const lines = new TextDecoder().decode(stdout).split("\n");
  const numbers = (pattern: RegExp) =>
    lines.flatMap((line) => pattern.test(line) ? [Number(line.replace("@", ""))] : []);
  const ended = lines.includes("end");
  return {
    ran: numbers(/^\d+$/),
    tried: ended ? scripts.length : (numbers(/^@\d+$/).at(-1) ?? 0) + 1,
  };
}

/** Fails when anything got through, or when the scripts were too tame to tell. */
export function checkReport(report: FuzzReport): void {
  const { tried, ranBad, allowed, escaped, unseen } = report;
  assert.deepEqual({ escaped, unseen }, { escaped: [], unseen: [] });
  assert.ok(ranBad > tried / 50, `only ${ranBad} of ${tried} ran it`);
  assert.ok(allowed > tried / 200, `only ${allowed} of ${tried} were allowed`);
}
