/** What the scripted model says in the chat, so that the example runs without an account. */
import { testing } from "../../mod.ts";

const { applyPatch, exec, reason, say, usage } = testing.script;

const PATCH = `*** Begin Patch
*** Update File: greeting.txt
@@
-Hello.
-This is a greeting.
+Hello, and welcome!
+It is good to see you.
*** End Patch`;

const EXPLANATION = `This is a **small project** with one greeting:

- \`greeting.txt\` holds the text
- \`README.md\` says what it is for

\`\`\`sh
cat greeting.txt
\`\`\`

Ask me to make the greeting friendlier, and I will propose a change.`;

const STORY = Array.from(
  { length: 120 },
  (_, i) => `Line ${i + 1} of the story, in which the fox goes on and on.`,
).join("\n\n");

/** Plays a turn by its prompt. */
export function answer(request: testing.ModelRequest): testing.ModelTurn {
  const { text, toolOutputs } = request;
  const last = toolOutputs.at(-1)?.text ?? "";
  const declined = /rejected|declined/i.test(last);
  const tokens = usage({ inputTokens: 900 + 40 * request.userTexts.length, outputTokens: 64 });
  const speak = (words: string, delayMs = 12) => [
    say(words.split(/(?<= )/), { delayMs, phase: "final_answer" }),
    tokens,
  ];
  if (/friendl|chang|edit|fix/i.test(text)) {
    if (toolOutputs.length === 0) {
      return [reason("I read the greeting before I change it."), exec("cat greeting.txt")];
    }
    if (toolOutputs.length === 1) return [applyPatch(PATCH)];
    return speak(
      declined
        ? "Understood: the greeting stays as it is. Nothing was changed."
        : "Done. The greeting now welcomes people, and the diff above shows both lines.",
    );
  }
  if (/run|build|test|delete/i.test(text)) {
    if (toolOutputs.length === 0) {
      return [reason("The build writes a file."), exec("date > built.txt && ls -1")];
    }
    return speak(
      declined
        ? "Understood: I did not run the build."
        : "The build went through and left `built.txt` in the directory.",
    );
  }
  if (/story/i.test(text)) return speak(STORY, 5);
  if (/explain|project|what|look/i.test(text)) {
    if (toolOutputs.length === 0) {
      return [reason("I look at the directory first."), exec("ls"), exec("cat README.md")];
    }
    return speak(EXPLANATION);
  }
  return speak(`You said: ${text}`);
}
