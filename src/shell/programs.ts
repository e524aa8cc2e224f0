/**
 * What the names of programs tell about their arguments.
 * @module
 */
import { lazily } from "../json.ts";

// The sets and patterns are made when they are first asked: most programs that load this look at no command.

/** Whether a name is one of these, which `between` tells apart. */
/* @__NO_SIDE_EFFECTS__ */
function among(texts: string[], between = " "): (name: string) => boolean {
  const names = lazily(() => new Set(texts.flatMap((text) => text.split(between))));
  return (name) => names().has(name);
}

/** Whether a name is one of these, which `|` tells apart, with any version behind. */
/* @__NO_SIDE_EFFECTS__ */
function versioned(texts: string): (name: string) => boolean {
  const pattern = lazily(() => new RegExp(`^(?:${texts})[-.\\d]*$`));
  return (name) => pattern().test(name);
}

/** Programs that run code of their own language from their input when nothing else is named. */
export const READS_CODE =
  "python|pypy|perl|ruby|node|nodejs|deno|bun|php|lua|luajit|tclsh|guile|osascript|raku|crontab|ipython|m4|tsx|ts-node|julia|irb";
/** Programs that read code of their own language from an argument or their input. */
const INTERPRETERS = READS_CODE +
  "|r|rscript|wish|groovy|scala|swift|gawk|mawk|nawk|awk|sed|gsed|ed|ex|vi|vim|nvim|view|emacs|emacsclient|gdb|lldb|sqlite3|psql|mysql|make|gmake|expect|tar|rsync|zip|man|less|more|jshell|elixir|erl|ghc|runghc|sbcl|at|batch|tmux|screen|parallel|xargs|find|ssh|docker|podman|kubectl|mariadb";
const isVersionOfInterpreter = versioned(INTERPRETERS);
const isPlainInterpreter = among([INTERPRETERS], "|");

/** Whether `name` runs the first file that it is told, and leaves it what stands behind. */
export const runsFile: (name: string) => boolean = versioned(READS_CODE);

/** Programs that add words of their input to their arguments. */
const ADDS_WORDS = "xargs gxargs parallel";

/** Builtins that run one of their arguments as a script, or change what a name runs. */
const EVALUATORS =
  "eval trap . source fc bind complete compgen mapfile readarray enable alias hash sched emulate autoload zmodload " +
  "zle vared";

/** Programs that give an argument to a shell. */
const SCRIPT_RUNNERS =
  "watch su runuser script ssh flock parallel entr at batch screen tmux expect";

/** Builtins of both kinds that follow. */
const ASSIGNERS =
  "export declare typeset local readonly integer float nameref read set setopt unset printf print getopts " +
  "let umask ulimit wait zparseopts zformat zstyle";

/** What starts builtins of the shell; to other programs `.` is a directory: `find . -name x`. */
const BUILTIN_RUNNERS =
  "command builtin exec noglob nocorrect - repeat time eval emulate coproc trap";

/**
 * Builtins that take arithmetic or the name of a variable: bash, ksh or zsh run the `$(…)` of a subscript in it, whatever
 * the quotes around it.
 */
const ARITHMETIC =
  "test [ shift return exit break continue logout kill bye fg bg jobs disown times pushd popd dirs " +
  "zcompile sleep" + " " + ASSIGNERS;

/** Builtins after which later commands may mean something else. */
const STATEFUL = "shopt unsetopt exec disable unalias unhash" + " " + ASSIGNERS;

/** Builtins that change the directory of later commands. */
const MOVERS = "cd chdir pushd popd";

/** Programs that run their arguments, or start the program that an argument names. */
const isRunner = among([
  "sudo doas env nohup nice ionice chrt taskset timeout stdbuf setsid chroot unshare nsenter find fd " +
  "strace ltrace busybox toybox caffeinate arch systemd-run dbus-run-session xvfb-run npx bunx prlimit " +
  "pkexec fakeroot fakechroot tini dumb-init unbuffer torsocks torify proxychains proxychains4 start-stop-daemon " +
  "docker podman kubectl nerdctl npm pnpm yarn uv uvx pipx pipenv poetry hatch rye conda mamba " +
  "micromamba mise asdf direnv nix nix-shell guix bundle cargo go make gdb lldb valgrind perf hyperfine " +
  "setarch linux32 linux64 i386 x86_64 uname26 gosu su-exec runcon cgexec firejail bwrap eatmydata faketime " +
  "jobs rlwrap chpst softlimit numactl catchsegv logsave ts run-parts daemon daemonize choom pidproxy winpty " +
  "wine dotnet java rsync tar zip setpriv sg newgrp capsh run0 cpulimit proot schroot socat nc ncat netcat " +
  "sshpass ssh-agent autossh mosh pssh clush scp sftp lftp chronic ifne envdir setuidgid setlock dbus-launch aa-exec " +
  "genv gnice gnohup gtimeout gfind gstdbuf cross-env dotenv dotenvx nodemon concurrently lerna nx turbo " +
  "rbenv pyenv volta corepack pdm tox nox just cmake fzf watchexec sem xterm fdfind sandbox-exec systemd-inhibit " +
  "ip op aws-vault doppler chamber infisical heroku foreman honcho pixi devbox toolbox distrobox lxc incus multipass " +
  "fnm nvm rvm gcloud vagrant ansible adb wsl",
  EVALUATORS,
  SCRIPT_RUNNERS,
  ADDS_WORDS,
  BUILTIN_RUNNERS,
]);

/** Variables whose value some program runs. */
const RUN_VARIABLE =
  /^(?:--?)?(?:(?:BASH_[AC]\w+|functions|commands|\w*aliases)\[[^\]]*\]|PS[0-4]|BASH_ENV|ENV|PROMPT_COMMAND|LESSOPEN|LESSCLOSE|GIT_\w+|CC|CXX|LD|AR|RM|INSTALL|\w*(?:PAGER|EDITOR|VISUAL|BROWSER|SHELL|COMMAND|ASKPASS|RSH|SSH|OPT|OPTS|OPTIONS|FLAGS|PRELOAD))=/;

/** Those of them whose value is a command line, and no list of options. */
const COMMAND_VARIABLE = /^(?:CC|CXX|LD|AR|RM|INSTALL|\w*(?:PAGER|EDITOR|SHELL|COMMAND))=/;

/** A value of `make` that is another variable's: `$(git x)` runs nothing there, since it is no function of its. */
const MAKE_REFERENCE =
  /^[\w.-]+[:?+]?=\$[({](?:[\w.-]+|(?:git|date|uname|cat|nproc) [\w. -]+)[)}](?:g?cc|[gc]\+\+|clang|ld|ar)?$/;

/** Whether `name` is a program that runs its arguments, such as `sudo` or `xargs`. */
export function runsItsArguments(name: string): boolean {
  // To others a last `.` is a directory: `xargs cp -t .`.
  return (isRunner(name) && !/^(?:\.|source)$/.test(name)) ||
    /^ld(?:-linux|\.so|-musl)/.test(name);
}

/** Whether the arguments of `name` are scripts of a shell, not only words that may be one. */
export const runsScripts: (name: string) => boolean = among([EVALUATORS, SCRIPT_RUNNERS]);

/** Whether `name` starts builtins of the shell, too. */
export const runsBuiltins: (name: string) => boolean = among([BUILTIN_RUNNERS]);

/** Whether `name` reads code from its arguments or its input. */
export function isInterpreter(name: string): boolean {
  // Asked about each word of what starts programs: the pattern takes longer.
  return isPlainInterpreter(name) || (/[-.\d]$/.test(name) && isVersionOfInterpreter(name));
}

/** Whether `name` adds to its arguments what it reads. */
export const addsWords: (name: string) => boolean = among([ADDS_WORDS]);

/** What a builtin does besides running, as far as rules care. */
export interface BuiltinTraits {
  readonly evaluates: boolean;
  readonly computes: boolean;
  readonly stateful: boolean;
  readonly moves: boolean;
}

const evaluates = among([EVALUATORS]);
const computes = among([ARITHMETIC]);
const isStateful = among([STATEFUL]);
const moves = among([MOVERS]);

/** The traits of a builtin; those of no builtin for any other name. */
export function builtinTraits(name: string): BuiltinTraits {
  return {
    evaluates: evaluates(name),
    computes: computes(name),
    stateful: isStateful(name),
    moves: moves(name),
  };
}

/** The value of a variable that some program runs, as in `PAGER='rm x'`; `null` for any other word. */
export function runVariable(word: string): string | null {
  const found = word.includes("=") ? RUN_VARIABLE.exec(word) : null;
  if (found === null) return null;
  const value = word.slice(found[0].length);
  // A file that bash runs first, whatever it is told to run, and any settings of git.
  if (value !== "" && /BASH_ENV=|GIT_CONFIG_PARAM/.test(found[0])) return "$x";
  // An alias of git that begins with `!` is a script, another one a command of git's.
  if (value.startsWith("!")) return value.slice(1);
  return found[0].includes("GIT_CONFIG_VALUE")
    ? `${value}\ngit ${value}`
    : givenScript(word, value);
}

/** Whether it sets a variable that a shell runs as a command, as in `make CC='rm x'`. */
export function isCommandVariable(word: string): boolean {
  return COMMAND_VARIABLE.test(word);
}

/** A shell reads no input as in `SHELL=/bin/zsh`: who starts it has a script for it. */
function givenScript(word: string, value: string): string {
  return /SHELL=[\w./-]+$/.test(word) ? `${value} -c :` : value;
}

/** Programs to which `CC=x` is a text like any other. */
const SHOWS = /^(?:git|gh|echo|printf|[ef]?grep|rg|curl)$/;

/**
 * Whether the argument only gives a text, or in `make` a variable the value of another one, as in `V='$(git describe)'`; not
 * that of a command where `others` may be set.
 */
export function isShown(program: string, word: string, others = false): boolean {
  return SHOWS.test(program) ||
    (/^g?make$/.test(program) && MAKE_REFERENCE.test(word) &&
      !(others && COMMAND_VARIABLE.test(word)));
}
