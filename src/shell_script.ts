/**
 * Shells with a script among their arguments: which they are, and the script.
 * @module
 */

/** One word of a command. */
export interface ShellWord {
  /** The word with its quotes removed; source text where the shell would put something else. */
  text: string;
  /** Whether `text` is exactly what the program would get. */
  literal: boolean;
  /** `text` as the name of a program, once somebody has asked for it. */
  name?: string;
  /** Whether its command reads a here-document; told of the last word. */
  fed?: true;
}

/** What a shell's arguments are found to be. */
export interface ShellFinding {
  /** The script inside the outermost wrapper; `null` without one, or where that may do more than run it. */
  script: string | null;
  /** The simple commands, wrappers taken off. */
  commands: ShellWord[][];
  /** Why it is not simple, or `null`. */
  problem: string | null;
  /** Whether a command may begin at a word that does not look like it. */
  compound: boolean;
  /** Whether a command may change the directory of the later ones. */
  moves: boolean;
  /** Why it could not be read, or `null`; then nothing is known about it. */
  broken: string | null;
}

/** What is found before anything is. */
export function noFinding(): ShellFinding {
  return { script: null, commands: [], problem: null, compound: false, moves: false, broken: null };
}

/** Shells that read POSIX scripts. */
const POSIX_SHELL =
  /^r?(?:sh|bash|dash|zsh|ksh|ash|mksh|lksh|pdksh|oksh|loksh|yash|posh|hush|bosh|osh)[-.\d]*$/;

/** Shells with a grammar of their own. */
const OTHER_SHELL = /^(?:fish|csh|tcsh|nu|nushell|xonsh|elvish|ion|rc|es|ysh|murex)[-.\d]*$/;

const POWERSHELLS: ReadonlySet<string> = new Set(["powershell", "pwsh"]);

/** Where a shell is taken for what its name says. */
const TRUSTED_PLACE = /^(?:|\/bin\/|\/usr\/bin\/|\/usr\/local\/bin\/|\/opt\/homebrew\/bin\/)$/;
const TRUSTED_WINDOWS_PLACE = /^(?:|[a-z]:[\\/](?:windows[\\/]system32|program files)[\\/].*)$/i;
const NO_CHANGE_OPTION = /^(?:-[lc]+|--login|--norc|--noprofile|--posix)$/;
const UNKNOWN_SCRIPT = "runs a script that is not known";
const NOT_POSIX = "is not a POSIX shell script";
const OTHER_OPTIONS = "runs a shell with other options";
const FILE_OPTION = /^--(?:rcfile|init-file)$/;
/** What reads the same in every shell's grammar. */
const PLAIN_SCRIPT = /^[\w ./:=,+-]*$/;

/** The name of a program without its directory and `.exe`, in lower case. */
export function programName(word: string): string {
  // Asked about each word of a command by each rule: most are plain.
  if (/^[\w-]*$/.test(word)) return word.toLowerCase();
  return word.slice(Math.max(word.lastIndexOf("/"), word.lastIndexOf("\\")) + 1).toLowerCase()
    .replace(/(?<=[\w-])(?:\.(?:exe|cmd|bat|com))?\.*$/, "");
}

type ShellKind = "posix" | "powershell" | "cmd" | "other";

/** Which kind of shell `name` is, or `null`. */
export function shellKind(name: string): ShellKind | null {
  if (POSIX_SHELL.test(name)) return "posix";
  if (OTHER_SHELL.test(name)) return "other";
  if (POWERSHELLS.has(name)) return "powershell";
  return name === "cmd" ? "cmd" : null;
}

/** `bash -lc 'script'`: the script counts, the shell does not. `false` when there is no such script. */
export function unwrapShell(
  analysis: ShellFinding,
  words: ShellWord[],
  kind: ShellKind,
  outermost: boolean,
  run: (script: string) => void,
): boolean {
  if (kind === "powershell" || kind === "cmd") {
    return unwrapWindows(analysis, words, kind, outermost);
  }
  let letters = "";
  let index = 1;
  for (; index < words.length; index++) {
    const { text, literal } = words[index] as ShellWord;
    if (!literal || !/^[-+]/.test(text)) break;
    if (!NO_CHANGE_OPTION.test(text)) analysis.problem ??= OTHER_OPTIONS;
    if (text === "-" || text === "--") {
      index++;
      break;
    }
    if (FILE_OPTION.test(text) || /^[-+][oO]$/.test(text)) index++;
    else if (/^[-+][A-NP-Za-np-z]+$/.test(text)) letters += text;
    // An option that is not known may take the next word, or be the script.
    else if (!NO_CHANGE_OPTION.test(text)) analysis.broken ??= "runs a shell with unknown options";
  }
  const script = words[index];
  if (!letters.includes("c")) {
    // It reads what it runs from its input (`bash -s x`), or from a place that can hold anything.
    // With -n it only reads it.
    if (letters === "-n") return false;
    // A file, also one that a variable names.
    const isFile = script?.literal || /^[\w./-]*\$[A-Za-z_][\w./-]*$/.test(script?.text ?? "");
    if (letters.includes("s") || !isFile || /^\/(?:dev|proc)\//.test(script!.text)) {
      analysis.broken ??= UNKNOWN_SCRIPT;
    }
    return false;
  }
  if (!script?.literal) {
    analysis.problem ??= UNKNOWN_SCRIPT;
    analysis.broken ??= UNKNOWN_SCRIPT;
    return false;
  }
  const shell = (words[0] as ShellWord).text;
  const place = shell.slice(0, shell.lastIndexOf("/") + 1);
  // On a file system that tells letters apart, `BASH` is another program.
  const named = shell.slice(place.length) === programName(shell);
  if (!TRUSTED_PLACE.test(place) || shell.includes("\\") || !named) {
    analysis.problem ??= "runs a shell from an unusual place";
  }
  if (index < words.length - 1) analysis.problem ??= "gives its script arguments";
  // It is read in the place of the whole command, which has to do that and no more.
  if (outermost && analysis.problem === null) analysis.script = script.text;
  if (kind === "other") {
    analysis.problem ??= "runs a shell with another grammar";
    if (!PLAIN_SCRIPT.test(script.text)) analysis.broken ??= NOT_POSIX;
  }
  run(script.text);
  return true;
}

/** What runs a text as a command, or spells words in another way, by the grammars of Windows. */
const HIDES = {
  cmd: /[%^!]|\w"\w/,
  powershell:
    /`(?![nrt])[a-z]|\b(?:iex|invoke-expression|scriptblock|frombase64string)\b|\s-e(?:c|n\w*)?\s+["']?(?:\$|[\w+/=]{16}|\w{11}=)|\[char\]|(?:(?<!&)&|(?<![^\s;{(])\.)\s*"?[$(]|\w"\w|\w'\w+'|^-$/i,
};

/** `powershell -Command …` and `cmd /c …` have their own grammar: what is more than plain words may be run in any order. */
function unwrapWindows(
  analysis: ShellFinding,
  words: ShellWord[],
  kind: "powershell" | "cmd",
  outermost: boolean,
): boolean {
  const option = kind === "cmd" ? /^\/[ck]$/i : /^-(?:c|command)$/i;
  const index = words.findIndex((word, i) => i > 0 && word.literal && option.test(word.text));
  if (index === -1) {
    analysis.problem ??= OTHER_OPTIONS;
    // Every option can be shortened; what is left runs a file, its input or an encoded script.
    analysis.broken ??= UNKNOWN_SCRIPT;
    return false;
  }
  const shell = (words[0] as ShellWord).text;
  const place = shell.slice(0, Math.max(shell.lastIndexOf("/"), shell.lastIndexOf("\\")) + 1);
  if (!TRUSTED_WINDOWS_PLACE.test(place) && !TRUSTED_PLACE.test(place)) {
    analysis.problem ??= "runs a shell from an unusual place";
  }
  const before = words.slice(1, index).map((word) => word.text.toLowerCase());
  if (before.some((word) => word !== "-noprofile" && word !== "-nologo")) {
    analysis.problem ??= OTHER_OPTIONS;
  }
  const script = words.slice(index + 1).map((word) => word.text).join(" ");
  if (outermost && analysis.problem === null) analysis.script = script;
  // It looks for programs in the working directory first, which may belong to the agent.
  if (kind === "cmd") analysis.problem ??= "looks for programs in the working directory";
  // What has commas is several words.
  if (!/^(?!=|(?:call|forfiles|if|runas|saps|start)\b)[\w ./\\:=+-]*$/i.test(script)) {
    analysis.problem ??= NOT_POSIX;
    analysis.compound = analysis.moves = true;
  }
  if (HIDES[kind].test(script) || words.slice(index).some(({ literal }) => !literal)) {
    analysis.broken ??= UNKNOWN_SCRIPT;
  }
  // Two quotes are one, or nothing: 'don''t', r''m.
  // cmd takes `@git`, `=git` and `git= x` for git.
  const apart = kind === "cmd" ? /=*(?:[^\w./\\:=+@~-]+|^)[=@]*/ : /[^\w./\\:=+@~-]+/;
  const found = script.replace(/""|''/g, "").split(apart).filter((text) => text !== "")
    .map((text) => ({ text, literal: true }));
  if (found.length > 0) analysis.commands.push(found);
  return true;
}

/**
 * The script of a command as codex tells it, its words joined by quotes: `ls` of `bash -lc 'ls'`; `null` without a shell around
 * it. For showing: nothing is judged by it.
 */
export function scriptOf(command: string): string | null {
  const words = joinedWords(command);
  const kind = shellKind(programName(words?.[0]?.text ?? ""));
  if (words === null || kind === null) return null;
  const analysis = noFinding();
  unwrapShell(analysis, words, kind, true, () => {});
  return analysis.script;
}

/** A stretch of a word: in single quotes, in double quotes without expansions, behind a backslash, or bare. */
const STRETCH = /'([^']*)'|"((?:[^"\\$`]|\\[^])*)"|\\([^\n])|([^\s'"\\$`;&|<>()*?[\]#~!{}]+)/y;

/** The words of a command that were joined by quotes; `null` when it holds anything else. */
function joinedWords(command: string): ShellWord[] | null {
  const words: ShellWord[] = [];
  let word: string | null = null;
  for (let at = 0; at < command.length; at = STRETCH.lastIndex) {
    STRETCH.lastIndex = at;
    const [all, single, double, escaped, bare] = STRETCH.exec(command) ?? [];
    if (all !== undefined) {
      const text = double?.replace(/\\(?:([$`"\\])|\n)/g, "$1");
      word = (word ?? "") + (single ?? text ?? escaped ?? bare);
      continue;
    }
    if (command[at] !== " ") return null;
    if (word !== null) words.push({ text: word, literal: true });
    word = null;
    STRETCH.lastIndex = at + 1;
  }
  if (word !== null) words.push({ text: word, literal: true });
  return words;
}
