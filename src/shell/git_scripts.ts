/**
 * What `git` runs because its arguments say so.
 * @module
 */
import type { ShellWord } from "./command_builder.ts";

const RUN_AFTER: ReadonlySet<string> = new Set(["foreach", "run", "-x", "--exec", "difftool"]);

/** Scripts in the arguments of a `git`, and commands that an alias in them stands for. */
export function gitScripts(words: readonly ShellWord[]): {
  scripts: string[];
  commands: ShellWord[][];
} {
  const scripts: string[] = [];
  const commands: ShellWord[][] = [];
  for (const [i, word] of words.entries()) {
    const next = words[i + 1];
    if (!word.literal) continue;
    if (word.text === "-c" && next !== undefined) {
      // What a variable holds may be any setting.
      if (!next.literal) commands.push([{ text: next.text, literal: false }]);
      const value = next.text.slice(next.text.indexOf("=") + 1);
      scripts.push(value.replace(/^!/, ""));
      commands.push(["git", ...value.split(/\s+/)].map((text) => ({ text, literal: true })));
    } else if (RUN_AFTER.has(word.text) && next !== undefined) {
      commands.push(words.slice(i + 1));
      if (next.literal) scripts.push(next.text);
    } else if (/^--(?:exec|[a-z]+-filter|upload-pack|receive-pack)\b/.test(word.text)) {
      const value = word.text.includes("=") ? word.text.slice(word.text.indexOf("=") + 1) : null;
      if (value !== null) scripts.push(value);
      else if (next?.literal) scripts.push(next.text);
    }
  }
  return { scripts, commands };
}
