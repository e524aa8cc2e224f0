/**
 * Regular expressions of schemas, matched in time that grows with the text alone: where a schema or a text is somebody
 * else's, the runtime's own engine could keep the script busy for hours.
 *
 * All ways through the expression are followed at once, character by character (Thompson 1968). Whether a text matches
 * is all that is told, so lazy quantifiers and groups mean nothing; back references can't be followed in this way.
 * @module
 */

/** A step: a character, a choice, a place in the text (`null`: there is none), or the end. */
type Step =
  | { readonly char: (char: string) => boolean }
  | { readonly or: number; to: number }
  | { readonly at: Place | null }
  | null;

/** An edge of a line or word, or what is before or behind. */
type Place =
  | { readonly edge: string }
  | { readonly look: Program; readonly not: boolean };

type Node =
  | { readonly all: readonly Node[] }
  | { readonly any: readonly Node[] }
  | { readonly node: Node; readonly min: number; readonly max: number }
  | { readonly char: (char: string) => boolean }
  | Place;

/** The steps of an expression, the last of them its end. */
interface Program {
  readonly steps: readonly Step[];
  /** Whether it is read from the text's end to its beginning. */
  readonly backwards: boolean;
  /** The round in which each step was taken last. */
  readonly seen: Int32Array;
  round: number;
}

/** Steps of one expression at most; `a{500}{500}` would have more. */
const MAX_STEPS = 10_000;

const ATOM =
  /\\(?:u\{[^}]*\}|u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w|u\w{4}|x\w\w|c\w|[pP]\{[^}]*\}|[^])|\[(?:\\[^]|[^\]\\])*\]|[^]/uy;
const QUANTIFIER = /(?:([*+?])|\{(\d+)(,?)(\d*)\})\??/y;
const LOOK = /\(\?(<?)([=!])/y;
const GROUP = /\((?:\?(?::|<[^>]*>))?/y;

/** A regular expression. */
export class Pattern {
  readonly #program: Program;

  private constructor(program: Program) {
    this.#program = program;
  }

  /** Reads an expression. Throws a `RangeError` that says what can't be matched in bounded time. */
  static read(source: string): Pattern {
    // A sign behind a backslash is that sign, also where this language wants no backslash.
    const known = source.replace(
      /\\([ -/:-@[-`{-~])/g,
      (_, sign: string) => `\\x${sign.charCodeAt(0).toString(16)}`,
    );
    try {
      new RegExp(known, "u");
    } catch {
      throw new RangeError("what is no RegExp");
    }
    return new Pattern(new Reader(known).program(false));
  }

  /** Whether some part of the text matches. `spend` is told of the work, and may throw. */
  test(text: string, spend: (steps: number) => void): boolean {
    // A text that is found to match at once has to be taken apart all the same.
    spend(text.length >> 4);
    const given = { text: [...text], spend, looks: new Map<Program, Set<number>>() };
    return ends(this.#program, given, true).length > 0;
  }
}

/** Reads what the runtime has found to be an expression. */
class Reader {
  readonly #source: string;
  readonly #chars = new Map<string, (char: string) => boolean>();
  #at = 0;
  /** Steps that there may still be. */
  #left = MAX_STEPS;

  constructor(source: string) {
    this.#source = source;
  }

  /** What is read up to the end, or the end of the group. */
  program(backwards: boolean): Program {
    const node = this.#alternatives();
    const steps = compile(node, backwards, () => {
      if (--this.#left < 0) throw new RangeError("so many repetitions");
    });
    return { steps, backwards, seen: new Int32Array(steps.length), round: 0 };
  }

  #alternatives(): Node {
    const any = [this.#sequence()];
    while (this.#take("|")) any.push(this.#sequence());
    return any.length === 1 ? any[0]! : { any };
  }

  #sequence(): Node {
    const all: Node[] = [];
    while (this.#at < this.#source.length && !"|)".includes(this.#source[this.#at]!)) {
      all.push(this.#quantified(this.#atom()));
    }
    return { all };
  }

  #quantified(node: Node): Node {
    const found = this.#match(QUANTIFIER);
    if (found === null) return node;
    const [, sign, least = "", comma, most = ""] = found;
    if (sign !== undefined) {
      return { node, min: sign === "+" ? 1 : 0, max: sign === "?" ? 1 : Infinity };
    }
    const max = comma === "" ? Number(least) : most === "" ? Infinity : Number(most);
    return { node, min: Number(least), max };
  }

  #atom(): Node {
    const look = this.#match(LOOK);
    if (look !== null) {
      // An expression that looks ahead is read from behind: where it ends then is where it begins.
      const node = { look: this.program(look[1] !== "<"), not: look[2] === "!" };
      this.#at++;
      return node;
    }
    if (this.#source[this.#at] === "(") {
      this.#match(GROUP);
      if (this.#source[this.#at] === "?") throw new RangeError("flags inside of a group");
      const node = this.#alternatives();
      this.#at++;
      return node;
    }
    const [atom] = this.#match(ATOM)!;
    if (/^\\[1-9k]/.test(atom)) throw new RangeError("a back reference");
    if (/^(?:[$^]|\\[bB])$/.test(atom)) return { edge: atom };
    return { char: this.#char(atom) };
  }

  /** The runtime's own engine says which single characters are meant. */
  #char(atom: string): (char: string) => boolean {
    let char = this.#chars.get(atom);
    if (char === undefined) {
      const one = new RegExp(`^${atom}$`, "u");
      char = (given) => one.test(given);
      this.#chars.set(atom, char);
    }
    return char;
  }

  #take(text: string): boolean {
    const found = this.#source.startsWith(text, this.#at);
    if (found) this.#at += text.length;
    return found;
  }

  #match(expression: RegExp): RegExpExecArray | null {
    expression.lastIndex = this.#at;
    const found = expression.exec(this.#source);
    if (found !== null) this.#at = expression.lastIndex;
    return found;
  }
}

/** The steps of an expression; `backwards`: those from its end to its beginning. `count` is told of each, and may throw. */
function compile(root: Node, backwards: boolean, count: () => void): Step[] {
  const steps: Step[] = [];
  const add = (step: Step) => {
    count();
    steps.push(step);
  };
  const choice = () => {
    const step = { or: steps.length + 1, to: 0 };
    add(step);
    return step;
  };
  const emit = (node: Node): void => {
    if ("char" in node) add(node);
    else if ("all" in node) {
      for (const each of backwards ? node.all.toReversed() : node.all) emit(each);
    } else if ("any" in node) {
      const out: { to: number; or: number }[] = [];
      for (const each of node.any) {
        const next = choice();
        emit(each);
        const over = choice();
        out.push(over);
        next.to = steps.length;
      }
      // Whoever comes here has found no alternative.
      add({ at: null });
      for (const over of out) over.to = over.or = steps.length;
    } else if ("node" in node) {
      const before = steps.length;
      for (let times = 0; times < node.min; times++) {
        emit(node.node);
        if (steps.length === before) return;
      }
      const first = steps.length;
      const skips: { to: number }[] = [];
      const more = node.max === Infinity ? 1 : node.max - node.min;
      for (let times = 0; times < more; times++) {
        skips.push(choice());
        emit(node.node);
      }
      if (node.max === Infinity) {
        const again = choice();
        again.or = again.to = first;
      }
      for (const skip of skips) skip.to = steps.length;
    } else add({ at: node });
  };
  emit(root);
  add(null);
  return steps;
}

/** What an expression is held against. */
interface Given {
  readonly text: readonly string[];
  readonly spend: (steps: number) => void;
  /** Where what is looked for was found. */
  readonly looks: Map<Program, Set<number>>;
}

/** Where parts of the text that match end, when they are read in this direction; with `any`, one of them is enough. */
function ends(program: Program, given: Given, any: boolean): number[] {
  const { steps, backwards, seen } = program;
  const { text, spend } = given;
  const found: number[] = [];
  let now: number[] = [];
  for (let count = 0; count <= text.length; count++) {
    const position = backwards ? text.length - count : count;
    const round = ++program.round;
    // A part may begin everywhere.
    now.push(0);
    const next: number[] = [];
    let work = 0;
    for (let open = now.pop(); open !== undefined; open = now.pop(), work++) {
      if (seen[open] === round) continue;
      seen[open] = round;
      const step = steps[open]!;
      if (step === null) {
        found.push(position);
        if (any) break;
      } else if ("char" in step) {
        const char = text[backwards ? position - 1 : position];
        if (char !== undefined && step.char(char)) next.push(open + 1);
      } else if ("at" in step) {
        if (step.at !== null && isAt(step.at, position, given)) now.push(open + 1);
      } else now.push(step.to, step.or);
    }
    spend(work);
    if (any && found.length > 0) break;
    now = next;
  }
  return found;
}

function isAt(place: Place, position: number, given: Given): boolean {
  const { text, looks } = given;
  if ("look" in place) {
    let found = looks.get(place.look);
    if (found === undefined) {
      looks.set(place.look, found = new Set(ends(place.look, given, false)));
    }
    return found.has(position) !== place.not;
  }
  if (place.edge === "^") return position === 0;
  if (place.edge === "$") return position === text.length;
  const isWord = (at: number) => /^\w$/.test(text[at] ?? "");
  return (isWord(position - 1) !== isWord(position)) === (place.edge === "\\b");
}
