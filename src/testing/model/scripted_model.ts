/**
 * A loopback model for the real codex: no account, no network, and every answer is yours.
 * @module
 */
import { abortable, within } from "../../async.ts";
import {
  callback,
  checkArgument,
  checkOptions,
  either,
  json,
  type Kind,
  kind,
  milliseconds,
  name,
  record,
  required,
  type Shape,
  shape,
  signal,
  text,
} from "../../check/mod.ts";
import { CodexError, messageOf } from "../../errors/mod.ts";
import { defined, type JsonValue } from "../../json.ts";
import type { HttpReply, HttpRequest, HttpServer } from "../../platform/mod.ts";
import type { ClientConfig } from "../../runtime/mod.ts";
import type { Homes } from "./homes.ts";
import type { ModelRequest, RecordedRequest } from "./model_request_types.ts";
import { fromPrompt, type ModelTurn, type Script } from "./script.ts";

/** How a {@linkcode ScriptedModel} starts. */
export interface ScriptedModelOptions {
  /**
   * Model name that codex is configured with. Default `"scripted-model"`, of which codex warns that it has no data; sessions
   * do not repeat that. A name that begins like one of codex's own (`"gpt-5.5-scripted"`) has that model's data and tools, and
   * no warning.
   */
  model?: string;
}

/** What {@linkcode ScriptedModel.clientConfig} may vary. */
export interface ScriptedClientOptions {
  /** Path of codex. Default: found as for any client. */
  codexPath?: string;
  /** An existing directory to use as CODEX_HOME; it is kept. Default: a private one, removed by `close()`. */
  home?: string;
  /** Model name. Default: the one of {@linkcode ScriptedModelOptions.model}. */
  model?: string;
  /** More `-c` overrides; they win over the model's own. */
  configOverrides?: Record<string, JsonValue>;
  /** More environment variables. */
  env?: Record<string, string>;
}

/** A client configuration that points codex at the model; spread it to add more. */
export interface ScriptedClientConfig extends ClientConfig {
  /** A minimal environment with private CODEX_HOME, HOME and TMPDIR. */
  env: {
    /** Only what a program needs to run is inherited. */
    inherit: "minimal";
    /** The variables set. */
    set: Record<string, string>;
  };
  /** The provider, as `-c` flags. */
  configOverrides: Record<string, JsonValue>;
}

/** Limits of a wait for a request. */
export interface WaitForRequestOptions {
  /** Rejects the wait with its reason. */
  signal?: AbortSignal;
  /** Milliseconds until the wait rejects. Default 30,000. */
  timeoutMs?: number;
}

const SCRIPT: Kind = either(callback, kind("a list of turns", ["array"]));

const MODEL_OPTIONS: Shape = shape<ScriptedModelOptions>({ model: name });

const WAIT: Shape = shape<WaitForRequestOptions>({ signal, timeoutMs: milliseconds });

const CLIENT_OPTIONS: Shape = shape<ScriptedClientOptions>({
  codexPath: name,
  home: name,
  model: name,
  configOverrides: record(json),
  env: record(text),
});

/**
 * A server that speaks the Responses API on a free loopback port and plays a script, so that the **real**
 * `codex app-server` runs without an account or network.
 *
 * Without a script it plays the turns that {@linkcode script.inPrompt} wrote into the prompt, else it answers
 * `You said: <prompt>`. A request beyond the end of a list gets a 400 that says so.
 *
 * ```ts ignore
 * await using model = await testing.ScriptedModel.start([
 *   [testing.script.exec("ls"), testing.script.usage({ inputTokens: 100 })],
 *   "Two files.",
 * ]);
 * const result = await quickRun(cwd, "How many files?", { client: model.clientConfig() });
 * ```
 */
export class ScriptedModel implements AsyncDisposable {
  /** Requests for a model response, oldest first. */
  readonly requests: RecordedRequest[] = [];
  /** Base URL for a provider's `base_url`, such as `http://127.0.0.1:1234/v1`. */
  readonly url: string;

  readonly #server: HttpServer;
  readonly #homes: Homes;
  readonly #script: Script | undefined;
  readonly #model: string;
  readonly #closing = new AbortController();
  readonly #waiters = new Set<() => void>();
  readonly #rounds = new Map<string, number>();
  #lastId = 0;
  #nextTurn = 0;
  #taken = 0;
  #closed: Promise<void> | undefined;

  /** The same as {@linkcode close}. */
  // Set by the constructor: as a method, a key that is computed would keep the class in every bundle.
  declare readonly [Symbol.asyncDispose]: () => Promise<void>;

  private constructor(server: HttpServer, homes: Homes, model: string, script?: Script) {
    this.#server = server;
    this.#homes = homes;
    this.#model = model;
    this.#script = script;
    this.url = `http://127.0.0.1:${server.port}/v1`;
    this[Symbol.asyncDispose] = () => this.close();
  }

  /** Starts the server and makes the private homes. */
  static async start(script?: Script, options: ScriptedModelOptions = {}): Promise<ScriptedModel> {
    checkArgument("ScriptedModel.start", "script", script, SCRIPT);
    checkOptions("ScriptedModel.start", options, MODEL_OPTIONS);
    const { createHomes, SCRIPTED_MODEL, serveLoopback } = await import("./homes.ts");
    const homes = await createHomes();
    // The port is bound before the model exists; nobody knows it until this returns.
    const late: { model?: ScriptedModel } = {};
    const server = await serveLoopback((request, reply) => late.model!.#serve(request, reply))
      .catch(async (error) => {
        await homes.remove();
        throw error;
      });
    const model = new ScriptedModel(server, homes, options.model ?? SCRIPTED_MODEL, script);
    late.model = model;
    return model;
  }

  /**
   * A client configuration that points codex at this model. Codex's catalogue of plugins, which it fetches
   * from GitHub, and the skills that it brings with it are off; `configOverrides` turns them on again.
   */
  clientConfig(options: ScriptedClientOptions = {}): ScriptedClientConfig {
    checkOptions("clientConfig", options, CLIENT_OPTIONS);
    const provider = "model_providers.scripted";
    return {
      ...defined({ codexPath: options.codexPath }),
      env: {
        inherit: "minimal",
        set: {
          CODEX_HOME: options.home ?? this.#homes.codexHome,
          ...this.#homes.variables,
          NO_PROXY: "127.0.0.1",
          ...options.env,
        },
      },
      configOverrides: {
        model: options.model ?? this.#model,
        model_provider: "scripted",
        [`${provider}.name`]: "Scripted",
        [`${provider}.base_url`]: this.url,
        [`${provider}.wire_api`]: "responses",
        [`${provider}.request_max_retries`]: 0,
        [`${provider}.stream_max_retries`]: 0,
        // Without this codex 0.169 waits for ever for a provider that went away.
        "features.unbounded_connection_retries": false,
        // Codex asks GitHub for its catalogue of plugins, and waits for git when it ends.
        "features.plugins": false,
        // Codex writes its own skills into a new home: a fifth of the time that it takes to start.
        "skills.bundled.enabled": false,
        ...options.configOverrides,
      },
    };
  }

  /** The next request that `nextRequest()` has not returned yet, as soon as it arrives. */
  async nextRequest(options: WaitForRequestOptions = {}): Promise<RecordedRequest> {
    const index = this.#taken++;
    return await this.waitForRequest((request) => request.index === index, options);
  }

  /** The first request, past or future, that `predicate` accepts. */
  async waitForRequest(
    predicate: (request: RecordedRequest) => boolean,
    options: WaitForRequestOptions = {},
  ): Promise<RecordedRequest> {
    checkArgument("waitForRequest", "predicate", predicate, required(callback));
    checkOptions("waitForRequest", options, WAIT);
    const { signal, timeoutMs = 30_000 } = options;
    const outcome = Promise.withResolvers<RecordedRequest | { none: string }>();
    let seen = 0;
    const look = () => {
      for (; seen < this.requests.length; seen++) {
        const request = this.requests[seen]!;
        if (predicate(request)) return outcome.resolve(request);
      }
      if (this.#closed !== undefined) outcome.resolve({ none: "before the model was closed" });
    };
    this.#waiters.add(look);
    try {
      look();
      const late = { none: `within ${timeoutMs} ms` };
      const found = await abortable(within(outcome.promise, timeoutMs, late), signal);
      if (!("none" in found)) return found;
      throw new CodexError(
        "scriptedModel",
        `no matching model request ${found.none}; ${this.requests.length} request(s) arrived`,
      );
    } finally {
      this.#waiters.delete(look);
      // Ends the wait's timer when the signal was first.
      outcome.resolve({ none: "" });
    }
  }

  /** Drops every open response, stops the server and removes the private homes. Close codex first. */
  close(): Promise<void> {
    return this.#closed ??= this.#close();
  }

  async #close(): Promise<void> {
    this.#closing.abort();
    await Promise.resolve();
    for (const look of [...this.#waiters]) look();
    await this.#server.close();
    await this.#homes.remove();
  }

  async #serve(http: HttpRequest, reply: HttpReply): Promise<void> {
    const path = http.path.replace(/\?.*$/, "");
    if (path.endsWith("/models") && http.method === "GET") {
      const data = [{ id: this.#model, object: "model" }];
      return sendJson(reply, 200, { object: "list", data });
    }
    if (!path.endsWith("/responses")) return sendError(reply, 404, `nothing at ${http.path}`);
    // Codex may try a WebSocket first and falls back to POST on this answer.
    if (http.method !== "POST") return sendError(reply, 405, "only POST is served here");

    const { parseModelRequest } = await import("./model_request.ts");
    const request = parseModelRequest(http, this.requests.length, new Date());
    this.requests.push(request);
    for (const look of [...this.#waiters]) look();
    const signal = AbortSignal.any([http.gone, this.#closing.signal]);
    try {
      const turn = await this.#turnFor(request);
      const { play } = await import("./player.ts");
      await play(turn, reply, (prefix) => this.#id(prefix), signal, request.tools);
    } catch (error) {
      sendError(reply, 400, `ScriptedModel: ${messageOf(error)}`);
    }
  }

  async #turnFor(request: ModelRequest): Promise<ModelTurn> {
    const script = this.#script;
    if (typeof script === "function") return await script(request);
    if (script !== undefined) return pick(script, this.#nextTurn++, request);
    const prompt = newestPrompt(request);
    const text = request.userTexts[prompt] ?? "";
    const turns = fromPrompt(text);
    if (turns === null) return `You said: ${request.text}`;
    // Parallel threads do not disturb each other, and after a rewind or a compaction another prompt has the same place.
    const key = `${request.threadId} ${prompt} ${text}`;
    const round = this.#rounds.get(key) ?? 0;
    this.#rounds.set(key, round + 1);
    return pick(turns, round, request);
  }

  #id(prefix: string): string {
    return `${prefix}_${++this.#lastId}`;
  }
}

/** Which user message is the prompt. Codex 0.104 puts warnings behind it, as if the user had said them. */
function newestPrompt({ turnId, userTexts }: ModelRequest): number {
  let newest = userTexts.length - 1;
  while (turnId === null && newest > 0 && userTexts[newest]!.startsWith("Warning: ")) newest--;
  return newest;
}

function pick(turns: readonly ModelTurn[], n: number, request: ModelRequest): ModelTurn {
  const turn = turns[n];
  if (turn !== undefined) return turn;
  const asked = request.text.length > 200 ? request.text.slice(0, 200) + "…" : request.text;
  throw new RangeError(
    `the script has ${turns.length} turn(s), and this is request ${
      n + 1
    } (thread ${request.threadId}, ${request.toolOutputs.length} tool output(s), last user text: ${
      JSON.stringify(asked)
    }); add a turn`,
  );
}

function sendJson(reply: HttpReply, status: number, body: JsonValue): void {
  reply.send(status, { "content-type": "application/json" }, JSON.stringify(body));
}

function sendError(reply: HttpReply, status: number, message: string): void {
  sendJson(reply, status, { error: { message, type: "scripted_model", code: null } });
}
