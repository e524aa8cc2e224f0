/**
 * Requests on their way to the node that has the session.
 * @module
 */
import { abortable, longInterval, within } from "../../async.ts";
import { WebError } from "../../errors/mod.ts";
import { base64, bytesOfBase64, isJsonObject } from "../../json.ts";
import { randomId } from "../http/refusals.ts";

/** The header that tells the owner whose request it is, signed with the cluster's secret. */
export const FORWARD_HEADER = "x-codex-forwarded";

/** Milliseconds that a forwarded request may be on its way, clocks that differ included. */
const MAX_AGE_MS = 60_000;

/** A request to pass on. */
export interface Forwarded {
  /** The method. */
  method: string;
  /** Path and query. */
  target: string;
  /** Who asks. */
  tenant: string;
  /** The body's bytes; empty without one. */
  body: Uint8Array;
}

/** Signs and checks requests between the nodes: each is for one node and counts once. */
export class Forwarder {
  readonly #key: Promise<CryptoKey>;
  readonly #here: string;
  readonly #now: () => number;
  /** Requests that were taken, by when they are too old anyway. */
  readonly #taken: Map<string, number> = new Map();

  /** Takes the secret that all nodes know and this node's address. */
  constructor(secret: string, url: string, now: () => number = Date.now) {
    this.#here = addressOf(url);
    this.#now = now;
    this.#key = crypto.subtle.importKey(
      "raw",
      new TextEncoder().encode(secret),
      { name: "HMAC", hash: "SHA-256" },
      false,
      ["sign", "verify"],
    );
    this.#key.catch(() => {});
  }

  /** The header's value for a request to the node at this address. */
  async sign(request: Forwarded, to: string): Promise<string> {
    const { tenant, body } = request;
    const told = {
      tenant,
      at: this.#now(),
      to: addressOf(to),
      once: randomId("", 12),
      body: await hashOf(body),
    };
    const claims = encode(new TextEncoder().encode(JSON.stringify(told)));
    const mac = await crypto.subtle.sign("HMAC", await this.#key, signed(claims, request));
    return `${claims}.${encode(new Uint8Array(mac))}`;
  }

  /**
   * Whose request it is, and its body, which is read only when a node of the cluster has made the header for this request and
   * this node, and it has not been here before. Throws `WebError` 401 else.
   */
  async verify(
    header: string,
    request: Pick<Forwarded, "method" | "target">,
    read: () => Promise<Uint8Array>,
  ): Promise<Pick<Forwarded, "tenant" | "body">> {
    const [claims = "", mac = "", ...rest] = header.split(".");
    const bytes = decode(mac);
    const text = decode(claims);
    const valid = rest.length === 0 && bytes !== null && text !== null &&
      await crypto.subtle.verify("HMAC", await this.#key, bytes, signed(claims, request));
    if (valid) {
      const told: unknown = JSON.parse(new TextDecoder().decode(text));
      if (isJsonObject(told)) {
        const { tenant, at, to, once, body: hash } = told;
        if (
          typeof tenant === "string" && typeof at === "number" && typeof once === "string" &&
          to === this.#here && Math.abs(this.#now() - at) < MAX_AGE_MS && this.#take(once)
        ) {
          const body = await read();
          if (await hashOf(body) === hash) return { tenant, body };
        }
      }
    }
    throw new WebError(401, "unauthorized", "Sign in first.");
  }

  /** `false` the second time. Remembered for as long as it could be valid by any clock. */
  #take(once: string): boolean {
    const now = this.#now();
    for (const [old, until] of this.#taken) {
      if (until > now) break;
      this.#taken.delete(old);
    }
    if (this.#taken.has(once)) return false;
    this.#taken.set(once, now + 2 * MAX_AGE_MS);
    return true;
  }
}

/** Without what tells a node from the one that was there before. */
function addressOf(url: string): string {
  return new URL(url).href.replace(/#.*$/, "");
}

/** What the signature covers; the claims name the body. */
function signed(
  claims: string,
  { method, target }: Pick<Forwarded, "method" | "target">,
): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode([claims, method, target].join("\n"));
}

async function hashOf(body: Uint8Array): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", body as Uint8Array<ArrayBuffer>);
  return encode(new Uint8Array(hash));
}

function encode(bytes: Uint8Array): string {
  return base64(bytes).replaceAll("+", "-").replaceAll("/", "_");
}

function decode(text: string): Uint8Array<ArrayBuffer> | null {
  try {
    return bytesOfBase64(text.replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    return null;
  }
}

/** What passing on needs to know. */
export interface ForwardOptions {
  /** Milliseconds without an answer after which `stillThere` is asked. */
  patienceMs: number;
  /** Milliseconds of a stream's silence after which it is ended, so that the browser comes back. */
  silenceMs: number;
  /** Whether that node still has the session. */
  stillThere: () => Promise<boolean>;
  /** Path at which that node answers at once, whatever else it does. */
  health: string;
  /** Nothing comes back from there. */
  onSilent: () => void;
  /** Ends the request, or the stream that answers it. */
  gone: AbortController;
  /** Whether an answer that ends before its time is broken off, since its reader would take a part for the whole. */
  breaks: boolean;
  /** The answer is all told, or nobody wants it any more. */
  onEnd: () => void;
}

/** Headers that go along with a request. */
const PASSED = ["content-type", "last-event-id", "accept"];
/** Those of its answer. */
const GIVEN_BACK = [
  "content-type",
  "retry-after",
  "x-accel-buffering",
  "allow",
  "x-vercel-ai-ui-message-stream",
];

/**
 * Passes a request on and gives the answer back, byte by byte. Throws `WebError` 503 when the owner does not answer:
 * whether it did what it was asked is not known then.
 */
export async function forward(
  url: string,
  request: Forwarded,
  headers: Headers,
  signature: string,
  options: ForwardOptions,
): Promise<Response> {
  const { gone } = options;
  let answered = false;
  const leave = () => answered || gone.abort();
  // It may keep the session and be out of reach from here.
  const isThere = async () => {
    if (!await options.stillThere()) return false;
    const reached = await answers(new URL(options.health, url), options.patienceMs);
    if (!reached && !answered) options.onSilent();
    return reached;
  };
  const sent = named(PASSED, headers);
  sent.set(FORWARD_HEADER, signature);
  const watch = longInterval(() => {
    isThere().then((there) => there || leave(), leave);
  }, options.patienceMs);
  try {
    const asked = fetch(new URL(request.target, url), {
      method: request.method,
      headers: sent,
      redirect: "manual",
      signal: gone.signal,
      ...(request.body.length === 0 ? {} : { body: request.body as Uint8Array<ArrayBuffer> }),
    });
    // What comes when it was given up is not left open.
    asked.then(async ({ body }) => {
      if (gone.signal.aborted) await body?.cancel();
    }).catch(() => {});
    const response = await abortable(asked, gone.signal);
    answered = true;
    // Who asks has signed in: it is this node that is not believed.
    if (response.status === 401) {
      gone.abort();
      throw new Error("The nodes' secrets, or their clocks, differ.");
    }
    const body = response.body === null
      ? null
      : unlessSilent(response.body as ReadableStream<Uint8Array>, options);
    if (body === null) options.onEnd();
    return new Response(body, {
      status: response.status,
      headers: named(GIVEN_BACK, response.headers),
    });
  } catch (error) {
    options.onEnd();
    throw unreachable(error);
  } finally {
    clearInterval(watch);
  }
}

/** Those of the headers that have one of the names. */
function named(names: readonly string[], headers: Headers): Headers {
  return new Headers([...headers].filter(([name]) => names.includes(name)));
}

/** The owner is somewhere else, and can't be asked. */
export function unreachable(cause?: unknown): WebError {
  return new WebError(
    503,
    "ownerUnreachable",
    "The server that has this session does not answer. Try again in a moment.",
    { cause },
  );
}

/** Whether anything at all comes back from there. */
async function answers(url: URL, ms: number): Promise<boolean> {
  const late = new AbortController();
  const asked = fetch(url, { redirect: "manual", signal: late.signal });
  const there = asked.then((response) => response.body?.cancel()).then(() => true, () => false);
  const answered = await within(there, ms, false);
  late.abort();
  return answered;
}

/** The answer, ended when nothing comes for long: a node that was stopped closes no connection. */
function unlessSilent(
  body: ReadableStream<Uint8Array>,
  { silenceMs, gone, breaks, onEnd }: ForwardOptions,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  // The signal alone does not always end an answer that has begun (Deno 2.9 may forget it).
  const leave = () => void reader.cancel().catch(() => {});
  if (gone.signal.aborted) leave();
  else gone.signal.addEventListener("abort", leave, { once: true });
  return new ReadableStream<Uint8Array>({
    async pull(controller): Promise<void> {
      const next = await within(reader.read().catch(() => null), silenceMs, null);
      if (next !== null && !next.done) return controller.enqueue(next.value);
      if (next === null) gone.abort();
      onEnd();
      // What was given up ends as if it were over.
      if (breaks && gone.signal.aborted) throw unreachable();
      controller.close();
    },
    cancel(): void {
      onEnd();
      gone.abort();
    },
  });
}
