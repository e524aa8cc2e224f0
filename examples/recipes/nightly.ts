/**
 * A check every night at three, and an alert to a webhook when something is wrong, or when the check itself fails. It runs
 * until SIGTERM. With `now` behind the address, the first check is at once.
 *
 *     deno run --allow-run=codex --allow-read=. --allow-net=alerts.example.com examples/recipes/nightly.ts https://alerts.example.com/hook
 */
import process from "node:process";
import { automation, Client, CodexError } from "../../mod.ts";

const DAY = 24 * 60 * 60_000;
const [webhook = "", when] = process.argv.slice(2);

/** A webhook that can't be reached does not end the checks. */
async function alert(text: string): Promise<void> {
  console.log(text);
  try {
    const response = await fetch(webhook, { method: "POST", body: text });
    await response.body?.cancel();
    if (!response.ok) console.error(`The alert was not taken: ${response.status}`);
  } catch (error) {
    console.error(`The alert was not taken: ${error}`);
  }
}

/** The next three o'clock of this machine. */
function nextNight(): Date {
  const night = new Date();
  night.setHours(3, 0, 0, 0);
  if (night.getTime() <= Date.now()) night.setDate(night.getDate() + 1);
  return night;
}

const client = await Client.connect({ restart: { type: "onCrash" } });
let handle: automation.AutomationHandle | null = null;
let isEnding = false;
process.on("SIGTERM", () => {
  isEnding = true;
  handle?.stop();
});

let startAt = when === "now" ? new Date() : nextNight();
while (!isEnding) {
  const session = await client.startSession({ cwd: process.cwd(), timeoutMs: 30 * 60_000 });
  handle = automation.spawn(session, {
    prompt: "Look for broken links in *.md and for examples that no longer fit the code. " +
      "Answer with the single word OK when there is nothing, else with a list.",
    every: DAY,
    startAt,
    // One night each, with a fresh thread: a day of the clock has not always 24 hours.
    maxRuns: 1,
    limits: { tokens: 200_000 },
  });
  if (isEnding) handle.stop();
  for await (const { result, error } of handle) {
    if (isEnding) break;
    if (result === undefined) {
      await alert(`The check failed: ${error instanceof CodexError ? error.message : "unknown"}`);
    } else if (result.assistantText.trim() !== "OK") await alert(result.assistantText);
  }
  await session.close();
  startAt = nextNight();
}
await client.shutdown();
