/**
 * What a shell script is made of, and how its commands are gathered word by word.
 * @module
 */
import type { ShellFinding, ShellWord } from "../shell_script.ts";
import { builtinTraits, runVariable } from "./programs.ts";

/** What a script is made of. */
export interface ShellScript {
  /** Every simple command, those of substitutions and compound statements included. */
  commands: ShellWord[][];
  /** Texts fed to a command's stdin by `<<` and `<<<`. */
  documents: string[];
  /** Values of variables that some program runs: `PAGER='rm x' man ls`. */
  values: string[];
  /** Why it is more than a list of simple commands, or `null`. */
  problem: string | null;
  /** Whether it holds a compound statement; where commands begin in it is not for certain. */
  compound: boolean;
  /** Why it could not be read to its end, or `null`. */
  broken: string | null;
  /** What its quotes hold, text now, for whatever evaluates it a second time: 1 with a `$`, 2 with what may be a command. */
  quotes: number;
  /** Whether something in it evaluates text a second time: arithmetic, `[[ … ]]`, subscripts, `${x@P}`. */
  computes: boolean;
}

/** How much one command may hold, all that is nested in it included; what holds more is not judged. */
export interface ShellBudget {
  /** Simple commands, substitutions and documents. */
  commands: number;
  /** Characters of all texts: an `eval` in an `eval` has the same text read twice as often. */
  characters: number;
}

/** What may be a command to whoever evaluates it. */
export const MAYBE_CODE: RegExp = /`|\$(?:[([]|\{[\s|])/;

/** Longest script that is looked at, in characters. */
export const MAX_LENGTH = 65_536;

/** A fresh budget for one command. */
export function shellBudget(): ShellBudget {
  return { commands: 1000, characters: 4 * MAX_LENGTH };
}

/** A here-document whose lines are still to come. */
export interface HereDocument {
  delimiter: string;
  stripTabs: boolean;
  expands: boolean;
}

/** Longest command that is looked at, in words. */
const MAX_WORDS = 2000;
/** Words before which, or instead of which, a command stands. */
const RESERVED: ReadonlySet<string> = new Set(
  "if then elif else fi while until do done esac in { } ! time -p".split(" "),
);
/** What words follow that are no command by themselves. */
const KEYWORDS: ReadonlySet<string> = new Set("for case select coproc [[".split(" "));
/** In zsh `1=x` and `é=x` are assignments, too. */
const ASSIGNMENT = /^[\w\x80-\uffff]+(?:\[[^\]]*\])?\+?=/;

/** The script is not understood any further. */
export class Broken extends Error {}

/** Ends the reading of a script. */
export function fail(problem: string): never {
  throw new Broken(problem);
}

/** Counts one more command, substitution or document. */
export function spend(budget: ShellBudget): void {
  if (--budget.commands < 0) fail("holds too many commands");
}

/** A word that is being read. */
export interface OpenWord {
  text: string;
  literal: boolean;
  /** How many characters came before the first quote or expansion. */
  plain: number | null;
}

/** Gathers the words of one command after the other. */
export class CommandBuilder {
  #script: ShellScript;
  #budget: ShellBudget;
  #words: ShellWord[] = [];
  #open: OpenWord | null = null;
  #target: "redirection" | "descriptor" | "document" | null = null;
  #cases = 0;
  /** What the words belong to that come next, when they are no command: a pattern, a test or a list. */
  keyword: "case" | "[[" | "=" | null = null;
  /** Whether the command reads a here-document or a here-string. */
  #fed = false;

  constructor(script: ShellScript, budget: ShellBudget) {
    this.#script = script;
    this.#budget = budget;
  }

  get inWord(): boolean {
    return this.#open !== null;
  }

  /** In a word that is no assignment of a list. */
  get isName(): boolean {
    return this.#open !== null && !this.#open.text.endsWith("=");
  }

  /** In a word after which the words of a list come. */
  get opensList(): boolean {
    return /\w\+?=$/.test(this.#open?.text ?? "");
  }

  /** Between `case` and `esac` a closing parenthesis ends a pattern. */
  get inCase(): boolean {
    return this.#cases > 0;
  }

  word(): OpenWord {
    return this.#open ??= { text: "", literal: true, plain: null };
  }

  takeTarget(target: "redirection" | "descriptor" | "document"): void {
    this.endWord();
    this.#target = target;
  }

  /** The `2` of `2>` belongs to the redirection. */
  dropDescriptor(isDocument: boolean): void {
    const open = this.#open;
    const number = open?.plain === null && /^\d+$/.test(open.text) ? open.text : null;
    if (isDocument && Number(number) === 0) this.#fed = true;
    if (number !== null) this.#open = null;
    else this.endWord();
  }

  endWord(): void {
    const open = this.#open;
    if (open === null) return;
    this.#open = null;
    if (this.#target !== null) {
      // Shells expand what stands after `>&` once more, whatever quotes are around it.
      if (this.#target === "descriptor" && open.plain !== null) {
        fail("redirects to a descriptor that is no number");
      }
      if (this.#target === "document") this.#script.documents.push(open.text);
      this.#target = null;
      return;
    }
    // What is no quoted text has nothing within.
    if (this.#script.quotes === 1 && MAYBE_CODE.test(open.text.replace(/\$\(\)|``/g, ""))) {
      this.#script.quotes = 2;
    }
    const bare = open.plain === null ? open.text : "";
    // `function f { …` and the short forms of zsh.
    const head = this.#words[0]?.text;
    if (/^[{}]$/.test(bare) && head !== undefined && !builtinTraits(head).computes) {
      this.compound();
      return this.end();
    }
    if (this.keyword !== null && this.#words.length === 0 && bare !== "esac") {
      this.#words.push({ text: this.keyword, literal: true });
    } else if (this.#words.length === 0 && this.#isPrefix(open)) return;
    // Shells leave `{}` as it is.
    const literal = open.literal || bare === "[[" || (bare === "{}" && this.#words.length > 0);
    if (this.#words.push({ text: open.text, literal }) > MAX_WORDS) fail("holds too many words");
    if (bare === "]]" && this.keyword === "[[") {
      this.keyword = null;
      this.end();
    }
  }

  /** Says that it has a compound statement. */
  compound(): void {
    this.#script.problem ??= "has a compound statement";
    this.#script.compound = true;
  }

  #isPrefix(open: OpenWord): boolean {
    if (ASSIGNMENT.test(open.text.slice(0, open.plain ?? open.text.length))) {
      this.#script.problem ??= "sets variables";
      if (open.text.slice(0, open.text.indexOf("=")).includes("[")) this.#script.computes = true;
      const value = runVariable(open.text);
      if (value !== null) {
        spend(this.#budget);
        this.#script.values.push(value);
        if (open.text.startsWith("GIT_CONFIG_PARAM")) fail("hands settings to git");
      }
      return true;
    }
    const isKeyword = KEYWORDS.has(open.text);
    if (open.plain !== null || !(isKeyword || RESERVED.has(open.text))) return false;
    this.compound();
    if (open.text === "[[") this.#script.computes = true;
    if (open.text === "case") this.#cases++;
    if (open.text === "[[" || open.text === "case") this.keyword = open.text;
    if (open.text === "esac" && this.#cases > 0) {
      this.#cases--;
      this.keyword = null;
    }
    return !isKeyword;
  }

  end(): void {
    this.endWord();
    if (this.#target !== null) fail("redirects to nowhere");
    const last = this.#words.at(-1);
    if (this.#fed && last !== undefined) last.fed = true;
    this.#fed = false;
    if (last === undefined) return;
    spend(this.#budget);
    this.#script.commands.push(this.#words);
    this.#words = [];
  }
}

// What is known about a command before it runs.

/** A command as the server would run it, taken apart without running anything. */
export interface CommandLine {
  /** The words of the command as sent, wrapper included; `null` when they can't be told apart. */
  argv: string[] | null;
  /** The script inside `bash -lc '…'`, `sh -c`, `powershell -Command` and the like; `null` without such a plain wrapper. */
  script: string | null;
  /**
   * Every simple command, nested ones included, in order. A word that only the shell can know (`$X`, `*.ts`) keeps its
   * source text.
   */
  commands: string[][];
  /**
   * Whether these are all its commands and nothing else happens: no substitution, redirection, assignment, background
   * job or compound statement. Only a simple command line can be allowed by a rule that names commands.
   */
  simple: boolean;
  /** Why it is not simple, or `null`. */
  problem: string | null;
}

/** Everything that rules and hooks look at; wider than {@linkcode CommandLine}. */
export interface CommandAnalysis extends ShellFinding {
  /** The words as sent, or `null`. */
  argv: string[] | null;
  /** Wrappers, and texts that a command may run as a script; for those that ask what may be meant. */
  extras: ShellWord[][];
  /** Words of code in another language than the shell's; a command may stand anywhere in them. */
  texts: ShellWord[][];
}
