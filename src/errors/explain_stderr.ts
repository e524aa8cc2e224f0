/** Finding the words in a dying program's stderr that say why. @module */

// deno-lint-ignore no-control-regex
const ESCAPES = /\x1b\[[0-9;?]*[A-Za-z]/g;
/** Frames of stacks, what introduces them, and what Node prints around them. */
const FRAMES = [
  /^\s*at\s/,
  /^\s*\d+:\s+(?:<unknown>|0x[0-9a-f]|[\w<].*::)/i,
  /^\s*stack backtrace:/i,
  /^note: (?:run with|some details)/i,
  /^Node\.js v\d/,
  /^\s*\^+\s*$/,
  /^\s*throw\s/,
  /^(?:node:|file:\/\/)\S+:\d+(?::\d+)?$/,
];
const COMPLAINT =
  /^\s*(?:(?:uncaught |unhandled )?\w*(?:error|exception|panic)\b|fatal\b|thread '.*' .*panicked)/i;
const LINES = 4;
const CHARACTERS = 500;

/**
 * The line that explains, with the few that belong to it: the last one that names an error, else the last lines, in
 * both cases without the frames of a stack. Empty when there is nothing to tell.
 */
export function explainStderr(tail: string): string {
  const lines = tail.replace(ESCAPES, "").split(/\r?\n/)
    .filter((line) => line.trim() !== "" && !FRAMES.some((frame) => frame.test(line)));
  const complaint = lines.findLastIndex((line) => COMPLAINT.test(line));
  const told = complaint < 0 ? lines.slice(-3) : lines.slice(complaint, complaint + LINES);
  const text = told.map((line) => line.trim()).join(" | ");
  // A complaint begins with what matters; of mere last lines the last words do.
  return complaint < 0 ? text.slice(-CHARACTERS) : text.slice(0, CHARACTERS);
}
