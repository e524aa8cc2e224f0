/**
 * A user's script that never shuts its client down. Arguments: what it waits for, and its configuration as JSON. Its own
 * timers are unref'd, so that nothing but the client can keep it running. Prints the process id of codex.
 */
import process from "node:process";
import { AppServer } from "../../src/app_server.ts";
import type { ClientConfig } from "../../src/runtime/config.ts";
import { Client } from "../../src/session/client/client.ts";

const [how = "", settings = "{}"] = process.argv.slice(2);
const { config, cwd, prompt }: { config: ClientConfig; cwd: string; prompt: string } = JSON.parse(
  settings,
);

/** A timer that keeps nothing running. Node, Bun and Deno's own timers differ in how that is said. */
function tick(act: () => void, ms: number): void {
  const timer = setInterval(act, ms);
  const { Deno } = globalThis as { Deno?: { unrefTimer(id: unknown): void } };
  if (Deno !== undefined) Deno.unrefTimer(timer);
  else (timer as unknown as { unref(): void }).unref();
}

function later(ms: number): Promise<void> {
  return new Promise((resolve) => tick(resolve, ms));
}

const forever = { timeoutMs: Infinity };
const untrusted = { approvalPolicy: "untrusted", sandbox: "read-only", ...forever } as const;
const approvals = async () => {
  await later(1500);
  console.log("answered");
  return { decision: "decline" } as const;
};

switch (how) {
  case "connected":
    await start();
    break;
  case "asked": {
    const client = await start();
    const session = await client.startSession({ cwd });
    console.log((await session.ask(prompt)).assistantText);
    break;
  }
  case "reviewed": {
    const client = await start();
    const session = await client.startSession({ cwd });
    await session.review({ type: "custom", instructions: prompt });
    break;
  }
  case "asking": {
    const client = await start();
    const session = await client.startSession({ cwd });
    session.ask(prompt, forever).then((result) => console.log(result.assistantText));
    session.ask(prompt, forever).then((result) => console.log(`then ${result.assistantText}`));
    break;
  }
  case "approval": {
    const client = await start({ approvals, approvalTimeoutMs: Infinity });
    const session = await client.startSession({ cwd, ...untrusted });
    const stream = await session.askStream(prompt);
    for await (const event of stream) if (event.type === "turnCompleted") console.log("over");
    break;
  }
  case "raw": {
    const write = ({ method }: { method?: string }) => {
      if (method === "turn/completed") console.log("over");
    };
    const app = await AppServer.connect({
      ...config,
      approvals,
      approvalTimeoutMs: Infinity,
      eventLog: { write },
    });
    console.log(`pid ${app.runtime.pid}`);
    const { thread } = await app.request("thread/start", {
      cwd,
      approvalPolicy: "untrusted",
      sandbox: "read-only",
    });
    const input = [{ type: "text" as const, text: prompt }];
    await app.request("turn/start", { threadId: thread.id, input });
    break;
  }
  case "events": {
    const client = await start();
    alive();
    for await (const event of client.runtime.events()) void event;
    break;
  }
  case "sessionEvents": {
    const client = await start();
    const session = await client.startSession({ cwd });
    alive();
    for await (const event of session.events()) void event;
    break;
  }
  case "nextTurn": {
    const client = await start();
    const session = await client.startSession({ cwd });
    alive();
    await session.nextTurn();
    break;
  }
  case "serverRequests": {
    const app = await AppServer.connect(config);
    console.log(`pid ${app.runtime.pid}`);
    alive();
    for await (const request of app.serverRequests()) void request;
    break;
  }
}
console.log("last line");

async function start(more: ClientConfig = {}): Promise<Client> {
  const client = await Client.connect({ ...config, ...more });
  console.log(`pid ${client.runtime.pid}`);
  return client;
}

/** Shows that the script runs on, for longer than an idle client keeps it. */
function alive(): void {
  let ticks = 0;
  tick(() => console.log(`alive ${++ticks}`), 250);
}
