import assert from "node:assert/strict";
import { WebError } from "../../../src/errors/mod.ts";
import { readBytes, readJson, withBody } from "../../../src/web/http/check_request.ts";
import { test } from "../../_harness.ts";

const LIMITS = { maxBytes: 1000, timeoutMs: 60_000 };

function post(body: BodyInit | null, headers: Record<string, string> = {}): Request {
  return new Request("http://x/", {
    method: "POST",
    body,
    headers,
    ...(body instanceof ReadableStream ? { duplex: "half" } : {}),
  } as RequestInit);
}

/** Bytes without end; counts how many were asked for. */
function endless(): { body: ReadableStream<Uint8Array>; read: () => number } {
  let read = 0;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      read += 100;
      controller.enqueue(new Uint8Array(100).fill(0x20));
    },
  });
  return { body, read: () => read };
}

async function refusal(
  request: Request,
  max = 1000,
  timeoutMs = 60_000,
): Promise<[number, string]> {
  try {
    await readJson(request, { maxBytes: max, timeoutMs });
  } catch (error) {
    assert.ok(error instanceof WebError);
    return [error.status, error.reason];
  }
  return [200, "accepted"];
}

test("readJson() reads JSON, and takes an empty body for an empty object", async () => {
  assert.deepEqual(await readJson(post('{"text":"hé"}'), LIMITS), { text: "hé" });
  assert.deepEqual(await readJson(post(null), LIMITS), {});
  assert.deepEqual(await readJson(post(" "), LIMITS), {});
});

test("readJson() does not take a body that somebody else has read for an empty one", async () => {
  const headers = { "content-length": "11" };
  // As Express's json() leaves it behind, and another handler that has read the request.
  for (const body of [null, ""]) {
    assert.deepEqual(await refusal(post(body, headers)), [500, "bodyRead"]);
  }
  const parsed = post('{"text":"x"}', headers);
  await parsed.text();
  assert.deepEqual(await refusal(parsed), [500, "bodyRead"]);
  assert.deepEqual(await readJson(post("", { "content-length": "0" }), LIMITS), {});
  const asked = new Request("http://x/", { headers });
  assert.equal((await readBytes(asked, LIMITS)).length, 0);
});

test("readJson() counts bytes, not characters", async () => {
  assert.deepEqual(await refusal(post(JSON.stringify("é".repeat(499))), 1000), [200, "accepted"]);
  assert.deepEqual(await refusal(post(JSON.stringify("é".repeat(500))), 1000), [413, "tooLarge"]);
});

test("readJson() refuses an announced size without reading", async () => {
  const request = post("{}", { "content-length": "1001" });
  assert.deepEqual(await refusal(request), [413, "tooLarge"]);
});

test("readJson() does not wait for what is left unread of a body to end", async () => {
  const body = new ReadableStream<Uint8Array>({ cancel: () => new Promise(() => {}) });
  assert.deepEqual(await refusal(post(body, { "content-length": "1001" })), [413, "tooLarge"]);
  // As frameworks mount a handler: with a copy of the request.
  const copy = new Request("http://x/", post("x".repeat(3000), { "content-length": "3000" }));
  assert.deepEqual(await refusal(copy), [413, "tooLarge"]);
});

test("readJson() stops reading a body without end", async () => {
  const { body, read } = endless();
  assert.deepEqual(await refusal(post(body)), [413, "tooLarge"]);
  assert.ok(read() < 3_000, `${read()} bytes were read`);
});

test("readJson() refuses what is not JSON or not UTF-8", async () => {
  assert.deepEqual(await refusal(post("{")), [400, "invalidJson"]);
  assert.deepEqual(await refusal(post(new Uint8Array([0x22, 0xff, 0x22]))), [400, "invalidJson"]);
});

test("readJson() gives up a body that does not come, however it dribbles", async () => {
  let cancelled = 0;
  for (const everyMs of [Infinity, 1]) {
    let dribble: ReturnType<typeof setInterval> | undefined;
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        if (everyMs === Infinity) return;
        dribble = setInterval(() => controller.enqueue(Uint8Array.of(0x20)), everyMs);
      },
      cancel() {
        clearInterval(dribble);
        cancelled++;
      },
    });
    assert.deepEqual(await refusal(post(body), 1e9, 30), [408, "bodyTimeout"]);
  }
  assert.equal(cancelled, 2);
});

test("readJson() refuses a body that breaks off", async () => {
  const body = new ReadableStream<Uint8Array>({
    pull: () => Promise.reject(new Error("reset")),
  });
  assert.deepEqual(await refusal(post(body)), [400, "invalidJson"]);
});

test("a body that was read is there to be read again, also one of no bytes", async () => {
  const nothing = () => new ReadableStream<Uint8Array>({ start: (body) => body.close() });
  for (
    const [body, told] of [['{"a":1}', { a: 1 }], ["", {}], [nothing(), {}], [null, {}]] as const
  ) {
    const request = post(body);
    const bytes = await readBytes(request, LIMITS);
    assert.deepEqual(await readJson(withBody(request, bytes), LIMITS), told);
  }
});
