/**
 * Old conversations: list them, search them, go on with one, name it, delete it. With words behind it, it looks for those.
 *
 *     deno run --allow-run=codex --allow-read=. examples/resume_picker.ts --live "the login"
 */
import process from "node:process";
import { Client } from "../mod.ts";
import { setup } from "./_setup.ts";

await using env = await setup((request) => `You said: ${request.text}`);
await using client = await Client.connect(env.client);

if (!env.live) {
  // Something to find.
  for (const prompt of ["Fix the login", "Draw a pear"]) {
    const session = await client.startSession({ cwd: env.cwd });
    await session.ask(prompt);
    await session.release();
  }
}

const words = process.argv.slice(2).filter((word) => word !== "--live").join(" ");
const listed: string[] = [];
const show = (threadId: string, text: string) => {
  listed.push(threadId);
  console.log(`${listed.length}  ${text.split("\n")[0]}`);
};
if (words === "" && env.live) {
  for await (const { threadId, name, preview } of client.threads({ cwd: env.cwd })) {
    show(threadId, name ?? preview);
    if (listed.length === 9) break;
  }
} else {
  const found = client.searchThreads(words || "login", { cwd: env.cwd, limit: 9 });
  for await (const { thread, snippet } of found) {
    show(thread.threadId, snippet ?? thread.preview);
  }
}

const ask = (question: string, otherwise: string) => env.live ? prompt(question) ?? "" : otherwise;
const threadId = listed[Number(ask("Which one?", "1")) - 1];
if (threadId !== undefined) {
  for await (const turn of client.turns(threadId, { newestFirst: true, pageSize: 1 })) {
    console.log(`its last turn: ${turn.status}, ${turn.items.length} items`);
    break;
  }
  switch (ask("[r]esume, [n]ame, [d]elete?", "r")) {
    case "r": {
      const session = await client.resumeSession(threadId);
      console.log((await session.ask(ask("Your prompt:", "And the logout?"))).assistantText);
      await session.release();
      break;
    }
    case "n":
      await client.renameThread(threadId, ask("Its name:", ""));
      break;
    case "d":
      await client.deleteThread(threadId);
      break;
  }
}
if (!env.live && threadId !== undefined) {
  await client.renameThread(threadId, "Login and logout");
  console.log("named:", (await client.readThread(threadId)).name);
  await client.deleteThread(threadId);
  for await (const { preview } of client.threads({ cwd: env.cwd })) console.log("left:", preview);
}
