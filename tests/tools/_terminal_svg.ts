/** What a program printed on a terminal, as a picture that plays once and then stays. */

/** Something that was printed. */
export interface Piece {
  /** Milliseconds since the program began. */
  atMs: number;
  /** Text with colours (SGR); of other escapes there are none. */
  text: string;
}

interface Span {
  text: string;
  atMs: number;
  style: string;
}

const WIDTH = 86;
const CELL = 8.4;
const LINE = 19;
const PADDING = 18;
const BAR = 32;

/** Styles by the numbers of `ESC [ n m`. */
const STYLES: Record<string, string> = {
  "1": "b",
  "2": "d",
  "31": "r",
  "32": "g",
  "33": "y",
  "36": "c",
};

const CSS =
  `text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#d8dee9;white-space:pre}
.b{font-weight:700;fill:#fff}.d{fill:#7d8799}.r{fill:#f07178}.g{fill:#a5d66f}.y{fill:#ffcb6b}.c{fill:#6fc3df}
.p{fill-opacity:0;animation:s 1ms forwards}@keyframes s{to{fill-opacity:1}}@media print,(prefers-reduced-motion){.p{fill-opacity:1;animation:none}}`;

/** The picture of a run. */
export function terminalSvg(pieces: readonly Piece[]): string {
  const lines = layout(pieces);
  const width = Math.round(WIDTH * CELL + 2 * PADDING);
  const height = BAR + lines.length * LINE + 2 * PADDING;
  const rows = lines.map((spans, row) => {
    const y = BAR + PADDING + row * LINE + 12;
    const parts = spans.map(({ text, atMs, style }) =>
      `<tspan class="p ${style}" style="animation-delay:${(atMs / 1000).toFixed(2)}s">${
        escape(text)
      }</tspan>`
    );
    return parts.length === 0
      ? ""
      : `<text x="${PADDING}" y="${y}" xml:space="preserve">${parts.join("")}</text>\n`;
  });
  const dots = ["#ff5f57", "#febc2e", "#28c840"].map((color, index) =>
    `<circle cx="${PADDING + 4 + index * 20}" cy="${BAR / 2}" r="6" fill="${color}"/>`
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>deno task demo</title>
<style>${CSS}</style>
<rect width="${width}" height="${height}" rx="10" fill="#1b1f27"/>
${dots.join("")}
${rows.join("")}</svg>
`;
}

/** Takes the pieces apart into lines; long ones go on in the next. */
function layout(pieces: readonly Piece[]): Span[][] {
  const lines: Span[][] = [[]];
  let style = "";
  let column = 0;
  const newLine = () => {
    lines.push([]);
    column = 0;
  };
  for (const { atMs, text } of pieces) {
    // deno-lint-ignore no-control-regex
    for (const [, codes, newline, plain] of text.matchAll(/\x1b\[([\d;]*)m|(\n)|([^\x1b\n]+)/g)) {
      if (codes !== undefined) style = STYLES[codes] ?? "";
      else if (newline !== undefined) newLine();
      else {
        for (let rest = plain!; rest !== "";) {
          if (column >= WIDTH) newLine();
          const part = rest.slice(0, WIDTH - column);
          lines.at(-1)!.push({ text: part, atMs, style });
          column += part.length;
          rest = rest.slice(part.length);
        }
      }
    }
  }
  while (lines.at(-1)?.length === 0) lines.pop();
  return lines;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
