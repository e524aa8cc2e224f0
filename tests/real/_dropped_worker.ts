/** A worker that never shuts its client down: told how to end, it tells codex's process id when a command runs. */
import { Client } from "../../src/session/client/client.ts";

interface Scope {
  onmessage: ((event: { data: string }) => void) | null;
  postMessage(message: unknown): void;
  close?(): void;
  process: { exit(): void };
}

const scope = globalThis as unknown as Scope;
scope.onmessage = async ({ data }) => {
  const { how, config, cwd, prompt } = JSON.parse(data);
  const client = await Client.connect(config);
  const session = await client.startSession({ cwd });
  session.ask(prompt, {
    onEvent: (event) => {
      if (event.type !== "itemStarted" || event.item.type !== "commandExecution") return;
      scope.postMessage(client.runtime.pid);
      // Bun's workers have no close(): there, this ends the worker and nothing else.
      if (how === "close") scope.close === undefined ? scope.process.exit() : scope.close();
    },
  }).catch(() => {});
};
