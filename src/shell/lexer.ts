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
  type OpenWord,
  type ShellBudget,
  type ShellScript,
} from "./command_builder.ts";

/** A fresh budget for one command. */
export function shellBudget(): ShellBudget {
  return { commands: 1000, characters: 4 * MAX_LENGTH };
}

/** Longest script that is looked at, in characters. */
const MAX_LENGTH = 65_536;
const MAX_DEPTH = 40;
const NAME = /[A-Za-z0-9_]/;

interface HereDocument {
  delimiter: string;
  stripTabs: boolean;
  expands: boolean;
}

/** Takes `text` apart. Never throws. `budget` is shared by all texts of one command. */
export function lexShell(text: string, budget: ShellBudget = shellBudget()): ShellScript {
  return new ShellLexer(text, budget).run();
}

class ShellLexer {
  #text: string;
  #pos = 0;
  #depth = 0;
  /** Between `((` and `))`, where quotes mean something else in every shell. */
  #arithmetic = false;
  #budget: ShellBudget;
  #script: ShellScript = {
    commands: [],
    documents: [],
    values: [],
    problem: null,
    broken: null,
    quotesCode: false,
    computes: false,
  };
  #hereDocuments: HereDocument[] = [];

  constructor(text: string, budget: ShellBudget) {
    this.#text = text;
    this.#budget = budget;
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

  /** Counts one more command, substitution or document. */
  #spend(): void {
    if (--this.#budget.commands < 0) fail("holds too many commands");
  }

  /** Marks text that something else may take for code. */
  #quoted(text: string): void {
    if (/[$`]/.test(text)) this.#script.quotesCode = true;
  }

  /** Reads the commands of a substitution. */
  #substitution(): void {
    this.#spend();
    const outer = this.#arithmetic;
    this.#arithmetic = this.#text[this.#pos] === "(";
    if (this.#arithmetic) this.#script.computes = true;
    this.#list(")");
    this.#arithmetic = outer;
  }

  /** Reads commands up to `end`, which is consumed. */
  #list(end: ")" | null): void {
    if (++this.#depth > MAX_DEPTH) fail("nested too deeply");
    const documents = this.#hereDocuments.length;
    const command = new CommandBuilder(
      this.#script,
      (problem) => this.#note(problem),
      () => this.#spend(),
    );
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
        if (this.#arithmetic || command.inTest) fail("has a # that may be no comment");
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
        // After a name of files zsh runs the code in it, as in `*(e:'rm x':)`; others take it for a pattern, or for nothing.
        if (next !== ")" && command.isName && !this.#arithmetic && !command.inTest) {
          fail("has a parenthesis in a word");
        }
        command.end();
        this.#pos++;
        this.#note("has a compound statement");
        const outer = this.#arithmetic;
        if (next === "(") {
          this.#arithmetic = true;
          this.#script.computes = true;
        }
        this.#list(")");
        this.#arithmetic = outer;
      } else if (char === ")") {
        command.end();
        this.#pos++;
        if (command.inCase) continue;
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
        this.#spend();
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
      this.#spend();
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
    const inner = new ShellLexer(text, this.#budget);
    inner.#depth = this.#depth;
    this.#absorb(inner.run(() => inner.#document()));
  }

  #document(): void {
    const scratch: OpenWord = { text: "", literal: true, plain: 0 };
    while (this.#pos < this.#text.length) {
      const char = this.#text[this.#pos++] as string;
      if (char === "\\") this.#quoted(this.#text[this.#pos++] ?? "");
      else if (char === "$") this.#dollar(scratch, true);
      else if (char === "`") this.#backticks(scratch);
    }
  }

  #absorb(script: ShellScript): void {
    this.#script.commands.push(...script.commands);
    this.#script.documents.push(...script.documents);
    this.#script.values.push(...script.values);
    this.#script.quotesCode ||= script.quotesCode;
    this.#script.computes ||= script.computes;
    if (script.problem !== null) this.#note(script.problem);
    if (script.broken !== null) fail(script.broken);
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
      this.#quoted(next);
    } else if (char === "'") {
      word.plain ??= word.text.length;
      const close = this.#text.indexOf("'", this.#pos);
      if (close === -1) fail("unfinished quote");
      const quoted = this.#text.slice(this.#pos, close);
      word.text += quoted;
      this.#quoted(quoted);
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
        this.#quoted(next);
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
      this.#script.quotesCode = true;
      return;
    }
    word.literal = false;
    this.#note("expands variables or substitutes commands");
  }

  #ansiQuoted(): void {
    // Its escapes can spell anything.
    this.#script.quotesCode = true;
    while (true) {
      const char = this.#text[this.#pos++];
      if (char === undefined) fail("unfinished quote");
      if (char === "'") return;
      if (char === "\\") this.#pos++;
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
      if (char === "\\") this.#quoted(this.#text[this.#pos++] ?? "");
      // Whether a single quote quotes here depends on the quotes around; reading it wrong could hide a command.
      else if (char === "'") fail("quotes inside an expansion");
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
    this.#spend();
    let body = "";
    while (true) {
      const char = this.#text[this.#pos++];
      if (char === undefined) fail("unfinished backtick");
      if (char === "`") break;
      if (char === "\\") {
        const next = this.#text[this.#pos++];
        if (next === undefined) fail("unfinished backtick");
        // Between double quotes it is a quote, elsewhere a letter.
        if (next === '"') fail("escapes a quote in backticks");
        body += "`\\$".includes(next) ? next : `\\${next}`;
      } else body += char;
    }
    if (++this.#depth > MAX_DEPTH) fail("nested too deeply");
    const inner = new ShellLexer(body, this.#budget);
    inner.#depth = this.#depth;
    this.#absorb(inner.run());
    this.#depth--;
  }
}
