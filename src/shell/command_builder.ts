/**
 * What a shell script is made of, and how its commands are gathered word by word.
 * @module
 */
import type { ShellFinding, ShellWord } from "../shell_script.ts";
import { runVariable } from "./programs.ts";

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
  /** Why it could not be read to its end, or `null`. */
  broken: string | null;
  /** Whether it holds a quoted `$` or backtick: text now, code for whatever evaluates it a second time. */
  quotesCode: boolean;
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

/** Longest command that is looked at, in words. */
const MAX_WORDS = 2000;
const RESERVED: ReadonlySet<string> = new Set(
  ("if then elif else fi for while until do done case esac in select function { } ! time " +
    "coproc [[ ]]").split(" "),
);
/** In zsh `1=x` and `é=x` are assignments, too. */
const ASSIGNMENT = /^[\w\x80-\uffff]+(?:\[[^\]]*\])?\+?=/;

/** The script is not understood any further. */
export class Broken extends Error {}

/** Ends the reading of a script. */
export function fail(problem: string): never {
  throw new Broken(problem);
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
  #note: (problem: string) => void;
  #words: ShellWord[] = [];
  #open: OpenWord | null = null;
  #target: "redirection" | "descriptor" | "document" | null = null;
  #cases = 0;
  #tests = false;
  /** Whether the command reads a here-document or a here-string. */
  #fed = false;
  #spend: () => void;

  constructor(script: ShellScript, note: (problem: string) => void, spend: () => void) {
    this.#script = script;
    this.#note = note;
    this.#spend = spend;
  }

  get inWord(): boolean {
    return this.#open !== null;
  }

  /** In a word that is no assignment of a list. */
  get isName(): boolean {
    return this.#open !== null && !this.#open.text.endsWith("=");
  }

  /** Between `[[` and `]]`. */
  get inTest(): boolean {
    return this.#tests;
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
    if (open.plain === null && open.text === "]]") this.#tests = false;
    if (this.#words.length === 0 && this.#isPrefix(open)) return;
    if (this.#words.push({ text: open.text, literal: open.literal }) > MAX_WORDS) {
      fail("holds too many words");
    }
  }

  #isPrefix(open: OpenWord): boolean {
    if (ASSIGNMENT.test(open.text.slice(0, open.plain ?? open.text.length))) {
      this.#note("sets variables");
      if (open.text.slice(0, open.text.indexOf("=")).includes("[")) this.#script.computes = true;
      const value = runVariable(open.text);
      if (value !== null) {
        this.#spend();
        this.#script.values.push(value);
        if (open.text.startsWith("GIT_CONFIG_PARAM")) fail("hands settings to git");
      }
      return true;
    }
    if (open.plain !== null || !RESERVED.has(open.text)) return false;
    this.#note("has a compound statement");
    if (open.text === "[[") this.#script.computes = this.#tests = true;
    if (open.text === "case") this.#cases++;
    if (open.text === "esac" && this.#cases > 0) this.#cases--;
    return true;
  }

  end(): void {
    this.endWord();
    if (this.#target !== null) fail("redirects to nowhere");
    const last = this.#words.at(-1);
    if (this.#fed && last !== undefined) last.fed = true;
    this.#fed = false;
    if (last === undefined) return;
    this.#spend();
    this.#script.commands.push(this.#words);
    this.#words = [];
  }
}

// What is known about a command before it runs.

/** A command as the server would run it, taken apart without running anything. */
export interface CommandLine {
  /** The words of the command as sent, wrapper included; `null` when they can't be told apart. */
  argv: string[] | null;
  /** The script inside `bash -lc '…'`, `sh -c`, `powershell -Command` and the like; `null` without such a wrapper. */
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
  /** Whether a command may change the directory of the later ones. */
  moves: boolean;
}
