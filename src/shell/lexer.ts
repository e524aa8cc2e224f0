/**
 * Takes a POSIX shell script apart into words, without running anything.
 *
 * It errs to one side only: what it does not understand makes the script "not simple" or "broken", never simpler.
 * @module
 */
import {
  Broken,
  CommandBuilder,
  fail,
  type HereDocument,
  MAX_LENGTH,
  MAYBE_CODE,
  type OpenWord,
  type ShellBudget,
  shellBudget,
  type ShellScript,
  spend,
} from "./command_builder.ts";

const MAX_DEPTH = 40;
const NAME = /[A-Za-z0-9_]/;

/** Takes `text` apart. Never throws. `budget` is shared by all texts of one command. */
export function lexShell(text: string, budget: ShellBudget = shellBudget()): ShellScript {
  return new ShellLexer(text, budget, {
    commands: [],
    documents: [],
    values: [],
    problem: null,
    compound: false,
    broken: null,
    quotes: 0,
    computes: false,
  }).run();
}

class ShellLexer {
  #text: string;
  #pos = 0;
  #depth = 0;
  /** Between `((` and `))`, where quotes mean something else in every shell. */
  #arithmetic = false;
  #budget: ShellBudget;
  #script: ShellScript;
  #hereDocuments: HereDocument[] = [];

  constructor(text: string, budget: ShellBudget, script: ShellScript) {
    this.#text = text;
    this.#budget = budget;
    this.#script = script;
  }

  run(read: () => void = () => this.#list(null)): ShellScript {
    try {
      if (this.#text.length > MAX_LENGTH) fail("too long");
      this.#budget.characters -= this.#text.length;
      if (this.#budget.characters < 0) fail("holds too many scripts in scripts");
      if (this.#text.includes("\0")) fail("holds a NUL character");
      read();
      if (this.#hereDocuments.length > 0) fail("unfinished here-document");
    } catch (error) {
      this.#script.broken = error instanceof Broken ? error.message : "can't be parsed";
    }
    return this.#script;
  }

  #note(problem: string): void {
    this.#script.problem ??= problem;
  }

  /** Marks text that something else may take for code; of a word's parts that is known at its end. */
  #quoted(text: string, whole = true): void {
    if (whole && MAYBE_CODE.test(text)) this.#script.quotes = 2;
    else if (/[$`]/.test(text)) this.#script.quotes ||= 1;
  }

  /** Reads the commands of a substitution. */
  #substitution(): void {
    spend(this.#budget);
    const outer = this.#arithmetic;
    this.#arithmetic = this.#text[this.#pos] === "(";
    if (this.#arithmetic) this.#script.computes = true;
    this.#list(")");
    this.#arithmetic = outer;
  }

  /** Reads commands up to `end`, which is consumed. */
  #list(end: ")" | null, isList = false): void {
    if (++this.#depth > MAX_DEPTH) fail("nested too deeply");
    const documents = this.#hereDocuments.length;
    const command = new CommandBuilder(this.#script, this.#budget);
    if (isList) command.keyword = "=";
    while (true) {
      const char = this.#text[this.#pos];
      if (char === undefined) {
        command.end();
        if (end !== null) fail("unfinished parenthesis");
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
        // Shells join the lines before they look for operators.
        if (/[<>|&;($]/.test(this.#text[this.#pos - 1] ?? "")) {
          fail("continues an operator on another line");
        }
        this.#pos += 2;
      } else if (char === "#" && !command.inWord) {
        if (this.#arithmetic || command.keyword === "[[") fail("has a # that may be no comment");
        const newline = this.#text.indexOf("\n", this.#pos);
        this.#pos = newline === -1 ? this.#text.length : newline;
      } else if (char === ";") {
        command.end();
        this.#pos++;
        if (next === ";" || next === "&") {
          command.compound();
          if (command.inCase) command.keyword = "case";
        }
      } else if (char === "&") {
        this.#ampersand(command, next);
      } else if (char === "|") {
        command.end();
        this.#pos += next === "|" || next === "&" ? 2 : 1;
        if (next === "&") this.#note("redirects");
      } else if (char === "(") {
        // After a name of files zsh runs the code in it, as in `*(e:'rm x':)`; others take it for a pattern, or for nothing.
        if (next !== ")" && command.isName && !this.#arithmetic && command.keyword !== "[[") {
          fail("has a parenthesis in a word");
        }
        const { opensList } = command;
        command.end();
        this.#pos++;
        command.compound();
        if (command.keyword === "case") continue;
        const outer = this.#arithmetic;
        if (next === "(") {
          this.#arithmetic = true;
          this.#script.computes = true;
        }
        this.#list(")", opensList || outer || command.keyword === "[[");
        this.#arithmetic = outer;
        // Commands in two pairs of parentheses; those of arithmetic are closed at once.
        if (outer && !isList && this.#text[this.#pos] !== ")") fail("may be no arithmetic");
      } else if (char === ")") {
        command.end();
        this.#pos++;
        if (command.inCase) {
          command.keyword = null;
          continue;
        }
        if (this.#hereDocuments.length > documents) {
          fail("has a here-document that begins after its parenthesis");
        }
        if (end === ")") break;
        fail("has a parenthesis too many");
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
      this.#substitution();
      return;
    }
    command.dropDescriptor(char === "<" && next === "<");
    if (char === "<" && next === "<") {
      if (this.#text[this.#pos + 2] === "<") {
        this.#pos += 3;
        spend(this.#budget);
        command.takeTarget("document");
        return;
      }
      const stripTabs = this.#text[this.#pos + 2] === "-";
      this.#pos += stripTabs ? 3 : 2;
      this.#hereDocuments.push({ ...this.#delimiter(), stripTabs });
      return;
    }
    this.#pos += next === ">" || next === "&" || next === "|" ? 2 : 1;
    command.takeTarget(next === "&" ? "descriptor" : "redirection");
  }

  #delimiter(): { delimiter: string; expands: boolean } {
    while (this.#text[this.#pos] === " " || this.#text[this.#pos] === "\t") this.#pos++;
    let delimiter = "";
    let expands = true;
    while (this.#pos < this.#text.length) {
      const char = this.#text[this.#pos] as string;
      if (" \t\n;&|<>()".includes(char)) break;
      if (char === "$" || char === "`") fail("here-document with an odd delimiter");
      this.#pos++;
      if (char === "'" || char === '"') {
        expands = false;
        const close = this.#text.indexOf(char, this.#pos);
        if (close === -1) fail("unfinished quote");
        const quoted = this.#text.slice(this.#pos, close);
        if (char === '"' && /[\\$`]/.test(quoted)) fail("here-document with an odd delimiter");
        delimiter += quoted;
        this.#pos = close + 1;
      } else if (char === "\\") {
        if (this.#text[this.#pos] === "\n") fail("here-document with an odd delimiter");
        expands = false;
        delimiter += this.#text[this.#pos++] ?? "";
      } else delimiter += char;
    }
    if (delimiter === "") fail("here-document without a delimiter");
    return { delimiter, expands };
  }

  #readHereDocuments(): void {
    for (const document of this.#hereDocuments.splice(0)) {
      spend(this.#budget);
      const lines: string[] = [];
      while (true) {
        if (this.#pos >= this.#text.length) fail("unfinished here-document");
        const newline = this.#text.indexOf("\n", this.#pos);
        const stop = newline === -1 ? this.#text.length : newline;
        const line = this.#text.slice(this.#pos, stop);
        this.#pos = newline === -1 ? stop : stop + 1;
        if ((document.stripTabs ? line.replace(/^\t+/, "") : line) === document.delimiter) break;
        // The next line belongs to this one, and may make it the delimiter.
        if (document.expands && line.endsWith("\\")) fail("continues a line of a here-document");
        lines.push(line);
      }
      const body = lines.map((line) => `${line}\n`).join("");
      this.#script.documents.push(body);
      // What a here-document expands runs before the command that reads it.
      if (!document.expands) this.#quoted(body);
      else if (/[$`]/.test(body)) this.#expandText(body);
    }
  }

  /** Collects the commands of the substitutions in a text that is otherwise data. */
  #expandText(text: string): void {
    this.#within(text, (inner) => inner.#document());
  }

  /** Reads a text by itself, for the same script. */
  #within(text: string, read?: (inner: ShellLexer) => void): void {
    const inner = new ShellLexer(text, this.#budget, this.#script);
    inner.#depth = this.#depth;
    const { broken } = inner.run(read && (() => read(inner)));
    if (broken !== null) fail(broken);
  }

  #document(): void {
    const scratch: OpenWord = { text: "", literal: true, plain: 0 };
    while (this.#pos < this.#text.length) {
      const char = this.#text[this.#pos++] as string;
      if (char === "\\") this.#quoted(`${this.#text[this.#pos++]}(`);
      else if (char === "$") this.#dollar(scratch, true);
      else if (char === "`") this.#backticks(scratch);
    }
  }

  #wordPart(word: OpenWord, char: string): void {
    this.#pos++;
    // Whether quotes quote here differs between the shells; reading it wrong could hide a command.
    if (this.#arithmetic && (char === "\\" || char === "'" || char === '"')) {
      fail("quotes inside arithmetic");
    }
    if (char === "\\") {
      const next = this.#text[this.#pos];
      if (next === undefined) fail("ends in a backslash");
      this.#pos++;
      word.plain ??= word.text.length;
      word.text += next;
      this.#quoted(next, false);
    } else if (char === "'") {
      word.plain ??= word.text.length;
      const close = this.#text.indexOf("'", this.#pos);
      if (close === -1) fail("unfinished quote");
      const quoted = this.#text.slice(this.#pos, close);
      word.text += quoted;
      this.#quoted(quoted, false);
      this.#pos = close + 1;
    } else if (char === '"') {
      word.plain ??= word.text.length;
      this.#doubleQuoted(word);
    } else if (char === "$") {
      word.plain ??= word.text.length;
      this.#dollar(word, false);
    } else if (char === "`") {
      word.plain ??= word.text.length;
      this.#backticks(word, false);
    } else {
      const first = word.text === "" && word.plain === null;
      word.text += char;
      if (char === "*" || char === "?" || char === "~") word.literal = false;
      else if (first && char === "=") word.literal = false;
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
      if (char === undefined) fail("unfinished quote");
      if (char === '"') return;
      if (char === "\\") {
        const next = this.#text[this.#pos++];
        if (next === undefined) fail("unfinished quote");
        if (next === "\n") continue;
        this.#quoted(next, false);
        word.text += '$`"\\'.includes(next) ? next : `\\${next}`;
      } else if (char === "$") this.#dollar(word, true);
      else if (char === "`") this.#backticks(word, true);
      else word.text += char;
    }
  }

  #dollar(word: OpenWord, quoted: boolean): void {
    const next = this.#text[this.#pos];
    if (next === "(") {
      this.#pos++;
      word.text += "$()";
      this.#substitution();
    } else if (next === "[") {
      fail("uses the old arithmetic $[ … ]");
    } else if (next === "\\" && this.#text[this.#pos + 1] === "\n") {
      fail("continues an expansion on another line");
    } else if (next === "{") {
      this.#pos++;
      word.text += "${}";
      this.#braced();
    } else if (this.#arithmetic && (next === "'" || next === '"')) {
      fail("quotes inside arithmetic");
    } else if (next === "'" && !quoted) {
      this.#pos++;
      word.text += "$''";
      this.#ansiQuoted();
    } else if (next === '"' && !quoted) {
      this.#pos++;
      this.#doubleQuoted(word);
    } else if (next !== undefined && (NAME.test(next) || "@*#?-!$=~^+".includes(next))) {
      const start = this.#pos++;
      while (NAME.test(next) && NAME.test(this.#text[this.#pos] ?? "")) this.#pos++;
      word.text += `$${this.#text.slice(start, this.#pos)}`;
      // In zsh `$x[1]` is a subscript, also on the next line, and `$=x` is filled in.
      const after = next + this.#text.slice(this.#pos, this.#pos + 2);
      this.#script.computes ||= /^[=~^+]|^.(?:\[|\\\n)/.test(after);
    } else {
      word.text += "$";
      this.#quoted("$", false);
      return;
    }
    word.literal = false;
    this.#note("expands variables or substitutes commands");
  }

  #ansiQuoted(): void {
    while (true) {
      const char = this.#text[this.#pos++];
      if (char === undefined) fail("unfinished quote");
      if (char === "'") return;
      // Others can spell anything.
      const codes = char === "\\" ? /[^nrt'"\\]/.test(this.#text[this.#pos++]!) : /[$`]/.test(char);
      if (codes) this.#script.quotes = 2;
    }
  }

  #braced(): void {
    if (++this.#depth > MAX_DEPTH) fail("nested too deeply");
    if (!/^\w+\}/.test(this.#text.slice(this.#pos, this.#pos + 100))) this.#script.computes = true;
    const scratch: OpenWord = { text: "", literal: true, plain: 0 };
    while (true) {
      const char = this.#text[this.#pos++];
      if (char === undefined) fail("unfinished expansion");
      if (char === "}") break;
      if (char === "\\") this.#quoted(`${this.#text[this.#pos++]}(`);
      // Whether a single quote quotes here depends on the quotes around; reading it wrong could hide a command.
      else if (char === "'") fail("quotes inside an expansion");
      else if (char === '"') this.#doubleQuoted(scratch);
      else if (char === "$") this.#dollar(scratch, true);
      else if (char === "`") this.#backticks(scratch);
    }
    this.#depth--;
  }

  #backticks(word: OpenWord, quoted?: boolean): void {
    word.literal = false;
    word.text += "``";
    this.#note("substitutes commands");
    spend(this.#budget);
    let body = "";
    while (true) {
      const char = this.#text[this.#pos++];
      if (char === undefined) fail("unfinished backtick");
      if (char === "`") break;
      if (char === "\\") {
        const next = this.#text[this.#pos++];
        if (next === undefined) fail("unfinished backtick");
        // Between double quotes it is a quote, elsewhere a letter.
        if (next === '"' && quoted === undefined) fail("escapes a quote in backticks");
        body += "`\\$".includes(next) || (next === '"' && quoted) ? next : `\\${next}`;
      } else body += char;
    }
    this.#within(body);
  }
}
