/**
 * Regular expressions of schemas, matched in time that grows with the text alone: where a schema or a text is somebody
 * else's, the runtime's own engine could keep the script busy for hours.
 *
 * All ways through the expression are followed at once, character by character (Thompson 1968). Whether a text matches
 * is all that is told, so lazy quantifiers and groups mean nothing; back references can't be followed in this way.
 * @module
 */

/** A step: a character, a choice, a place in the text, or the end. */
type Step =
  | { readonly char: (char: string) => boolean }
  | { readonly or: number; to: number }
  | { readonly at: (position: number) => boolean }
  | null;

type Node =
  | { readonly all: readonly Node[] }
  | { readonly any: readonly Node[] }
  | { readonly node: Node; readonly min: number; readonly max: number }
  | { readonly char: (char: string) => boolean }
  | { readonly edge: string }
  | { readonly look: Node; readonly back: boolean; readonly not: boolean };

/** Steps of one expression at most; `a{500}{500}` would have more. */
const MAX_STEPS = 10_000;

const ATOM =
  /\\(?:u\{[^}]*\}|u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w|u\w{4}|x\w\w|c\w|[pP]\{[^}]*\}|[^])|\[(?:\\[^]|[^\]\\])*\]|[^]/uy;
const QUANTIFIER = /(?:([*+?])|\{(\d+)(,?)(\d*)\})\??/y;
const LOOK = /\(\?(<?)([=!])/y;
const GROUP = /\((?:\?(?::|<[^>]*>))?/y;

/** A regular expression. */
export class Pattern {
  readonly #node: Node;

  private constructor(node: Node) {
    this.#node = node;
  }

  /** Reads an expression; `null`: not one of this language. Throws a `RangeError` that says what can't be matched in bounded time. */
  static read(source: string): Pattern | null {
    try {
      new RegExp(source, "u");
    } catch {
      return null;
    }
    const node = new Reader(source).alternatives();
    compile(node, false, ANYWHERE);
    return new Pattern(node);
  }

  /** Whether some part of the text matches. `spend` is told of the work, and may throw. */
  test(text: string, spend: (steps: number) => void): boolean {
    return ends(this.#node, [...text], false, spend, true).length > 0;
  }
}

/** For an expression that is only looked at. */
const ANYWHERE = () => () => true;

/** Reads what the runtime has found to be an expression. */
class Reader {
  readonly #source: string;
  readonly #chars = new Map<string, (char: string) => boolean>();
  #at = 0;

  constructor(source: string) {
    this.#source = source;
  }

  alternatives(): Node {
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
      const node = { look: this.#rest(), back: look[1] === "<", not: look[2] === "!" };
      compile(node.look, !node.back, ANYWHERE);
      return node;
    }
    if (this.#source[this.#at] === "(") {
      this.#match(GROUP);
      if (this.#source[this.#at] === "?") throw new RangeError("flags inside of a group");
      return this.#rest();
    }
    const [atom] = this.#match(ATOM)!;
    if (/^\\[1-9k]/.test(atom)) throw new RangeError("a back reference");
    if (/^(?:[$^]|\\[bB])$/.test(atom)) return { edge: atom };
    return { char: this.#char(atom) };
  }

  /** What a group holds, up to its end. */
  #rest(): Node {
    const node = this.alternatives();
    this.#at++;
    return node;
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

/** The steps of an expression, the last of them its end; `backwards`: those from its end to its beginning. */
function compile(
  root: Node,
  backwards: boolean,
  place: (node: Node) => (position: number) => boolean,
): Step[] {
  const steps: Step[] = [];
  const add = (step: Step) => {
    if (steps.push(step) > MAX_STEPS) throw new RangeError("so many repetitions");
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
      add({ at: () => false });
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
    } else add({ at: place(node) });
  };
  emit(root);
  add(null);
  return steps;
}

/**
 * Where parts of the text that match end, when they are read in this direction; with `any`, one of them is enough.
 */
function ends(
  root: Node,
  text: readonly string[],
  backwards: boolean,
  spend: (steps: number) => void,
  any: boolean,
): number[] {
  const word = (at: number) => /^\w$/.test(text[at] ?? "");
  const looks = new Map<Node, Set<number>>();
  const steps = compile(root, backwards, (node) => {
    if ("look" in node) {
      // An expression that looks ahead is read from behind: where it ends then is where it begins.
      const found = looks.get(node) ?? new Set(ends(node.look, text, !node.back, spend, false));
      looks.set(node, found);
      return (position) => found.has(position) !== node.not;
    }
    const { edge } = node as { edge: string };
    if (edge === "^") return (position) => position === 0;
    if (edge === "$") return (position) => position === text.length;
    return (position) => (word(position - 1) !== word(position)) === (edge === "\\b");
  });
  const found: number[] = [];
  const seen = new Int32Array(steps.length).fill(-1);
  let now: number[] = [];
  for (let count = 0; count <= text.length; count++) {
    const position = backwards ? text.length - count : count;
    // A part may begin everywhere.
    now.push(0);
    const next: number[] = [];
    let work = 0;
    for (let open = now.pop(); open !== undefined; open = now.pop(), work++) {
      if (seen[open] === count) continue;
      seen[open] = count;
      const step = steps[open]!;
      if (step === null) {
        found.push(position);
        if (any) return found;
      } else if ("char" in step) {
        const char = text[backwards ? position - 1 : position];
        if (char !== undefined && step.char(char)) next.push(open + 1);
      } else if ("at" in step) {
        if (step.at(position)) now.push(open + 1);
      } else now.push(step.to, step.or);
    }
    spend(work);
    now = next;
  }
  return found;
}
