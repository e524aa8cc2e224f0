/**
 * Evaluates the bundle where nothing of a host is left: everything it could reach for is a trap while it is imported,
 * and gone afterwards.
 */

/** What the test asks for. */
export interface EdgeJob {
  /** The bundle. */
  code: string;
  /** A server to run a turn on. */
  url: string;
  /** Where the agent works. */
  cwd: string;
}

/** What the test gets. */
export interface EdgeReport {
  /** Globals that the import touched. */
  touched: string[];
  /** Names that the bundle exports. */
  names: string[];
  /** The answer of the turn. */
  answer: string;
  /** The server's version. */
  version: string;
  /** How starting a process failed. */
  spawning: { code: string; message: string };
  /** How connecting with a token failed, which pages can't send. */
  withToken: { code: string; message: string };
}

const TRAPS = [
  "Deno",
  "Bun",
  "process",
  "Buffer",
  "require",
  "fetch",
  "WebSocket",
  "setTimeout",
  "setInterval",
  "addEventListener",
  "navigator",
  "localStorage",
  "caches",
  "location",
  "crypto",
  "console",
  "performance",
];
/** What a page does not have. */
const GONE = ["Deno", "Bun", "process", "Buffer", "require"];

const host = globalThis as unknown as Record<string, unknown> & {
  onmessage: (event: MessageEvent<EdgeJob>) => void;
  postMessage(message: EdgeReport | { failed: string }): void;
};

host.onmessage = ({ data }) => {
  run(data).then(
    (report) => host.postMessage(report),
    (error) => host.postMessage({ failed: String(error?.stack ?? error) }),
  );
};

async function run({ code, url, cwd }: EdgeJob): Promise<EdgeReport> {
  const bundle = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  const touched: string[] = [];
  // Read before the first trap is set: some are made when they are first asked for, with the help of others.
  const real = TRAPS.map((name) => ({
    name,
    value: host[name],
    descriptor: Object.getOwnPropertyDescriptor(globalThis, name),
  }));
  for (const { name, value } of real) {
    Object.defineProperty(globalThis, name, {
      configurable: true,
      get() {
        touched.push(name);
        return value;
      },
    });
  }
  const { Client, ...names } = await import(bundle);
  const found = [...touched];
  for (const { name, descriptor } of real) {
    delete host[name];
    if (GONE.includes(name)) {
      Object.defineProperty(globalThis, name, { configurable: true, value: undefined });
    } else if (descriptor !== undefined) Object.defineProperty(globalThis, name, descriptor);
  }
  // deno-lint-ignore no-explicit-any
  const failure = (attempt: Promise<any>) =>
    attempt.then(() => ({ code: "none", message: "" }), ({ code, message }) => ({ code, message }));
  const spawning = await failure(Client.connect());
  const withToken = await failure(
    Client.connect({ transport: { type: "websocket", url, token: "a-token" } }),
  );
  const client = await Client.connect({ transport: { type: "websocket", url } });
  const session = await client.startSession({ cwd });
  const { assistantText: answer } = await session.ask("hello");
  const { version } = client.server;
  await session.close();
  await client.shutdown();
  return { touched: found, names: Object.keys(names), answer, version, spawning, withToken };
}
