/** The chat example in a real Chromium, on the real codex with a scripted model. */
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { test } from "../_harness.ts";
import {
  type ChatWorld,
  inChat,
  type Page,
  say,
  shownNoMore,
  shows,
  turnsOver,
  Wire,
} from "./web_chat_world.ts";

// Set it to a directory to renew the README's picture.
const PICTURES = process.env["WEB_CHAT_PICTURES"];
const parts: [name: string, act: (world: ChatWorld) => Promise<void>][] = [];

/** Something that people do, as somebody whom the server does not know yet: all on one server and in one browser. */
function part(name: string, act: (world: ChatWorld) => Promise<void>): void {
  parts.push([name, act]);
}

async function picture(page: Page, name: string): Promise<void> {
  if (PICTURES === undefined) return;
  const folder = fileURLToPath(new URL(`${PICTURES}/`, `file://${process.cwd()}/`));
  await mkdir(folder, { recursive: true });
  await page.screenshot({ path: `${folder}/${name}.png` });
}

function agentTexts(page: Page): Promise<string[]> {
  return page.locator(".agent").allInnerTexts();
}

part(
  "a conversation: an answer, a change accepted, a command declined, all by keyboard",
  async (world) => {
    const visitor = await world.visit();
    const { page, errors } = visitor;
    await page.getByRole("button", { name: "Explain this project" }).click();
    assert.deepEqual(await turnsOver(page, 1), ["completed"]);
    const [answer] = await agentTexts(page);
    assert.match(answer!, /This is a small project with one greeting:/);
    assert.equal(await page.locator(".agent li").count(), 2);
    assert.equal(await page.locator(".agent pre code").innerText(), "cat greeting.txt");
    const cards = page.locator(".card");
    assert.match(await cards.filter({ hasText: "cat README.md" }).innerText(), /# Greeter/);
    assert.match(await page.locator("#usage").innerText(), /tokens · [\d,]+ in, [\d,]+ out/);
    await shows(page.locator("#link"), ["connected"]);

    await say(page, "Make the greeting friendlier");
    const dialog = page.getByRole("dialog", { name: "Change these files?" });
    await dialog.waitFor();
    assert.match(await dialog.innerText(), /-Hello\.\n[\s\S]*\+Hello, and welcome!/);
    // A careless Enter must not grant anything.
    const focused = () => page.evaluate("document.activeElement.textContent");
    assert.equal(await focused(), "Decline");
    await picture(page, "ask");
    // What is not read yet can't be accepted.
    await page.locator("#ask .primary:enabled").waitFor();
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    assert.equal(await focused(), "Accept");
    await page.keyboard.press("Enter");
    assert.deepEqual(await turnsOver(page, 2), ["completed", "completed"]);
    assert.match((await agentTexts(page)).at(-1)!, /^Done\./);
    assert.match((await world.file(visitor, "greeting.txt"))!, /Hello, and welcome!/);
    assert.equal(await page.locator("#turns .diff .add").count(), 2);
    await shownNoMore(dialog);
    await picture(page, "web_chat");

    await say(page, "Run the build");
    await page.getByRole("dialog", { name: "Run this command?" }).waitFor();
    // Escape only puts the question aside.
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "1 question waits for you" }).click();
    assert.match(await page.getByRole("dialog").innerText(), /date > built\.txt/);
    await page.keyboard.press("Enter");
    await turnsOver(page, 3);
    assert.match((await agentTexts(page)).at(-1)!, /I did not run the build/);
    assert.equal(await world.file(visitor, "built.txt"), null);
    await cards.last().filter({ hasText: "declined" }).waitFor();

    // What a page that is loaded again shows is the same.
    const before = await page.locator("#turns").innerText();
    await page.reload();
    await turnsOver(page, 3);
    assert.equal(await page.locator("#turns").innerText(), before);
    assert.deepEqual(errors, []);
  },
);

const story = (length: number) =>
  Array.from({ length }, (_, i) => `Line ${i + 1} of the story, in which the fox goes on and on.`);

part(
  "a page that loses its connection comes back without losing or doubling text",
  async (world) => {
    const wire = new Wire(world.port);
    const { page, errors } = await world.visit({ url: `http://127.0.0.1:${wire.port}/` });
    await say(page, "Tell me a story");
    for (const line of [5, 30, 60]) {
      await page.getByText(`Line ${line} of`).waitFor();
      wire.cut();
      await page.getByText("reconnecting").waitFor();
      await page.getByText("connected", { exact: true }).waitFor();
    }
    assert.deepEqual(await turnsOver(page, 1), ["completed"]);
    const paragraphs = await page.locator(".agent p").allInnerTexts();
    assert.deepEqual(paragraphs, story(120));
    assert.deepEqual(errors, []);
    await page.close();
    await wire.close();
  },
);

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  part(
    `a page survives a server that is ended by ${signal} and started again`,
    async (world) => {
      const { page, errors } = await world.visit();
      await say(page, "Hello there");
      await turnsOver(page, 1);
      await say(page, "Tell me a story");
      await page.getByText("Line 9 of").waitFor();
      await world.stop(signal);
      await page.getByText("reconnecting").waitFor();
      const told = (await page.locator(".agent").last().locator("p").allInnerTexts()).slice(
        0,
        -1,
      );
      assert.ok(told.length >= 8);
      await world.start();
      await page.getByText("connected", { exact: true }).waitFor();
      // A killed server takes the scripted model with it: codex may see that end before its own.
      const [first, broken] = await turnsOver(page, 2);
      assert.equal(first, "completed");
      assert.ok(broken === "interrupted" || signal === "SIGKILL" && broken === "failed", broken);
      const kept = await page.locator(".agent").last().locator("p").allInnerTexts();
      assert.deepEqual(kept.slice(0, told.length), told, "what was told stays, once");
      assert.deepEqual(told, story(told.length));
      assert.equal((await agentTexts(page))[0], "You said: Hello there");

      await say(page, "Are you back?");
      assert.deepEqual(await turnsOver(page, 3), ["completed", broken, "completed"]);
      assert.equal((await agentTexts(page)).at(-1), "You said: Are you back?");
      assert.equal(await page.locator(".user").count(), 3);
      assert.deepEqual(errors, []);
    },
  );
}

part("two tenants at once see nothing of each other", async (world) => {
  const [ann, bob] = await Promise.all([world.visit(), world.visit({ colorScheme: "dark" })]);
  await Promise.all([say(ann.page, "I am Ann"), say(bob.page, "I am Bob")]);
  await Promise.all([turnsOver(ann.page, 1), turnsOver(bob.page, 1)]);
  assert.deepEqual(await agentTexts(ann.page), ["You said: I am Ann"]);
  assert.deepEqual(await agentTexts(bob.page), ["You said: I am Bob"]);
  await shows(bob.page.locator("#sessions button:not(.close)"), ["I am Bob"]);
  const [, sessionId] = ann.page.url().split("#");
  const status = await bob.page.evaluate(
    `fetch("/codex/sessions/${sessionId}").then(({ status }) => status)`,
  );
  assert.equal(status, 404);

  // Two pages of one tenant see the same, as it happens.
  const second = await ann.context.newPage();
  await second.goto(ann.page.url());
  await turnsOver(second, 1);
  await say(ann.page, "Is this seen twice?");
  await Promise.all([turnsOver(second, 2), turnsOver(ann.page, 2)]);
  assert.deepEqual(await agentTexts(second), await agentTexts(ann.page));
  assert.deepEqual([...ann.errors, ...bob.errors], []);
});

part(
  "a question gets the answer of who has seen it, and stays until it has one",
  async (world) => {
    const { page, context, errors } = await world.visit();
    // A click that was meant for what stood there before, such as the second one of two.
    await page.evaluate(`new MutationObserver((_, observer) => {
      const accept = [...document.querySelectorAll("#ask button")]
        .find(({ textContent }) => textContent === "Accept");
      if (accept === undefined) return;
      observer.disconnect();
      accept.click();
    }).observe(document.querySelector("#ask"), { childList: true, subtree: true })`);
    let answers = 0;
    page.on("request", (request) => answers += request.url().includes("/approvals/") ? 1 : 0);
    await say(page, "Make the greeting friendlier");
    const dialog = page.getByRole("dialog", { name: "Change these files?" });
    await dialog.waitFor();
    const accept = dialog.getByRole("button", { name: "Accept", exact: true });
    await context.setOffline(true);
    await accept.click();
    await page.getByText("The bridge can't be reached.").waitFor();
    assert.equal(answers, 1);
    assert.ok(await dialog.isVisible());
    await context.setOffline(false);
    await accept.click();
    assert.deepEqual(await turnsOver(page, 1), ["completed"]);
    assert.match((await agentTexts(page)).at(-1)!, /^Done\./);
    await shownNoMore(dialog);
    assert.deepEqual(errors, []);
  },
);

part("the page fits a phone", async (world) => {
  const { page, errors } = await world.visit({ width: 360, height: 740, colorScheme: "dark" });
  await say(page, "Make the greeting friendlier");
  await page.getByRole("dialog").waitFor();
  const overflow = "document.scrollingElement.scrollWidth - innerWidth";
  assert.equal(await page.evaluate(overflow), 0);
  await picture(page, "phone_ask");
  // Of a long command nothing is cut off: it wraps, and what does not fit is reached before the buttons.
  const hidden = await page.evaluate(`import("/view.js").then(({ describe }) => {
      const command = "ls" + " ".repeat(400) + "; echo " + "x".repeat(9_000) + "; touch pwned";
      const request = { type: "command", script: command, action: "command", network: null };
      const form = document.querySelector("dialog form");
      const added = describe({ ...request, additionalPermissions: null }).slice(1);
      form.querySelector("h2").after(...added);
      const [text] = added;
      const dialog = form.parentElement;
      const { overflowY } = getComputedStyle(dialog);
      const found = [
        text.scrollWidth - text.clientWidth,
        text.scrollHeight - text.clientHeight,
        overflowY,
        dialog.scrollHeight > dialog.clientHeight,
        dialog.scrollWidth - dialog.clientWidth,
      ];
      for (const each of added) each.remove();
      return found;
    })`);
  assert.deepEqual(hidden, [0, 0, "auto", true, 0]);
  await page.getByRole("button", { name: "Accept", exact: true }).click();
  await turnsOver(page, 1);
  assert.equal(await page.evaluate(overflow), 0);
  await picture(page, "phone");
  const chats = page.getByRole("navigation", { name: "Conversations" });
  assert.equal(await chats.isVisible(), false);
  await page.getByRole("button", { name: "Conversations" }).click();
  await chats.getByRole("button", { name: "New chat" }).click();
  await page.getByText("What should we work on?").waitFor();
  assert.deepEqual(errors, []);
});

test(
  "the chat page in a browser",
  { timeoutMs: 240_000, denoOnly: "npm:playwright-core" },
  (t) =>
    inChat(async (world) => {
      for (const [name, act] of parts) {
        await t.step(name, () => act(world));
        await world.leave();
      }
    }),
);
