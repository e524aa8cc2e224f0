/** Commands of about 64 KiB, or less where less costs as much, each of a shape that has a reader do as much as it can. */

const LENGTH = 65_000;

function repeat(piece: string, length = LENGTH): string {
  return piece.repeat(Math.floor(length / piece.length));
}

function single(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function double(text: string): string {
  return `"${text.replace(/[\\"$`]/g, "\\$&")}"`;
}

/** A script within a script within a script, as deep as the length allows. */
function nested(levels: number, wrap: (script: string) => string, script: string): string {
  let text = script;
  for (let i = 0; i < levels; i++) {
    const next = wrap(text);
    if (next.length > LENGTH) break;
    text = next;
  }
  return text;
}

const LONG_WORD = `a${"x".repeat(60_000)}`;
const OPTIONS = `git ${repeat("-a ", 5_900)}`;
const SOME_OPTIONS = `git ${repeat("-a ", 200)}`;

const PIECES = [
  "git status;",
  "`",
  "``",
  "$(",
  "$(a)",
  "a ",
  "sudo -a ",
  "git -a ",
  "'a b' ",
  "sudo 'a b' ",
  "eval 'a b' ",
  "eval 'a b'; ",
  "<<E ",
  "$x",
  "\\",
  "${x:-",
  '"$(a)"',
  "(",
  "((",
  "python -c 'a b c' ",
  "bash -c 'a b';",
  "a\n",
  "x=1 ",
  "{a,b}",
  "{a,{b,",
  "-",
  "$((1+1)) ",
  "$((a[1]+b)) ",
  "((a=1));",
  "[[ a ]] && ",
  `'a'"b"`,
  `"'"'"'"'`,
  "$'\\x41' ",
  "${a:-b} ",
  "a>b ",
  "2>&1 ",
  "<<<a ",
  "# a\n",
  "cat <<E\na\nE\n",
  "cat <<'E'\n`a`\nE\n",
  "a_PAGER=x ",
  "--PAGER",
  "env ",
  "env A=1 a; ",
  "sh -c ",
  "f() { a; }; ",
  "git -c 'a b c d e f g h' ",
  "x|",
  "😀 ",
  "a\r\n",
];

const SHAPES: Record<string, string> = {
  "one word": "x".repeat(LENGTH),
  "one name": "A".repeat(LENGTH) + "=1",
  "one subscript": `a[${"x".repeat(LENGTH)}`,
  "one quote": `"${repeat("\\$a")}"`,
  "one backtick": `\`${repeat("\\a")}\``,
  "one here-document": `cat <<E\n${repeat("a\n")}E\n`,
  "substitutions in a here-document": `cat <<E\n${repeat("$(a)\n")}E\n`,
  "tabs before a delimiter": `cat <<-E\n${repeat("\t\t\t\tE\tE\n")}E\n`,
  "code in a here-document": `python <<'E'\n${repeat("git -a ", 13_000)}\nE\n`,
  "substitutions in substitutions": repeat("$(".repeat(19) + "a" + ")".repeat(19) + ";"),
  "groups in groups": repeat("(".repeat(30) + "a" + ")".repeat(30) + ";"),
  "expansions in expansions": repeat("${a:-".repeat(30) + "}".repeat(30) + " "),
  "backticks in backticks": nested(12, (s) => `\`${s.replace(/[\\`]/g, "\\$&")}\``, LONG_WORD),
  "eval in eval, single quotes": nested(7, (s) => `eval ${single(s)}`, "x".repeat(400)),
  "eval in eval": nested(7, (s) => `eval ${double(s)}`, LONG_WORD),
  "eval of two in eval": nested(7, (s) => `eval '' ${double(s)}`, LONG_WORD),
  "eval of words in eval": nested(7, (s) => `eval '' ${double(s)}`, repeat("a ", 3_900)),
  "shell in shell": nested(8, (s) => `bash -c ${double(s)}`, LONG_WORD),
  "sudo shell in sudo shell": nested(7, (s) => `sudo sh -c ${double(s)}`, LONG_WORD),
  "sudo eval in sudo eval": nested(7, (s) => `sudo eval ${double(s)}`, LONG_WORD),
  "options of one program": OPTIONS,
  "options of many": repeat(`xargs ${OPTIONS}; `),
  "options of very many": repeat(`find ${SOME_OPTIONS}; `),
  "options in code": repeat(`python -c '${OPTIONS}'; `),
  "options in scripts of make": repeat(`make '${SOME_OPTIONS}'; `),
  "options in scripts of watch": `watch ${repeat(`'${SOME_OPTIONS}' `)}`,
  "options in aliases of git": `git ${repeat(`-c 'x=${SOME_OPTIONS}' `)}`,
  "settings of git": `git ${repeat("config ", 7 * 1_900)}`,
  "settings of many gits": `sudo ${repeat("git -c a=b ", 11 * 600)}`,
  "commands of git": repeat(`git ${repeat("-x ", 5_900)}; `),
  "env in env": `${repeat("env ", 4 * 1_900)}a`,
  "many that add words": `sudo ${repeat("xargs -I% ", 10 * 900)}`,
  "words in code": repeat(`awk ${repeat("a ", 200)}; `),
  "patterns of a case": `case x in ${repeat("a) b;; ", 8_000)}esac`,
  "words of PowerShell": `powershell -c ${repeat("a ")}`,
  spaces: `a${" ".repeat(LENGTH)}`,
  "line feeds": `a${"\n".repeat(LENGTH)}`,
};

/** Each with a name. */
export function worstCommands(): [name: string, command: string][] {
  const starts = ["", "sudo ", "python -c '", "bash -c '"];
  const repeated = PIECES.flatMap((piece) =>
    starts.map((start): [string, string] => [
      JSON.stringify(start + piece),
      start + repeat(piece, LENGTH - start.length) + (start.endsWith("'") ? "'" : ""),
    ])
  );
  return [...repeated, ...Object.entries(SHAPES)];
}
