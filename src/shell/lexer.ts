/**
 * Takes a POSIX shell script apart into words, without running anything.
 *
 * It errs to one side only: what it does not understand makes the script "not simple" or "broken", never simpler.
 * @module
 */

/** One word of a command. */
export interface ShellWord {
  /** The word with its quotes removed; source text where the shell would put something else. */
  text: string;
  /** Whether `text` is exactly what the program would get. */
  literal: boolean;
}

/** What a script is made of. */
export interface ShellScript {
  /** Every simple command, those of substitutions and compound statements included. */
  commands: ShellWord[][];
  /** Texts fed to a command's stdin by `<<` and `<<<`. */
  documents: string[];
  /** Why it is more than a list of simple commands, or `null`. */
  problem: string | null;
  /** Why it could not be read to its end, or `null`. */
  broken: string | null;
}

/** Longest script that is looked at, in characters. */
const MAX_LENGTH = 65_536;
const MAX_DEPTH = 40;
const RESERVED: ReadonlySet<string> = new Set(
  ("if then elif else fi for while until do done case esac in select function { } ! time " +
    "coproc [[ ]]").split(" "),
);
const ASSIGNMENT = /^[A-Za-z_][A-Za-z0-9_]*(?:\[[^\]]*\])?\+?=/;
const NAME = /[A-Za-z0-9_]/;

class Broken extends Error {}

interface OpenWord {
  text: string;
  literal: boolean;
  /** How many characters came before the first quote or expansion. */
  plain: number | null;
}

interface HereDocument {
  delimiter: string;
  stripTabs: boolean;
  expands: boolean;
}

/** Takes `text` apart. Never throws. */
export function lexShell(text: string): ShellScript {
  const lexer = new ShellLexer(text);
  return lexer.run();
}

class ShellLexer {
  #text: string;
  #pos = 0;
  #depth = 0;
  #script: ShellScript = { commands: [], documents: [], problem: null, broken: null };
  #hereDocuments: HereDocument[] = [];

  constructor(text: string) {
    this.#text = text;
  }

  run(): ShellScript {
    try {
      if (this.#text.length > MAX_LENGTH) throw new Broken("too long");
      if (this.#text.includes("\0")) throw new Broken("holds a NUL character");
      this.#list(null);
      if (this.#hereDocuments.length > 0) throw new Broken("unfinished here-document");
    } catch (error) {
      this.#script.broken = error instanceof Broken ? error.message : "can't be parsed";
    }
    return this.#script;
  }

  #note(problem: string): void {
    this.#script.problem ??= problem;
  }

  /** Reads commands up to `end`, which is consumed. */
  #list(end: ")" | null): void {
    if (++this.#depth > MAX_DEPTH) throw new Broken("nested too deeply");
    const command = new CommandBuilder(this.#script, (problem) => this.#note(problem));
    while (true) {
      const char = this.#text[this.#pos];
      if (char === undefined) {
        command.end();
        if (end !== null) throw new Broken("unfinished parenthesis");
        break;
      }
      const next = this.#text[this.#pos + 1];
      if (char === " " || char === "\t") {
        command.endWord();
        this.#pos++;
      } else if (char === "\n") {
        command.end();
        this.#pos++;
        this.#readHereDocuments();
      } else if (char === "\\" && next === "\n") {
        this.#pos += 2;
      } else if (char === "#" && !command.inWord) {
        const newline = this.#text.indexOf("\n", this.#pos);
        this.#pos = newline === -1 ? this.#text.length : newline;
      } else if (char === ";") {
        command.end();
        this.#pos++;
        if (next === ";" || next === "&") this.#note("has a compound statement");
      } else if (char === "&") {
        this.#ampersand(command, next);
      } else if (char === "|") {
        command.end();
        this.#pos += next === "|" || next === "&" ? 2 : 1;
        if (next === "&") this.#note("redirects");
      } else if (char === "(") {
        command.end();
        this.#pos++;
        this.#note("has a compound statement");
        this.#list(")");
      } else if (char === ")") {
        command.end();
        this.#pos++;
        if (command.inCase) continue;
        if (end === ")") break;
        throw new Broken("has a parenthesis too many");
      } else if (char === "<" || char === ">") {
        this.#redirection(command, char, next);
      } else {
        this.#wordPart(command.word(), char);
      }
    }
    this.#depth--;
  }

  #ampersand(command: CommandBuilder, next: string | undefined): void {
    if (next === ">") {
      command.endWord();
      this.#pos += this.#text[this.#pos + 2] === ">" ? 3 : 2;
      this.#note("redirects");
      command.takeTarget("redirection");
      return;
    }
    command.end();
    this.#pos += next === "&" ? 2 : 1;
    if (next !== "&") this.#note("runs in the background");
  }

  #redirection(command: CommandBuilder, char: string, next: string | undefined): void {
    this.#note("redirects");
    if (next === "(") {
      const word = command.word();
      word.literal = false;
      word.plain ??= word.text.length;
      word.text += `${char}()`;
      this.#pos += 2;
      this.#list(")");
      return;
    }
    command.dropDescriptor();
    if (char === "<" && next === "<") {
      if (this.#text[this.#pos + 2] === "<") {
        this.#pos += 3;
        command.takeTarget("document");
        return;
      }
      const stripTabs = this.#text[this.#pos + 2] === "-";
      this.#pos += stripTabs ? 3 : 2;
      this.#hereDocuments.push({ ...this.#delimiter(), stripTabs });
      return;
    }
    this.#pos += next === ">" || next === "&" || next === "|" ? 2 : 1;
    command.takeTarget("redirection");
  }

  #delimiter(): { delimiter: string; expands: boolean } {
    while (this.#text[this.#pos] === " " || this.#text[this.#pos] === "\t") this.#pos++;
    let delimiter = "";
    let expands = true;
    while (this.#pos < this.#text.length) {
      const char = this.#text[this.#pos] as string;
      if (" \t\n;&|<>()".includes(char)) break;
      this.#pos++;
      if (char === "'" || char === '"') {
        expands = false;
        const close = this.#text.indexOf(char, this.#pos);
        if (close === -1) throw new Broken("unfinished quote");
        delimiter += this.#text.slice(this.#pos, close);
        this.#pos = close + 1;
      } else if (char === "\\") {
        expands = false;
        delimiter += this.#text[this.#pos++] ?? "";
      } else delimiter += char;
    }
    if (delimiter === "") throw new Broken("here-document without a delimiter");
    return { delimiter, expands };
  }

  #readHereDocuments(): void {
    for (const document of this.#hereDocuments.splice(0)) {
      let body = "";
      while (true) {
        if (this.#pos >= this.#text.length) throw new Broken("unfinished here-document");
        const newline = this.#text.indexOf("\n", this.#pos);
        const stop = newline === -1 ? this.#text.length : newline;
        const line = this.#text.slice(this.#pos, stop);
        this.#pos = newline === -1 ? stop : stop + 1;
        if ((document.stripTabs ? line.replace(/^\t+/, "") : line) === document.delimiter) break;
        body += `${line}\n`;
      }
      this.#script.documents.push(body);
      // What a here-document expands runs before the command that reads it.
      if (document.expands && /[$`]/.test(body)) this.#expandText(body);
    }
  }

  /** Collects the commands of the substitutions in a text that is otherwise data. */
  #expandText(text: string): void {
    const inner = new ShellLexer(`"${text.replaceAll('"', '\\"')}"`);
    inner.#depth = this.#depth;
    const script = inner.run();
    this.#absorb(script);
  }

  #absorb(script: ShellScript): void {
    this.#script.commands.push(...script.commands);
    this.#script.documents.push(...script.documents);
    if (script.problem !== null) this.#note(script.problem);
    if (script.broken !== null) throw new Broken(script.broken);
  }

  #wordPart(word: OpenWord, char: string): void {
    this.#pos++;
    if (char === "\\") {
      const next = this.#text[this.#pos];
      if (next === undefined) throw new Broken("ends in a backslash");
      this.#pos++;
      word.plain ??= word.text.length;
      word.text += next;
    } else if (char === "'") {
      word.plain ??= word.text.length;
      const close = this.#text.indexOf("'", this.#pos);
      if (close === -1) throw new Broken("unfinished quote");
      word.text += this.#text.slice(this.#pos, close);
      this.#pos = close + 1;
    } else if (char === '"') {
      word.plain ??= word.text.length;
      this.#doubleQuoted(word);
    } else if (char === "$") {
      word.plain ??= word.text.length;
      this.#dollar(word, false);
    } else if (char === "`") {
      word.plain ??= word.text.length;
      this.#backticks(word);
    } else {
      const first = word.text === "" && word.plain === null;
      word.text += char;
      if (char === "*" || char === "?") word.literal = false;
      else if (first && (char === "~" || char === "=")) word.literal = false;
      else if ((char === "[" || char === "{") && !this.#standsAlone(first)) word.literal = false;
    }
  }

  /** `[` and `{` are commands when they are a whole word, else patterns. */
  #standsAlone(first: boolean): boolean {
    const next = this.#text[this.#pos];
    return first && (next === undefined || " \t\n;&|".includes(next));
  }

  #doubleQuoted(word: OpenWord): void {
    while (true) {
      const char = this.#text[this.#pos++];
      if (char === undefined) throw new Broken("unfinished quote");
      if (char === '"') return;
      if (char === "\\") {
        const next = this.#text[this.#pos++];
        if (next === undefined) throw new Broken("unfinished quote");
        if (next === "\n") continue;
        word.text += '$`"\\'.includes(next) ? next : `\\${next}`;
      } else if (char === "$") this.#dollar(word, true);
      else if (char === "`") this.#backticks(word);
      else word.text += char;
    }
  }

  #dollar(word: OpenWord, quoted: boolean): void {
    const next = this.#text[this.#pos];
    if (next === "(") {
      this.#pos++;
      word.text += "$()";
      this.#list(")");
    } else if (next === "{") {
      this.#pos++;
      word.text += "${}";
      this.#braced();
    } else if (next === "'" && !quoted) {
      this.#pos++;
      word.text += "$''";
      this.#ansiQuoted();
    } else if (next === '"' && !quoted) {
      this.#pos++;
      this.#doubleQuoted(word);
    } else if (next !== undefined && (NAME.test(next) || "@*#?-!$".includes(next))) {
      const start = this.#pos++;
      while (NAME.test(next) && NAME.test(this.#text[this.#pos] ?? "")) this.#pos++;
      word.text += `$${this.#text.slice(start, this.#pos)}`;
    } else {
      word.text += "$";
      return;
    }
    word.literal = false;
    this.#note("expands variables or substitutes commands");
  }

  #ansiQuoted(): void {
    while (true) {
      const char = this.#text[this.#pos++];
      if (char === undefined) throw new Broken("unfinished quote");
      if (char === "'") return;
      if (char === "\\") this.#pos++;
    }
  }

  #braced(): void {
    if (++this.#depth > MAX_DEPTH) throw new Broken("nested too deeply");
    const scratch: OpenWord = { text: "", literal: true, plain: 0 };
    while (true) {
      const char = this.#text[this.#pos++];
      if (char === undefined) throw new Broken("unfinished expansion");
      if (char === "}") break;
      if (char === "\\") this.#pos++;
      // Whether a single quote quotes here depends on the quotes around; reading it wrong could hide a command.
      else if (char === "'") throw new Broken("quotes inside an expansion");
      else if (char === '"') this.#doubleQuoted(scratch);
      else if (char === "$") this.#dollar(scratch, true);
      else if (char === "`") this.#backticks(scratch);
    }
    this.#depth--;
  }

  #backticks(word: OpenWord): void {
    word.literal = false;
    word.text += "``";
    this.#note("substitutes commands");
    let body = "";
    while (true) {
      const char = this.#text[this.#pos++];
      if (char === undefined) throw new Broken("unfinished backtick");
      if (char === "`") break;
      if (char === "\\") {
        const next = this.#text[this.#pos++];
        if (next === undefined) throw new Broken("unfinished backtick");
        body += "`\\$".includes(next) ? next : `\\${next}`;
      } else body += char;
    }
    if (++this.#depth > MAX_DEPTH) throw new Broken("nested too deeply");
    const inner = new ShellLexer(body);
    inner.#depth = this.#depth;
    this.#absorb(inner.run());
    this.#depth--;
  }
}

/** Gathers the words of one command after the other. */
class CommandBuilder {
  #script: ShellScript;
  #note: (problem: string) => void;
  #words: ShellWord[] = [];
  #open: OpenWord | null = null;
  #target: "redirection" | "document" | null = null;
  #cases = 0;

  constructor(script: ShellScript, note: (problem: string) => void) {
    this.#script = script;
    this.#note = note;
  }

  get inWord(): boolean {
    return this.#open !== null;
  }

  /** Between `case` and `esac` a closing parenthesis ends a pattern. */
  get inCase(): boolean {
    return this.#cases > 0;
  }

  word(): OpenWord {
    return this.#open ??= { text: "", literal: true, plain: null };
  }

  takeTarget(target: "redirection" | "document"): void {
    this.endWord();
    this.#target = target;
  }

  /** The `2` of `2>` belongs to the redirection. */
  dropDescriptor(): void {
    const open = this.#open;
    if (open !== null && open.plain === null && /^\d+$/.test(open.text)) this.#open = null;
    else this.endWord();
  }

  endWord(): void {
    const open = this.#open;
    if (open === null) return;
    this.#open = null;
    if (this.#target !== null) {
      if (this.#target === "document") this.#script.documents.push(open.text);
      this.#target = null;
      return;
    }
    if (this.#words.length === 0 && this.#isPrefix(open)) return;
    this.#words.push({ text: open.text, literal: open.literal });
  }

  #isPrefix(open: OpenWord): boolean {
    if (ASSIGNMENT.test(open.text.slice(0, open.plain ?? open.text.length))) {
      this.#note("sets variables");
      return true;
    }
    if (open.plain !== null || !RESERVED.has(open.text)) return false;
    this.#note("has a compound statement");
    if (open.text === "case") this.#cases++;
    if (open.text === "esac" && this.#cases > 0) this.#cases--;
    return true;
  }

  end(): void {
    this.endWord();
    if (this.#target !== null) throw new Broken("redirects to nowhere");
    if (this.#words.length > 0) this.#script.commands.push(this.#words);
    this.#words = [];
  }
}
