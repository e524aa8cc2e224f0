/**
 * Images as bytes: a chart that the program has drawn goes along with the prompt, without a file. What the model could not
 * see is refused before anything is sent.
 *
 *     deno run --allow-run=codex --allow-read=. examples/images.ts --live
 */
import { Client, InvalidArgumentError } from "../mod.ts";
import { setup } from "./_setup.ts";

await using env = await setup((request) => {
  const images = JSON.stringify(request.body).match(/"input_image"/g)?.length ?? 0;
  return `I see ${images} image${images === 1 ? "" : "s"}.`;
});

/** Bars as a PNG, one pixel a unit. */
async function chart(values: number[]): Promise<Uint8Array> {
  const [width, height] = [values.length, Math.max(...values)];
  const rows = Array.from({ length: height }, (_, y) => [
    0,
    ...values.flatMap((value) => value >= height - y ? [200, 30, 30] : [255, 255, 255]),
  ]);
  const deflated = new Blob([Uint8Array.from(rows.flat())]).stream()
    .pipeThrough(new CompressionStream("deflate"));
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  // Eight bits each of red, green and blue.
  header.setUint16(8, 0x0802);
  const parts = [
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    chunk("IHDR", new Uint8Array(header.buffer)),
    chunk("IDAT", new Uint8Array(await new Response(deflated).arrayBuffer())),
    chunk("IEND", new Uint8Array()),
  ];
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function chunk(name: string, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(new TextEncoder().encode(name), 4);
  bytes.set(data, 8);
  let sum = ~0;
  for (const byte of bytes.subarray(4, 8 + data.length)) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  view.setUint32(8 + data.length, ~sum >>> 0);
  return bytes;
}

await using client = await Client.connect(env.client);
await using session = await client.startSession({ cwd: env.cwd });
const data = await chart([3, 5, 2, 8, 6]);
const { assistantText } = await session.ask({
  text: "Which bar is the highest?",
  attachments: [{ type: "image", data }],
});
console.log(assistantText);

// No model sees vectors: codex would leave them out without a word.
const svg = new Blob(["<svg/>"], { type: "image/svg+xml" });
const refused = await session.ask({
  text: "And here?",
  attachments: [{ type: "image", data: svg }],
})
  .catch((error) => error);
if (!(refused instanceof InvalidArgumentError)) throw new Error("it was sent");
console.log(`refused: ${refused.message}`);
