/**
 * What is needed to run a recipe of `examples/recipes` without an account: its files, what the model says, and what a
 * person does meanwhile. The tests and the demo run recipes by it.
 */
import { testing } from "../../mod.ts";

const { script } = testing;

/** How a recipe is tried. */
export interface Recipe {
  /** Files of the directory that it works in. */
  files?: Record<string, string>;
  /** The directory is a repository, with all files committed on `main`. */
  repository?: boolean;
  /** What the model says. */
  answer: (request: testing.ModelRequest) => testing.ModelTurn;
}

const patch = (lines: string[]) =>
  script.applyPatch(["*** Begin Patch", ...lines, "*** End Patch"].join("\n"));

/** The recipes, by the name of their file. */
export const RECIPES: Readonly<Record<string, Recipe>> = {
  chat: {
    files: { "hello.txt": "Hello.\n" },
    answer: ({ text, toolOutputs }) => {
      if (text.includes("wait")) {
        return [script.say(["I wait", " and wait", ...Array(600).fill(".")], { delayMs: 100 })];
      }
      switch (toolOutputs.length) {
        case 0:
          return [script.exec("touch touched.txt")];
        case 1:
          return [patch(["*** Update File: hello.txt", "@@", "-Hello.", "+Hello, you."])];
        default:
          return [script.say("The greeting is friendlier now.".split(/(?<= )/), { delayMs: 20 })];
      }
    },
  },
  pr_review: {
    files: { "main.ts": "console.log(1);\n" },
    repository: true,
    answer: ({ toolOutputs }) =>
      toolOutputs.length === 0 ? [script.exec("git diff main...HEAD")] : JSON.stringify({
        findings: [{ severity: "error", file: "main.ts", line: 1, message: "2 is not 1" }],
      }),
  },
  batch: {
    files: Object.fromEntries(
      ["a", "b", "c", "d", "e"].map((name) => [`src/${name}.ts`, `export const ${name} = 1;\n`]),
    ),
    answer: (() => {
      let limited = false;
      return ({ text }) => {
        if (text.includes("e.ts")) return script.httpError(400, "no such model");
        if (!limited && text.includes("b.ts")) {
          limited = true;
          return script.httpError(429);
        }
        return [script.say("A constant."), script.usage({ inputTokens: 1000, outputTokens: 20 })];
      };
    })(),
  },
  refactor: {
    files: {
      "src/a.ts": "export const load = 1;\n",
      "test.sh": "grep -q read src/a.ts && echo passed\n",
    },
    answer: ({ toolOutputs }) => {
      switch (toolOutputs.length) {
        case 0:
          return [
            patch([
              "*** Update File: src/a.ts",
              "@@",
              "-export const load = 1;",
              "+export const read = 1;",
            ]),
          ];
        case 1:
          return [script.exec("sh test.sh")];
        case 2:
          return [script.exec("curl -s http://127.0.0.1:1/")];
        case 3:
          return [patch(["*** Add File: src/.env", "+KEY=1"])];
        case 4:
          return [patch(["*** Add File: README.md", "+# Read"])];
        default:
          return "It is called read now.";
      }
    },
  },
  judge: {
    answer: ({ text }) => {
      if (text.startsWith("Read this project")) return "I know it.";
      const way = /Propose (.*), in at most/.exec(text)?.[1];
      if (way !== undefined) return `A file is ${way}.`;
      return JSON.stringify({ best: "the simplest that can work", reason: "It can be read." });
    },
  },
  nightly: { answer: () => "- a.md: https://example.invalid is gone" },
  hono: { answer: () => "Hello from the application's agent." },
  bun_serve: { answer: () => "Hello from the application's agent." },
  worker: { answer: ({ text }) => `I was asked: ${text}` },
};
