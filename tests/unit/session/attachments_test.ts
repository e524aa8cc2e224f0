import assert from "node:assert/strict";
import {
  AttachmentNotFoundError,
  InvalidArgumentError,
  PermissionDeniedError,
} from "../../../src/errors/mod.ts";
import { unrestrictedProbe } from "../../../src/permissions/probe.ts";
import { buildInput, type InputContext } from "../../../src/session/prompt/attachments.ts";
import { asAttachment, attachmentPaths } from "../../../src/session/prompt/input_text.ts";
import type { PathKind } from "../../../src/platform/mod.ts";
import type { Attachment } from "../../../src/prompt.ts";
import { test } from "../../_harness.ts";
import { type Picture, PICTURES } from "../_pictures.ts";
import { factsOf, probeOf } from "../permissions/_world.ts";

const { realPath } = factsOf({ "/ws/link": "/real/place" });

const bytesOf = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));
const textOf = ({ bytes }: Picture) => String.fromCharCode(...bytes);
const [PNG, JPEG, GIF, WEBP, LOSSY] = PICTURES.map(textOf) as [
  string,
  string,
  string,
  string,
  string,
];

/** What a path leads to, by a word in it. */
const KINDS: [string, PathKind][] = [
  ["missing", "missing"],
  ["folder", "directory"],
  ["pipe", "other"],
  ["loop", "unknown"],
];

function context(more: Partial<InputContext> = {}): InputContext {
  return {
    cwd: "/ws",
    serverVersion: "0.169.0",
    probe: unrestrictedProbe,
    files: {
      kind: (path) => KINDS.find(([word]) => path.includes(word))?.[1] ?? "file",
      realPath: (path) => path.includes("loop") || path.includes("gone") ? null : realPath(path),
      problem: (path) => path.includes("loop") ? "its links lead in a circle" : null,
      read: (path, at, length) =>
        Promise.resolve(
          (path.endsWith(".png") ? bytesOf(PNG) : bytesOf("other")).subarray(at, at + length),
        ),
    },
    ...more,
  };
}

const build = (
  text: string,
  attachments: (string | Attachment)[],
  more: Partial<InputContext> = {},
) => buildInput({ text, attachments }, context(more));

test("buildInput() sends a plain prompt as one text", async () => {
  assert.deepEqual(await buildInput("Hello", context()), [
    { type: "text", text: "Hello", text_elements: [] },
  ]);
});

test("buildInput() mentions a path on a line of its own, with its place in UTF-8 bytes", async () => {
  const input = await build("Grüße 🦕", ["ä.ts"]);
  assert.deepEqual(input, [{
    type: "text",
    text: "Grüße 🦕\n@/ws/ä.ts",
    text_elements: [{ byteRange: { start: 13, end: 23 } }],
  }]);
  const [item] = input as unknown as [
    { text: string; text_elements: [{ byteRange: { start: number; end: number } }] },
  ];
  const { start, end } = item.text_elements[0].byteRange;
  const bytes = new TextEncoder().encode(item.text).slice(start, end);
  assert.equal(new TextDecoder().decode(bytes), "@/ws/ä.ts");
});

test("buildInput() keeps a placeholder, and adds no empty lines", async () => {
  const read = await build("Read:\n", [{ type: "path", path: "a", placeholder: "[A]" }, "b"]);
  assert.deepEqual(read, [{
    type: "text",
    text: "Read:\n@/ws/a\n@/ws/b",
    text_elements: [
      { byteRange: { start: 6, end: 12 }, placeholder: "[A]" },
      { byteRange: { start: 13, end: 19 } },
    ],
  }]);
  assert.deepEqual(await build("", ["a"]), [{
    type: "text",
    text: "@/ws/a",
    text_elements: [{ byteRange: { start: 0, end: 6 } }],
  }]);
});

test("buildInput() sends the real path of everything, resolved against the cwd", async () => {
  const input = await build("Look", [
    "link/x",
    { type: "localImage", path: "link/i.png" },
    { type: "skill", name: "s", path: "../skills/SKILL.md" },
    { type: "mention", name: "m", path: "./link/m" },
    { type: "mention", name: "app", path: "app://connector" },
  ]);
  assert.deepEqual(input.slice(1), [
    { type: "localImage", path: "/real/place/i.png" },
    { type: "skill", name: "s", path: "/skills/SKILL.md" },
    { type: "mention", name: "m", path: "/real/place/m" },
    { type: "mention", name: "app", path: "app://connector" },
  ]);
  // Codex shows the model nothing of a mention by itself.
  const text = "Look\n@/real/place/x\n@/real/place/m\n[@app](app://connector)";
  assert.equal(input[0]!["text"], text);
  const elements = input[0]!["text_elements"] as { placeholder?: string }[];
  assert.deepEqual(elements.map(({ placeholder }) => placeholder), [undefined, "m", "app"]);
});

test("buildInput() puts the profile's attachments first", async () => {
  const input = await build("Look", ["own"], { attachments: ["shared"] });
  assert.equal(input[0]!["text"], "Look\n@/ws/shared\n@/ws/own");
});

/** Every kind of attachment that names a path. */
const AT = (path: string): Attachment[] => [
  asAttachment(path),
  { type: "localImage", path },
  { type: "skill", name: "s", path },
  { type: "mention", name: "m", path },
];

test("buildInput() reports a missing file with its absolute path", async (t) => {
  for (const attachment of AT("missing.ts")) {
    await t.step(attachment.type, () =>
      assert.rejects(build("x", [attachment]), (error) => {
        assert(error instanceof AttachmentNotFoundError);
        assert.equal(error.path, "/ws/missing.ts");
        return true;
      }));
  }
});

test("buildInput() takes only what can be read to its end, and says what is there", async (t) => {
  for (
    const [path, received] of [
      ["pipe", "a device, a pipe or a socket"],
      ["loop", "a path that can't be read: its links lead in a circle"],
      ["folder", "a directory"],
    ]
  ) {
    for (const attachment of AT(path!)) {
      if (path === "folder" && ["path", "mention"].includes(attachment.type)) {
        await build("x", [attachment]);
        continue;
      }
      await t.step(
        `${attachment.type} ${path}`,
        () =>
          assert.rejects(build("x", [attachment]), (error) => {
            assert(error instanceof InvalidArgumentError, String(error));
            assert.equal(error.received, received);
            assert.ok(error.message.includes(`${attachment.type} attachment /ws/${path} `));
            assert.doesNotMatch(error.message, /--allow/);
            return true;
          }),
      );
    }
  }
});

test("buildInput() needs read permission on the spelling and on the real path", async (t) => {
  const denied = (path: string, read: string[], expected: string[]) => () =>
    assert.rejects(build("x", [path], { probe: probeOf({ read }) }), (error) => {
      assert(error instanceof PermissionDeniedError, String(error));
      assert.deepEqual(error.missing, expected);
      return true;
    });
  await t.step("outside", denied("/etc/passwd", ["/ws"], ["--allow-read=/etc/passwd"]));
  await t.step("through a link", denied("link/x", ["/ws"], ["--allow-read=/real/place/x"]));
  await t.step(
    "missing files tell nothing",
    denied("/missing", ["/ws"], ["--allow-read=/missing"]),
  );
  await t.step("unfollowable", denied("/gone/x", ["/gone"], ["--allow-read"]));
  await t.step("inside", async () => {
    const input = await build("", ["a"], { probe: probeOf({ read: ["/ws"] }) });
    assert.equal(input[0]!["text"], "@/ws/a");
  });
});

test("buildInput() sends absolute paths unseen where nothing can look at files", async () => {
  assert.equal((await build("", ["a"], { files: null }))[0]!["text"], "@/ws/a");
});

test("buildInput() sends images by URL as the server's version takes them", async (t) => {
  const send = async (url: string, serverVersion: string | null) =>
    (await build("x", [{ type: "image", url }], { serverVersion }))[1];
  const data = `data:image/png;base64,${btoa(PNG)}`;
  await t.step("inline everywhere", async () => {
    for (const version of ["0.104.0", "0.169.0", null]) {
      assert.deepEqual(await send(data, version), { type: "image", url: data });
    }
  });
  await t.step("as codex wants base64: without lines, to its end, under its own type", async () => {
    const wrapped = btoa(PNG).replace(/.{20}/g, "$&\r\n").replace(/=+$/, "");
    for (
      const head of ["data:image/png;base64,", "DATA:image/svg+xml; x=y;Base64,", "data:;base64,"]
    ) {
      for (const body of [wrapped, `${btoa(PNG)}\n`]) {
        assert.deepEqual(await send(head + body, "0.169.0"), { type: "image", url: data });
      }
    }
  });
  await t.step("remote on old servers", async () => {
    const url = "https://example.com/a.png";
    assert.deepEqual(await send(url, "0.104.0"), { type: "image", url });
    assert.deepEqual(await send(url, "0.144.9"), { type: "image", url });
  });
  for (const version of ["0.145.0", "0.169.0", "1.0.0", null]) {
    await t.step(
      `remote is refused for ${version}`,
      () =>
        assert.rejects(send("https://example.com/secret.png", version), (error) => {
          assert(error instanceof InvalidArgumentError);
          assert.equal(error.argument, "url");
          assert.match(error.message, /does not fetch images.*`data`/);
          assert.doesNotMatch(error.message, /secret/);
          return true;
        }),
    );
  }
  for (
    const odd of [
      "data:image/png;base64,AAAA",
      `data:image/png;base64,${btoa(PNG.slice(0, 50))}`,
      `data:image/png;base64,${btoa(PNG).replace(/.{12}$/, "...........")}`,
      `data:image/png;base64,${btoa(PNG).replace(/.{12}$/, "=$&")}`,
      `data:image/png;base64,${btoa(PNG).replace(/=*$/, "====")}`,
      `data:image/png;base64,${btoa(PNG).replace(/(?<=^(?:.{4})*).{0,3}=*$/, "AAAAA")}`,
      "data:image/svg+xml;base64,PHN2Zy8+PHN2Zy8+PHN2Zy8+",
      "data:image/svg+xml,<svg/>",
      `data:,${PNG}`,
      "data:",
    ]
  ) {
    await t.step(
      `what codex would leave out is refused: ${odd.slice(0, 20)}`,
      () =>
        assert.rejects(send(odd, "0.169.0"), (error) => {
          assert(error instanceof InvalidArgumentError);
          assert.match(error.message, /a PNG, JPEG, GIF or WebP image, in base64/);
          assert.doesNotMatch(error.message, /svg/);
          return true;
        }),
    );
  }
  await t.step(
    "other schemes",
    () =>
      assert.rejects(
        send("file:///etc/passwd", "0.104.0"),
        /write `\{ type: "localImage", path \}`/,
      ),
  );
});

test("buildInput() sends images and sounds in memory as data: URLs of their own type", async (t) => {
  const send = async (type: "image" | "audio", data: Uint8Array | Blob, mimeType?: string) =>
    (await build("x", [
      { type, data, ...(mimeType === undefined ? {} : { mimeType }) } as Attachment,
    ]))[1]!["url"];
  const table: ["image" | "audio", string, string, string?][] = [
    ["image", PNG, "image/png"],
    ["image", JPEG, "image/jpeg", "image/jpg"],
    ["image", GIF, "image/gif"],
    ["image", GIF.replace("GIF89a", "GIF87a"), "image/gif"],
    ["image", WEBP, "image/webp", "IMAGE/WEBP"],
    ["image", LOSSY, "image/webp"],
    ["audio", "RIFF\x01\x02\x03\nWAVEfmt ", "audio/wav", "audio/x-wav"],
    ["audio", "ID3\x04", "audio/mpeg", "audio/mp3"],
    ["audio", "\xff\xfb\x90", "audio/mpeg"],
    ["audio", "\0\0\0\x18ftypM4A ", "audio/mp4", "audio/m4a"],
    ["audio", "\x1a\x45\xdf\xa3", "audio/webm"],
    ["audio", "OggS\0", "audio/ogg"],
  ];
  for (const [medium, text, type, name = type] of table) {
    await t.step(`${type} ${name}`, async () => {
      const url = `data:${type};base64,${btoa(text)}`;
      assert.equal(await send(medium, bytesOf(text)), url);
      assert.equal(await send(medium, bytesOf(text), name), url);
      // What a Blob says of itself is often only a guess.
      assert.equal(await send(medium, new Blob([bytesOf(text)], { type: "text/html" })), url);
      const other = medium === "image" ? "image/avif" : "audio/flac";
      await assert.rejects(send(medium, bytesOf(text), other), (error) => {
        assert(error instanceof InvalidArgumentError);
        assert.equal(error.argument, "mimeType");
        return error.message.includes(type);
      });
    });
  }
  const odd: ["image" | "audio", Uint8Array | Blob, RegExp][] = [
    ["image", bytesOf(""), /PNG, JPEG, GIF or WebP image; received no bytes/],
    ["image", bytesOf("<svg/>"), /PNG, JPEG, GIF or WebP image; received other bytes/],
    ["image", bytesOf("RIFF....WAVE"), /Convert it first/],
    ...PICTURES.map(({ bytes, whole }): ["image", Uint8Array, RegExp] => [
      "image",
      bytes.subarray(0, whole - 1),
      /received the beginning of an image\/\w+ without its end\. Get the whole of it/,
    ]),
    ["image", new Blob(["x"], { type: "image/png" }), /Convert it first/],
    ["audio", bytesOf("fLaC"), /WAV, MP3, M4A, WebM or Ogg/],
    ["audio", bytesOf(PNG), /WAV, MP3, M4A, WebM or Ogg/],
    [
      "audio",
      new Uint8Array((50 << 20) + 1),
      /at most 52428800; received 52428801 bytes of audio.*shorter/,
    ],
  ];
  for (const [medium, data, message] of odd) {
    await assert.rejects(send(medium, data), (error) => {
      assert(error instanceof InvalidArgumentError);
      assert.match(error.message, message);
      return error.argument === "data";
    });
  }
  const large = new Uint8Array(200_001).fill(7);
  large.set(bytesOf(PNG));
  const url = await send("image", large, "image/png") as string;
  assert.equal(atob(url.slice(url.indexOf(",") + 1)).length, large.length);
});

test("buildInput() looks whether a file is an image, where it can", async () => {
  const local = (path: string, more = {}) => build("x", [{ type: "localImage", path }], more);
  await assert.rejects(local("a.svg"), /`path` must be a PNG.*received a file with other bytes/);
  const { files } = context();
  const half = bytesOf(PNG).subarray(0, 50);
  const cut = { ...files!, read: (_: string, at: number) => Promise.resolve(half.subarray(at)) };
  await assert.rejects(local("a.png", { files: cut }), /`path` must be a PNG.*without its end/);
  const blind = { ...files!, read: () => Promise.reject(new Error("no")) };
  for (const more of [{ files: null }, { files: blind }]) {
    assert.deepEqual((await local("a.svg", more))[1], { type: "localImage", path: "/ws/a.svg" });
  }
});

test("buildInput() refuses empty input", async () => {
  for (const text of ["", "  \n"]) {
    await assert.rejects(buildInput(text, context()), (error) => {
      assert(error instanceof InvalidArgumentError);
      assert.equal(error.received, "an empty text");
      return true;
    });
  }
  assert.deepEqual(await build("", [{ type: "localImage", path: "a.png" }]), [
    { type: "localImage", path: "/ws/a.png" },
  ]);
});

test("attachmentPaths() lists what the agent may want to read", () => {
  const all: (string | Attachment)[] = [
    "a",
    { type: "skill", name: "s", path: "/s" },
    { type: "image", url: "data:" },
    { type: "mention", name: "m", path: "m" },
    { type: "mention", name: "m", path: "app://m" },
  ];
  assert.deepEqual(attachmentPaths(all, "/ws"), ["/ws/a", "/s", "/ws/m"]);
});
