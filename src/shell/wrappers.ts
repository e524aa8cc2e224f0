/**
 * Programs that run the command in their arguments, shells apart: `env`, `xargs` and `git`.
 * @module
 */
import { programName, shellKind, type ShellWord } from "../shell_script.ts";
import type { CommandAnalysis } from "./command_builder.ts";
import {
  builtinTraits,
  isInterpreter,
  isShown,
  READS_CODE,
  runsItsArguments,
  runsScripts,
} from "./programs.ts";

/** The words as a line that reads back as the same words. */
export function joinWords(words: readonly ShellWord[]): string {
  return words.map((word) =>
    !word.literal || /^[\w@%+=:,./-]+$/.test(word.text) && !word.text.startsWith("=")
      ? word.text
      : `'${word.text.replaceAll("'", `'\\''`)}'`
  ).join(" ");
}

/** `env X=1 program`: the program counts; variables and options may change what it does. */
export function unwrapEnv(
  analysis: CommandAnalysis,
  words: ShellWord[],
  run: (words: ShellWord[]) => void,
): boolean {
  let index = 1;
  for (; index < words.length; index++) {
    const word = words[index] as ShellWord;
    if (word.literal && /^[^-=].*=/s.test(word.text)) {
      analysis.problem ??= "sets variables";
    } else break;
  }
  const next = words[index];
  if (next === undefined) return false;
  if (!next.literal || next.text.startsWith("-")) {
    analysis.problem ??= "runs env with options";
    analysis.moves = true;
    if (splitsText(words, 0)) analysis.broken ??= "has env split a text into words";
    return false;
  }
  const program = (words[0] as ShellWord).text;
  if (program !== "env" && program !== "/usr/bin/env" && program !== "/bin/env") {
    analysis.problem ??= "runs env from an unusual place";
  }
  run(words.slice(index));
  return true;
}

/** Whether the `env` at this place has a text: `-S`, alone, among others, abbreviated or with the text, splits it into words. */
export function splitsText(words: readonly ShellWord[], at: number): boolean {
  for (let i = at + 1; i < words.length; i++) {
    const { text } = words[i] as ShellWord;
    if (/^-[a-zA-Z0-9]*S|^--s/.test(text)) return true;
    if (!text.startsWith("-") && !/^-[uC]$/.test(words[i - 1]!.text)) return false;
  }
  return false;
}

/** Options of `xargs` whose value is the next word. */
const TAKES_VALUE =
  /^-(?:[0oprtx]*[EIJLPRSadns]|-(?:arg-file|delimiter|max-(?:args|procs|chars)))$/;
/** Those that say where what is read takes its place; the value may be attached. */
const FILLS_IN = /^(?:-[0oprtx]*(?:[IJ]|i)|--replace=?)(.*)$/s;

/** Whether what `xargs` or `parallel` reads may be a program, or what another one is to run. */
export function readsProgram(words: readonly ShellWord[]): boolean {
  const texts = words.map(({ text }) => text);
  if (programName(texts[0]!) === "parallel") {
    // It reads what stands behind `:::`; a word may be a whole command.
    const own = texts.join(" ").split(" :::")[0]!.split(" ");
    return [...own, "{"].some((text, i) =>
      FILLS_IN.test(text) || (text[0] === "{" && addsTo(own.slice(0, i || 1)))
    );
  }
  const adds = addsTo(texts);
  let mark: string | null = null;
  let index = 1;
  for (; texts[index]?.[0] === "-"; index++) {
    const text = texts[index]!;
    const fills = FILLS_IN.exec(text);
    const next = TAKES_VALUE.test(text) ? texts[++index] : undefined;
    if (fills !== null) mark = next ?? (fills[1] || "{}");
  }
  const started = words.slice(index);
  const [program] = started;
  // Alone it shows what it reads.
  if (program === undefined) return false;
  const name = programName(program.text);
  const isCode = (i: number) => /^-\w*[Eecr]$/.test(started[i - 1]?.text ?? "");
  if (mark === null) {
    return !program.literal || adds || (isInterpreter(name) && isCode(started.length));
  }
  const holds = started.map(({ text }) => text.includes(mark));
  if (!program.literal || holds[0]) return true;
  if (name === "git") return holds.includes(true) && holds.indexOf(true) <= subcommandOf(started);
  const places = new Set(programPlaces(started));
  const isShell = started.some(({ text }) => shellKind(programName(text)) !== null);
  return started.some(({ text }, i) =>
    holds[i] && (places.has(i) || (isCode(i) && (isInterpreter(name) ||
      isShell && text.split(/[;&|(`\n]\s*/).some((one) => one.startsWith(mark)))))
  );
}

/** Whether what follows these words may be a program, or what `git` does. */
function addsTo(words: readonly string[]): boolean {
  const last = programName(words.findLast((word) => word[0] !== "-")!);
  return last === "git" || runsItsArguments(last);
}

/** Where the first word stands that is no option. */
function subcommandOf(words: readonly ShellWord[]): number {
  return words.findIndex(({ text }, i) => i > 0 && !text.startsWith("-"));
}

// What `git` runs because its arguments say so.

/** Options whose value git runs; it knows them by their beginnings too. */
const RUN_OPTION =
  /^--(?:exe|ext(?!ended)|up(?!date)|setup$|setup=|rec(?!urs)|open|send|(?!no-)[a-z]+-(?:f|cm))/;
/** How many words of what it starts are read as a command. */
const MAX_STARTED = 16;
const RUN_AFTER: ReadonlySet<string> = new Set(["foreach", "run"]);

/** Settings that are shown, whatever they hold. */
const IS_NAME = /^(?:(?:user|author|committer)\.(?:name|email)|http\.(?:.*\.)?extraheader)$/is;

/** What may stand before the name of a setting, and has no value of its own. */
const CONFIG_OPTION =
  /^(?:set|-z|--(?:global|local|system|worktree|null|bool|int|path|name-only|show-\w+|type=\w+|file=.*))$/s;
/** What only reads, or takes away, where it stands first; elsewhere it may be a value. */
const CONFIG_READS = /^(?:get|list|unset|--(?:get|list|unset)[\w-]*|-l)$/;

/** Scripts in the arguments of a `git`, those for the shell behind a `!`, and commands that an alias in them stands for. */
export function gitScripts(given: readonly ShellWord[]): {
  scripts: string[];
  commands: ShellWord[][];
} {
  const scripts: string[] = [];
  const commands: ShellWord[][] = [];
  /** A setting may be a program, or what an alias stands for. */
  const set = (value: string): void => {
    scripts.push(value);
    commands.push(["git", ...value.split(/\s+/)].map((text) => ({ text, literal: true })));
  };
  // `{-c,alias.x=y}` is two words.
  const words = given.flatMap((word) =>
    word.literal || !/\{.*,/s.test(word.text)
      ? [word]
      : word.text.split(/[{},]/).map((text) => ({ text, literal: true }))
  );
  // To others these letters are no programs: `git add -u src`, `git clean -dx`.
  const of = (name: RegExp, letters: string) =>
    words.some(({ text }) => name.test(text)) ? letters : "";
  const letters = of(/^(?:clone|ls-remote|fetch-pack)$/, "cu") + of(/^(?:rebase|difftool)$/, "x");
  const attached = new RegExp(`^-\\w*[${letters}]|^--conf`);
  // What stands after the first one is looked at once, however many follow.
  const config = words.findIndex(({ text }) => text === "config");
  for (const [i, word] of words.entries()) {
    const next = words[i + 1];
    if (!word.literal) continue;
    const { text } = word;
    if (text === "-c" && next !== undefined) {
      if (IS_NAME.test(next.text.replace(/=.*/s, ""))) continue;
      // What a variable holds may be any setting.
      if (!next.literal) commands.push([{ text: next.text, literal: false }]);
      set(next.text.slice(next.text.indexOf("=") + 1));
    } else if (i === config) {
      const rest = words.slice(i + 1).filter(({ text }) => !text.startsWith("-"));
      // A setting alone is read, as is what is told to be. What comes after may belong to another command of `find`.
      let at = i + 1;
      while (CONFIG_OPTION.test(words[at]?.text ?? "")) at++;
      if (/^(?:-f|--file)$/.test(words[at]?.text ?? "")) at += 2;
      const first = words[at];
      const reads = CONFIG_READS.test(first?.text ?? "") &&
        !words.some(({ text }) => text.startsWith("--no-"));
      const named = first?.literal === true && IS_NAME.test(first.text);
      const from = named ? rest.indexOf(first) + 2 : reads ? 3 : 1;
      for (const value of rest.slice(from)) set(value.text);
    } else if (text.startsWith("--config-env")) {
      commands.push([{ text, literal: false }]);
    } else if (RUN_AFTER.has(text)) {
      let at = i + 1;
      while (words[at]?.text.startsWith("-")) at++;
      const program = words[at];
      if (program === undefined) continue;
      commands.push(words.slice(at));
      scripts.push(joinWords(words.slice(at, at + MAX_STARTED)));
      // The first one of `foreach` is a script.
      if (program.literal && /\s/.test(program.text)) scripts.push(program.text);
    } else if (RUN_OPTION.test(text) || attached.test(text)) {
      const value = text.replace(/^--[^=]*=?|^-\w*?[xcu]/, "");
      const program = value === "" ? next : { text: value, literal: true };
      if (program === undefined) continue;
      scripts.push(program.literal ? program.text.replace(/^\w+\.[\w.-]+=/, "") : "$x");
    } else if (/^(?:-O|ext::)/.test(text)) scripts.push(text.replace(/^(?:-O|ext::)/, ""));
  }
  return { scripts, commands };
}

// What other programs start because an option says so.

/**
 * Programs and their options whose value is a program; `sort` knows its own by their beginnings, and a compiler may have the
 * name of what it compiles for, or its version: `x86_64-linux-gnu-gcc-12`.
 */
const STARTS =
  /^(?:rg --(?:pre|hostname-bin)(?:=|$)|g?sort --co|g?split --f|wget --use-a|\S+ --pager(?:=|$)|\S*(?:cc|[gc]\+\+|gfortran)(?:-[\d.]+)? -wrapper$)/;

/** The program that an option has another one start: `rg --pre x`, `sort --compress-program=x`, `gcc -wrapper x,y`. */
export function optionScripts(name: string, words: readonly ShellWord[]): string[] {
  return words.flatMap(({ text, literal }, i) => {
    if (i === 0) return [];
    const starts = STARTS.test(`${name} ${text}`) || text === "-wrapper" && runsItsArguments(name);
    if (!starts) return [];
    const value = text.includes("=")
      ? { text: text.slice(text.indexOf("=") + 1), literal }
      : words[i + 1];
    return value === undefined ? [] : value.literal ? value.text.replaceAll(",", " ") : "$x";
  });
}

/** Builtins that run a file. */
export const READS_FILE: RegExp = /^(?:\.|source)$/;

/** Whether it names a file by its place: `~/.nvm/nvm.sh`, `$HOME/x`. */
export function isPlainFile({ text, literal }: ShellWord): boolean {
  return (literal || /^(?!.*<\().*\//s.test(text)) &&
    !/^\/(?:dev|proc)\/|\/(?:stdin|fd\/)/.test(text);
}

/** Arguments that are scripts: `watch 'rm x'`, `find -exec sh -c 'rm {}'`, `eval "rm x"`, `trap rm EXIT`. */
export function scriptsIn(words: ShellWord[], name: string): string[] {
  const { evaluates } = builtinTraits(name);
  if (!evaluates && !runsItsArguments(name)) return [];
  const texts: string[] = [];
  const args = words.slice(1).filter(({ text }) => !isShown(name, text));
  for (const { text, literal } of args) {
    if (!literal && (!evaluates || READS_FILE.test(name))) continue;
    // What was quoted in `$'…'` is not told.
    if (text.includes("$''")) texts.push("$x");
    const value = text.includes("=") ? text.slice(text.indexOf("=") + 1) : null;
    if (evaluates || /[\s;&|]/.test(text)) texts.push(name === "alias" ? value ?? text : text);
    // `ssh -o ProxyCommand='rm x'`
    if (!evaluates && value !== null) texts.push(value, text.slice(text.lastIndexOf("=") + 1));
  }
  if (name === "eval") texts.push(args.map((word) => word.text).join(" "));
  return texts;
}

// Programs that run what they read from their input.

/** Options one after the other; the letters are those of options whose value is the next word. Each word ends in a space. */
function options(letters: string): string {
  return `(?:(?:-\\w*[${letters}] (?=\\S)|(?!-\\w*[${letters}] )-|\\w+=)\\S* )*`;
}

const INPUT = "(?:-|/dev/stdin|/(?:dev|proc/self)/fd/0) ";

/** A command that has its input run: `python3 -u -`, `make -f -`, and `sudo -s`, which starts a shell. */
const FED = new RegExp(
  "^(?:at |batch |su (?!(?:.* )?--?\\w*c)|runuser (?!(?:.* )?--?\\w*[cu])" +
    `|(?:sudo|doas) (?=(?:.* )?-(?:\\w*[si]|-sh\\w*|-lo\\w*) )${options("ughpCDRrtTU")}$` +
    `|(?:unshare|nsenter|fakeroot|pkexec) ${options("SGRwt")}$|chroot ${options("-")}\\S+ $` +
    `|script (?!(?:.* )?--?\\w*c)${options("IOBTmE")}(?:\\S+ )?$` +
    // Where no script is told the one there reads its input; git's hosts do not, nor is there one with -N.
    `|ssh (?!.*(?:\\bgit@|(?<= )-[A-Zfnqv]*[NGO]))${
      options("bcDEeFIiJLlmOoPpQRSWw")
    }[^\\s-]\\S* $` +
    // Code that nothing of is told: `ruby -e "$(curl x)"`.
    `|(?:${READS_CODE})[-.\\d]* (?:-\\S+ )*-\\w*[ceEpr] [$\`][\\w(){}\`]* ` +
    `|(?:g?make|[gmn]?awk|g?sed) (?:.* )?-(?:\\w*f|\\S*file)[ =]?${INPUT}` +
    // What is attached to an option may be code: `-e'print 1'`.
    `|(?:${READS_CODE})[-.\\d]* (?:(?!-[hilmvV] |--(?:ver|help|ev|pr|test|in))` +
    `(?:-[XW] \\S+|(?!-[XW] )-(?:[A-Za-z]+|-[\\w-]+(?:=\\S*)?)) )*(?:$|${INPUT}|run (?:.* )?- ))`,
);

/** How many programs in a command are looked at. */
const MAX_FED = 16;

/**
 * Whether these words start a program that runs what it reads (`sudo -u x python3 -`), or that only the shell or `find` knows
 * (`sudo -u x $CMD`).
 */
export function runsUnknown(words: readonly ShellWord[]): boolean {
  const head = programName(words[0]!.text);
  const takes = runsScripts(head) ? HAS_VALUE : TAKES_WORD;
  const isValue = (i: number) => takes.test(words[i - 1]?.text ?? "");
  if (takes !== TAKES_WORD) {
    if (!starts(head)) return false;
    if (words.some(({ literal }, i) => !literal && !isValue(i))) return true;
  }
  const fed = words.at(-1)?.fed;
  let count = 0;
  for (const i of programPlaces(words)) {
    const { text, literal } = words[i]!;
    const unknown = text === "{}" || (!literal && !/^\w+=/.test(text));
    // What stands behind an option that may have a value is taken for one.
    if (i > 0 && unknown && !isValue(i)) return true;
    const name = programName(text);
    if (
      !fed && (starts(name) || isInterpreter(name)) &&
      (++count > MAX_FED || FED.test(lineFrom(words, i)))
    ) return true;
  }
  return false;
}

/** Whether it starts a program, and is no builtin that evaluates a text. */
function starts(name: string): boolean {
  return runsItsArguments(name) && !builtinTraits(name).evaluates;
}

/** Programs whose first word, or second one, says what they do. */
const TOOLS = "docker|podman|nerdctl|kubectl|npm|cargo|go";
/** At the beginning: `ssh docker rm x` and `sudo -g docker rm x` name a host and a group. */
const BEFORE_VERB = new RegExp(
  `^(?:(?:sudo|nohup) )?(?:${TOOLS})(?: (?:compose|container|image|network|volume))?$|^command -[vV]$`,
);
/** Programs whose next word starts nothing. */
const HAS_VERBS = new RegExp(
  `^(?:${TOOLS}|g?find|fd|pnpm|yarn|conda|g?make|tar|rsync|zip|java|dotnet)$`,
);

/** Whether the word at this place is no program: `docker rm`, `docker volume rm`, `command -v rm`. */
export function isVerb(words: readonly ShellWord[], at: number): boolean {
  return at < 4 && BEFORE_VERB.test(words.slice(0, at).map(({ text }) => text).join(" "));
}

/** Where a program may begin: at `python3` in `sudo -u x python3 -`, and at `x`. */
function* programPlaces(words: readonly ShellWord[]): Generator<number> {
  const head = programName(words[0]!.text);
  const runs = runsItsArguments(head);
  let begins = true;
  for (const [i, { text }] of words.entries()) {
    if (i > 0 && !runs) return;
    const before = words[i - 1]?.text ?? "";
    if (/^-(?:exec|ok|x$)/i.test(before) || (before === "--" && words.some(isExec))) {
      begins = true;
    } else if (!begins || text.startsWith("-")) continue;
    yield i;
    const name = programName(text);
    // An option's value, a time, a place and a variable may stand before the program; `command -v x` starts none.
    begins = !/^-v/i.test(words[i + 1]?.text ?? "") &&
      (TAKES_WORD.test(before) || before === "uv" ||
        /^(?:(?:[\d.]+[smhd]?|run)$|\w+=|\/)/.test(text) ||
        (starts(name) && !HAS_VERBS.test(name)));
  }
}

function isExec({ text }: ShellWord): boolean {
  return text === "exec" || text === "x";
}

/** What may have a value in the next word. */
const TAKES_WORD =
  /^--?(?!exec|args|run$|ok|[oe]L|[yEniHbrtxXqSA]+$)[a-zA-Z]+$|^(?:g?timeout|gosu|su-exec)$/;
/** The same for programs that run scripts: `ssh -i x host`. */
const HAS_VALUE = /^-[iopFJLDWjS]$|^(?:ssh|flock)$/;

/** The name of the program at this place and what follows, each word with a space behind. */
function lineFrom(words: readonly ShellWord[], at: number): string {
  return words.slice(at).map(({ text }, i) =>
    `${(i === 0 ? programName(text) : text).replace(/\s/g, "_")} `
  ).join("");
}
