import assert from "node:assert/strict";
import {
  AttachmentNotFoundError,
  PermissionDeniedError,
  RpcValidationError,
} from "../../../src/errors/mod.ts";
import { unrestrictedProbe } from "../../../src/permissions/probe.ts";
import {
  attachmentPaths,
  buildInput,
  type InputContext,
} from "../../../src/session/prompt/attachments.ts";
import type { Attachment } from "../../../src/prompt.ts";
import { test } from "../../_harness.ts";
import { factsOf, probeOf } from "../permissions/_world.ts";

const { realPath } = factsOf({ "/ws/link": "/real/place" });

function context(more: Partial<InputContext> = {}): InputContext {
  return {
    cwd: "/ws",
    serverVersion: "0.169.0",
    probe: unrestrictedProbe,
    files: {
      kind: (path) => path.includes("missing") ? "missing" : "file",
      realPath,
    },
    ...more,
  };
}

const build = (
  text: string,
  attachments: (string | Attachment)[],
  more: Partial<InputContext> = {},
) => buildInput({ text, attachments }, context(more));

test("buildInput() sends a plain prompt as one text", () => {
  assert.deepEqual(buildInput("Hello", context()), [
    { type: "text", text: "Hello", text_elements: [] },
  ]);
});

test("buildInput() mentions a path on a line of its own, with its place in UTF-8 bytes", () => {
  assert.deepEqual(build("Grüße 🦕", ["ä.ts"]), [{
    type: "text",
    text: "Grüße 🦕\n@/ws/ä.ts",
    text_elements: [{ byteRange: { start: 13, end: 23 } }],
  }]);
  const [item] = build("Grüße 🦕", ["ä.ts"]) as [
    { text: string; text_elements: [{ byteRange: { start: number; end: number } }] },
  ];
  const { start, end } = item.text_elements[0].byteRange;
  const bytes = new TextEncoder().encode(item.text).slice(start, end);
  assert.equal(new TextDecoder().decode(bytes), "@/ws/ä.ts");
});

test("buildInput() keeps a placeholder, and adds no empty lines", () => {
  assert.deepEqual(build("Read:\n", [{ type: "path", path: "a", placeholder: "[A]" }, "b"]), [{
    type: "text",
    text: "Read:\n@/ws/a\n@/ws/b",
    text_elements: [
      { byteRange: { start: 6, end: 12 }, placeholder: "[A]" },
      { byteRange: { start: 13, end: 19 } },
    ],
  }]);
  assert.deepEqual(build("", ["a"]), [{
    type: "text",
    text: "@/ws/a",
    text_elements: [{ byteRange: { start: 0, end: 6 } }],
  }]);
});

test("buildInput() sends the real path of everything, resolved against the cwd", () => {
  const input = build("Look", [
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
  assert.equal(input[0]!["text"], "Look\n@/real/place/x");
});

test("buildInput() puts the profile's attachments first", () => {
  const input = build("Look", ["own"], { attachments: ["shared"] });
  assert.equal(input[0]!["text"], "Look\n@/ws/shared\n@/ws/own");
});

test("buildInput() reports a missing file with its absolute path", async (t) => {
  for (
    const attachment of [
      "missing.ts",
      { type: "localImage", path: "missing.ts" },
      { type: "skill", name: "s", path: "missing.ts" },
      { type: "mention", name: "m", path: "missing.ts" },
    ] as (string | Attachment)[]
  ) {
    await t.step(JSON.stringify(attachment), () => {
      assert.throws(() => build("x", [attachment]), (error) => {
        assert(error instanceof AttachmentNotFoundError);
        assert.equal(error.path, "/ws/missing.ts");
        return true;
      });
    });
  }
});

test("buildInput() needs read permission on the spelling and on the real path", async (t) => {
  const denied = (path: string, read: string[], expected: string[]) => () =>
    assert.throws(() => build("x", [path], { probe: probeOf({ read }) }), (error) => {
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
  await t.step("inside", () => {
    assert.equal(build("", ["a"], { probe: probeOf({ read: ["/ws"] }) })[0]!["text"], "@/ws/a");
  });
});

test("buildInput() sends absolute paths unseen where nothing can look at files", () => {
  const blind = { kind: () => "unknown" as const, realPath: () => null };
  assert.equal(build("", ["a"], { files: blind })[0]!["text"], "@/ws/a");
});

test("buildInput() sends images by URL as the server's version takes them", async (t) => {
  const send = (url: string, serverVersion: string | null) =>
    build("x", [{ type: "image", url }], { serverVersion })[1];
  const data = "data:image/png;base64,AAAA";
  await t.step("inline everywhere", () => {
    for (const version of ["0.104.0", "0.169.0", null]) {
      assert.deepEqual(send(data, version), { type: "image", url: data });
    }
  });
  await t.step("remote on old servers", () => {
    const url = "https://example.com/a.png";
    assert.deepEqual(send(url, "0.104.0"), { type: "image", url });
    assert.deepEqual(send(url, "0.144.9"), { type: "image", url });
  });
  for (const version of ["0.145.0", "0.169.0", "1.0.0", null]) {
    await t.step(`remote is refused for ${version}`, () => {
      assert.throws(() => send("https://example.com/secret.png", version), (error) => {
        assert(error instanceof RpcValidationError);
        assert.equal(error.path, "$.input[1].url");
        assert.doesNotMatch(error.message, /secret/);
        return true;
      });
    });
  }
  await t.step("other schemes", () => {
    assert.throws(() => send("file:///etc/passwd", "0.104.0"), RpcValidationError);
  });
});

test("buildInput() refuses empty input", () => {
  for (const text of ["", "  \n"]) {
    assert.throws(() => buildInput(text, context()), (error) => {
      assert(error instanceof RpcValidationError);
      assert.equal(error.path, "$.input");
      return true;
    });
  }
  assert.deepEqual(build("", [{ type: "localImage", path: "a.png" }]), [
    { type: "localImage", path: "/ws/a.png" },
  ]);
});

test("attachmentPaths() lists what the agent may want to read", () => {
  assert.deepEqual(
    attachmentPaths(["a", { type: "skill", name: "s", path: "/s" }, {
      type: "image",
      url: "data:",
    }], "/ws"),
    ["/ws/a", "/s"],
  );
});
