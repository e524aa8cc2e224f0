/**
 * Programs that run what they read from their input.
 * @module
 */
import { programName, type ShellWord } from "../shell_script.ts";
import { builtinTraits, isInterpreter, READS_CODE, runsItsArguments } from "./programs.ts";

/** Options one after the other; the letters are those of options whose value is the next word. Each word ends in a space. */
function options(letters: string): string {
  return `(?:(?:-\\w*[${letters}] (?=\\S)|(?!-\\w*[${letters}] )-|\\w+=)\\S* )*`;
}

const INPUT = "(?:-|/dev/stdin|/(?:dev|proc/self)/fd/0) ";

/** A command that has its input run: `python3 -u -`, `make -f -`, and `sudo -s`, which starts a shell. */
const FED = new RegExp(
  "^(?:at |batch |su (?!(?:.* )?--?\\w*c)|runuser (?!(?:.* )?--?\\w*[cu])" +
    `|(?:sudo|doas) (?=(?:.* )?-(?:\\w*[si]|-sh\\w*|-lo\\w*) )${options("ughpCDRrtTU")}$` +
    `|(?:unshare|nsenter|fakeroot|pkexec) ${options("SGRwt")}$|chroot ${options("-")}\\S+ $` +
    `|script (?!(?:.* )?--?\\w*c)${options("IOBTmE")}(?:\\S+ )?$` +
    `|(?:g?make|[gmn]?awk|g?sed) (?:.* )?-(?:\\w*f|\\S*file)[ =]?${INPUT}` +
    // What is attached to an option may be code: `-e'print 1'`.
    `|(?:${READS_CODE})[-.\\d]* (?:(?!-[hilmvV] |--(?:ver|help|ev|pr|test|in))` +
    `(?:-[XW] \\S+|(?!-[XW] )-(?:[A-Za-z]+|-[\\w-]+(?:=\\S*)?)) )*(?:$|${INPUT}|run (?:.* )?- ))`,
);

/** How many programs in a command are looked at. */
const MAX_STARTED = 16;

/** Whether a program that these words start runs what it reads: `sudo -u x python3 -`. */
export function runsInput(words: readonly ShellWord[]): boolean {
  if (words.at(-1)?.fed) return false;
  const head = programName(words[0]!.text);
  const starts = runsItsArguments(head);
  let begins = true;
  let count = 0;
  for (const [i, { text }] of words.entries()) {
    const before = words[i - 1]?.text ?? "";
    if (starts && /^-(?:exec|ok)|^--$/.test(before) && !/^p?npm|yarn/.test(head)) begins = true;
    else if (!begins || text.startsWith("-")) continue;
    const name = programName(text);
    const runs = runsItsArguments(name) && !builtinTraits(name).evaluates;
    if ((runs || isInterpreter(name)) && (++count > MAX_STARTED || FED.test(lineFrom(words, i)))) {
      return true;
    }
    // An option's value, a time, a place and a variable may stand before the program; `command -v x` starts none.
    begins = starts && !/^-v/i.test(words[i + 1]?.text ?? "") &&
      (/^-|^(?:uv|poetry)$/.test(before) || /^[\d.]+[smhd]?$|[/=]/.test(text) ||
        (runs && !/^g?fi?n?d/.test(name)));
  }
  return false;
}

/** The name of the program at this place and what follows, each word with a space behind. */
function lineFrom(words: readonly ShellWord[], at: number): string {
  return words.slice(at).map(({ text }, i) =>
    `${(i === 0 ? programName(text) : text).replace(/\s/g, "_")} `
  ).join("");
}
