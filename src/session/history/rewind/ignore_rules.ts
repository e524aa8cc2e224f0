/**
 * Which files git would ignore, by the words of its ignore files; pure. No git is asked: what it is told by a repository
 * that nobody trusts (filters, hooks, programs to run) is never read.
 * @module
 */

/** One ignore file. */
export interface IgnoreSource {
  /** The directory that it holds for, from the top, with a `/` at its end; `""` is the top. */
  base: string;
  /** What it says. */
  text: string;
}

interface Rule {
  pattern: string;
  negated: boolean;
  directoryOnly: boolean;
  /** It names a file in any directory. */
  anywhere: boolean;
  /** How many characters at its beginning have no meaning of their own. */
  plain: number;
}

/** The rules of one file, in its order. */
export interface IgnoreRules {
  /** The directory that they hold for, from the top. */
  readonly base: string;
  /** The rules. */
  readonly rules: readonly Rule[];
}

/** What looking at the rules has cost: comparisons, and steps of those with wildcards. */
export interface IgnoreWork {
  /** So far; without end where one path took too long to be told. */
  units: number;
  /** What it may come to with this path. */
  most?: number;
}

/** What one path may cost, some tenths of a second: nothing else goes on meanwhile. */
const PATH_WORK = 20_000_000;
/** Characters of a pattern: what is longer than any path is none. */
const LONGEST = 4096;

/** Reads one ignore file. `foldCase`: as on a disk that knows no letter case. */
export function readIgnoreRules({ base, text }: IgnoreSource, foldCase = false): IgnoreRules {
  const rules: Rule[] = [];
  for (const line of text.replace(/^\uFEFF/, "").split("\n")) {
    const rule = readRule(line.replace(/\r$/, ""));
    if (rule !== null) rules.push(foldCase ? { ...rule, pattern: fold(rule.pattern) } : rule);
  }
  return { base, rules };
}

function readRule(line: string): Rule | null {
  if (line.startsWith("#")) return null;
  let pattern = withoutTrailingSpaces(line);
  const negated = pattern.startsWith("!");
  if (negated) pattern = pattern.slice(1);
  const directoryOnly = pattern.length > 1 && pattern.endsWith("/");
  if (directoryOnly) pattern = pattern.slice(0, -1);
  if (pattern === "" || pattern.length > LONGEST) return null;
  const anywhere = !pattern.includes("/");
  if (pattern.startsWith("/")) pattern = pattern.slice(1);
  pattern = toBytes(pattern);
  const special = pattern.search(/[*?[\\]/);
  const plain = special < 0 ? pattern.length : special;
  return { pattern, negated, directoryOnly, anywhere, plain };
}

/** Spaces at the end do not count, unless a backslash stands before them. */
function withoutTrailingSpaces(line: string): string {
  let end = 0;
  for (let at = 0; at < line.length; at++) {
    if (line[at] === " ") continue;
    if (line[at] === "\\") at++;
    end = Math.min(at + 1, line.length);
  }
  return line.slice(0, end);
}

/**
 * Whether these rules leave the path out; `null` when they do not say. `path` is from the top, without a `/` at its end.
 * The rules of the nearest directory are asked first: what they say counts.
 */
export function isIgnored(
  sources: readonly IgnoreRules[],
  path: string,
  isDirectory: boolean,
  foldCase = false,
  work: IgnoreWork = { units: 0 },
): boolean | null {
  work.most = work.units + PATH_WORK;
  const whole = toBytes(foldCase ? fold(path) : path);
  const name = whole.slice(whole.lastIndexOf("/") + 1);
  for (let each = sources.length - 1; each >= 0; each--) {
    const { base, rules } = sources[each]!;
    const below = toBytes(foldCase ? fold(base) : base);
    if (!whole.startsWith(below)) continue;
    const from = whole.slice(below.length);
    work.units += rules.length;
    for (let at = rules.length - 1; at >= 0; at--) {
      const rule = rules[at]!;
      if (rule.directoryOnly && !isDirectory) continue;
      if (ruleFits(rule, rule.anywhere ? name : from, work)) return !rule.negated;
    }
  }
  return null;
}

/** Git takes off what has no meaning of its own at the beginning: a `**` behind it stands at the beginning then. */
function ruleFits({ pattern, plain, anywhere }: Rule, text: string, work: IgnoreWork): boolean {
  if (plain === pattern.length) return pattern === text;
  if (anywhere) return matches(pattern, text, false, work);
  return text.startsWith(pattern.slice(0, plain)) &&
    matches(pattern.slice(plain), text.slice(plain), true, work);
}

/** Git compares bytes: one letter may be several of them. */
function toBytes(text: string): string {
  // deno-lint-ignore no-control-regex
  if (/^[\x00-\x7f]*$/.test(text)) return text;
  return String.fromCharCode(...new TextEncoder().encode(text));
}

/** Git folds the letters of ASCII only. */
function fold(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** How a pattern fits: not from here; or not from anywhere further on, up to the next `/` or at all. */
type Fit = "yes" | "no" | "notBeforeSlash" | "never";

/**
 * Whether a pattern fits a whole text; `paths`: `*`, `?` and `[…]` stand for no `/`, and `**` between slashes for any number
 * of directories. What did not fit once is not tried again, so that no pattern takes long.
 */
export function matches(
  pattern: string,
  text: string,
  paths: boolean,
  work: IgnoreWork = { units: 0 },
): boolean {
  const known = new Map<number, Fit>();
  const width = text.length + 1;
  const isSlash = (at: number) =>
    pattern[at] === "/" || (pattern[at] === "\\" && pattern[at + 1] === "/");
  const fits = (p: number, t: number): Fit => {
    const key = p * width + t;
    // A step costs some ten times what comparing a name does.
    work.units += 10;
    if (work.units > (work.most ?? Infinity)) work.units = Infinity;
    if (work.units === Infinity) return "never";
    const fit = known.get(key) ?? step(p, t);
    known.set(key, fit);
    return fit;
  };
  const step = (p: number, t: number): Fit => {
    for (; p < pattern.length; p++, t++) {
      work.units++;
      const letter = pattern[p]!;
      if (letter === "*") return star(p, t);
      const now = text[t];
      if (now === undefined) return "never";
      if (letter === "?") {
        if (paths && now === "/") return "no";
      } else if (letter === "[") {
        const end = classFits(pattern, p, now, work);
        if (end === "open") return "never";
        if (end === null || (paths && now === "/")) return "no";
        p = end;
      } else if ((letter === "\\" ? pattern[++p] : letter) !== now) return "no";
    }
    return t === text.length ? "yes" : "no";
  };
  const star = (p: number, t: number): Fit => {
    let after = p;
    while (pattern[after] === "*") after++;
    const whole = after - p > 1 && (p === 0 || pattern[p - 1] === "/") &&
      (after === pattern.length || isSlash(after));
    const over = !paths || whole;
    // `**/` stands for no directory as well.
    if (paths && whole && pattern[after] === "/" && fits(after + 1, t) === "yes") return "yes";
    if (after === pattern.length) {
      return over || !text.includes("/", t) ? "yes" : "notBeforeSlash";
    }
    for (let at = t; at < text.length; at++) {
      const fit = fits(after, at);
      if (fit !== "no" && (!over || fit !== "notBeforeSlash")) return fit;
      if (!over && text[at] === "/") return "notBeforeSlash";
    }
    return "never";
  };
  return fits(0, 0) === "yes";
}

const NAMED: Readonly<Record<string, RegExp>> = {
  alnum: /[A-Za-z0-9]/,
  alpha: /[A-Za-z]/,
  blank: /[ \t]/,
  // deno-lint-ignore no-control-regex
  cntrl: /[\x00-\x1f\x7f]/,
  digit: /[0-9]/,
  graph: /[\x21-\x7e]/,
  lower: /[a-z]/,
  print: /[\x20-\x7e]/,
  punct: /[!-/:-@[-`{-~]/,
  space: /[ \t\n\v\f\r]/,
  upper: /[A-Z]/,
  xdigit: /[0-9A-Fa-f]/,
};

/** Where the class that begins at `from` ends, when it fits; `null` when it does not, `open` when it has no end. */
function classFits(
  pattern: string,
  from: number,
  letter: string,
  work: IgnoreWork,
): number | "open" | null {
  let at = from + 1;
  const negated = pattern[at] === "!" || pattern[at] === "^";
  if (negated) at++;
  let fits = false;
  let before = "";
  for (let first = true;; first = false) {
    work.units++;
    let now = pattern[at];
    if (now === undefined) return "open";
    if (now === "]" && !first) break;
    if (now === "[" && pattern[at + 1] === ":") {
      const end = pattern.indexOf("]", at + 2);
      if (end < 0) return "open";
      if (pattern[end - 1] === ":" && end > at + 2) {
        const named = NAMED[pattern.slice(at + 2, end - 1)];
        if (named === undefined) return "open";
        if (named.test(letter)) fits = true;
        at = end + 1;
        before = "";
        continue;
      }
    }
    const last = pattern[at + 1];
    if (now === "-" && before !== "" && last !== undefined && last !== "]") {
      at += last === "\\" ? 2 : 1;
      now = pattern[at];
      if (now === undefined) return "open";
      if (letter >= before && letter <= now) fits = true;
      before = "";
      at++;
      continue;
    }
    if (now === "\\") now = pattern[++at];
    if (now === undefined) return "open";
    if (letter === now) fits = true;
    before = now;
    at++;
  }
  return fits === negated ? null : at;
}
