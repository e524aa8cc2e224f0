/** What is sent along with a prompt reaches the model, or is refused before anything is sent. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { InvalidArgumentError, UnsupportedError } from "../../src/errors/mod.ts";
import type { Attachment } from "../../src/prompt.ts";
import { CODEX_VERSIONS, codexes, codexPath } from "../_codex.ts";
import { test } from "../_harness.ts";
import { inWorld, rejection, SOON_MS, within, type World } from "./_session_world.ts";

const bytes = (base64: string) => Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
const PNG_TEXT =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const PNG = bytes(PNG_TEXT);
/** As the program `base64` writes it. */
const LINES = `data:image/png;base64,${PNG_TEXT.replace(/.{76}/g, "$&\n")}\n`;
const GIF = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";
const WEBP = "UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==";

/** A tenth of a second of silence, as WAV. */
function silence(): Uint8Array {
  const samples = 800;
  const view = new DataView(new ArrayBuffer(44 + 2 * samples));
  const word = (at: number, text: string) => {
    for (let i = 0; i < text.length; i++) view.setUint8(at + i, text.charCodeAt(i));
  };
  word(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples, true);
  word(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  for (const [at, value] of [[20, 1], [22, 1], [32, 2], [34, 16]] as const) {
    view.setUint16(at, value, true);
  }
  view.setUint32(24, 8_000, true);
  view.setUint32(28, 16_000, true);
  word(36, "data");
  view.setUint32(40, 2 * samples, true);
  return new Uint8Array(view.buffer);
}

/** A list of models for this codex, made from its own. */
async function catalog(world: World, senses: Record<string, string[]>): Promise<string> {
  const folder = join(world.cwd, "..", "catalog");
  await mkdir(folder);
  const env = { ...process.env, CODEX_HOME: folder };
  const all = execFileSync(await codexPath(world.version), ["debug", "models", "--bundled"], {
    env,
    stdio: ["ignore", "pipe", "ignore"],
    maxBuffer: 64 << 20,
  });
  const [model] = JSON.parse(String(all)).models as Record<string, unknown>[];
  const plain = { ...model, use_responses_lite: false, tool_mode: undefined };
  const models = Object.entries(senses).map(([slug, input_modalities]) => ({
    ...plain,
    slug,
    input_modalities,
  }));
  const path = join(folder, "models.json");
  await writeFile(path, JSON.stringify({ models }));
  return path;
}

/** A skill below a directory. */
async function skill(root: string, name: string): Promise<string> {
  await mkdir(join(root, name), { recursive: true });
  const path = join(root, name, "SKILL.md");
  await writeFile(path, `---\nname: ${name}\ndescription: Does ${name}\n---\nBODY-OF-${name}\n`);
  return path;
}

for (const version of CODEX_VERSIONS) {
  test(
    `what is attached reaches the model [${version}]`,
    () =>
      inWorld(version, async (world) => {
        await writeFile(join(world.cwd, "note.txt"), "x");
        await writeFile(join(world.cwd, "pixel.png"), PNG);
        const known = await skill(join(world.cwd, ".agents", "skills"), "known");
        const elsewhere = await skill(join(world.cwd, "elsewhere"), "elsewhere");
        await symlink(known, join(world.cwd, "link.md"));
        const client = await world.connect();
        const session = await client.startSession({ cwd: world.cwd });
        const attached: [Attachment, RegExp][] = [
          [{ type: "path", path: "note.txt" }, /@\/\S+\/w\/note\.txt/],
          [{ type: "mention", name: "the note", path: "note.txt" }, /@\/\S+\/w\/note\.txt/],
          [
            { type: "mention", name: "GitHub", path: "app://github" },
            /\[@GitHub\]\(app:\/\/github\)/,
          ],
          [{ type: "skill", name: "known", path: known }, /<skill>\\n<name>known.*BODY-OF-known/],
          [
            { type: "skill", name: "known", path: "link.md" },
            /<skill>\\n<name>known.*BODY-OF-known/,
          ],
          [
            { type: "skill", name: "elsewhere", path: elsewhere },
            /<skill>\\n<name>elsewhere.*BODY-OF-elsewhere/,
          ],
          [{ type: "localImage", path: "pixel.png" }, /data:image\/png;base64,iVBOR/],
          [{ type: "image", data: PNG }, /data:image\/png;base64,iVBOR/],
          [{ type: "image", data: new Blob([PNG]) }, /data:image\/png;base64,iVBOR/],
          [{ type: "image", url: LINES }, /data:image\/png;base64,iVBOR/],
          [{ type: "image", data: bytes(GIF) }, /"image_url":"data:image\/(?:gif|png);base64,/],
          [{ type: "image", data: bytes(WEBP) }, /"image_url":"data:image\/(?:webp|png);base64,/],
        ];
        for (const [attachment, seen] of attached) {
          const { turnId } = await session.ask({ text: "Look", attachments: [attachment] });
          const input = (world.model.requests.at(-1)!.body["input"] as unknown[]).map((item) =>
            JSON.stringify(item)
          );
          const own = input.slice(input.findLastIndex((item) => item.includes("Look")));
          assert.match(own.join("\n"), seen, `${JSON.stringify(attachment)} ${turnId}`);
        }
      }),
  );

  test(
    `what can't be read to its end is refused at once [${version}]`,
    () =>
      inWorld(version, async (world) => {
        const at = (name: string) => join(world.cwd, name);
        execFileSync("mkfifo", [at("pipe")]);
        await symlink(at("loop"), at("loop"));
        await symlink("/dev/zero", at("endless"));
        await mkdir(at("folder"));
        const client = await world.connect();
        const session = await client.startSession({ cwd: world.cwd });
        const paths = [
          "pipe",
          "loop",
          "endless",
          "/dev/zero",
          "a".repeat(5_000),
          "nul\0",
          "folder",
        ];
        for (const path of paths) {
          for (
            const attachment of [
              { type: "path", path },
              { type: "localImage", path },
              { type: "skill", name: "s", path },
              { type: "mention", name: "m", path },
            ] as const
          ) {
            if (path === "folder" && ["path", "mention"].includes(attachment.type)) continue;
            const asked = session.ask({ text: "Look", attachments: [attachment] });
            const error = await within(SOON_MS, path.slice(0, 20), rejection(asked));
            assert.ok(
              error instanceof InvalidArgumentError,
              `${attachment.type} ${path} → ${error}`,
            );
            assert.doesNotMatch(error.message, /--allow/);
          }
        }
        const { assistantText } = await session.ask("Still there?");
        assert.equal(assistantText, "You said: Still there?");
        assert.equal(world.model.requests.length, 1);
      }),
  );
}

for (const version of codexes("0.169.0", "0.145.0", "0.125.0", "0.104.0")) {
  test(`what a model can't see or hear is refused, and a sound is heard [${version}]`, () =>
    inWorld(version, async (world) => {
      const hears = version === "0.169.0" || version === "0.145.0";
      const image: Attachment = { type: "image", data: PNG };
      const sound: Attachment = { type: "audio", data: silence() };
      const senses = {
        "scripted-model": ["text", "image", "audio"],
        sees: ["text", "image"],
        reads: ["text"],
      };
      const client = await world.connect(
        { maxMessageBytes: 1 << 20 },
        hears ? { configOverrides: { model_catalog_json: await catalog(world, senses) } } : {},
      );
      const session = await client.startSession({ cwd: world.cwd });
      const refused = async (attachments: Attachment[], model?: string) =>
        await rejection(
          session.ask({ text: "Look", attachments }, model === undefined ? {} : { model }),
        );

      const large = new Uint8Array(1 << 20);
      large.set(PNG);
      const tooLarge = await refused([{ type: "image", data: large }]);
      assert.ok(tooLarge instanceof InvalidArgumentError, `${tooLarge}`);
      assert.match(tooLarge.message, /must be at most \d+.*received 139\d+ bytes.*maxMessageBytes/);
      const half = { type: "image" as const, data: large.subarray(0, 400 << 10) };
      assert.match(String(await refused([half, half])), /all attachments of the prompt together/);
      await writeFile(join(world.cwd, "half.png"), PNG.subarray(0, PNG.length / 2));
      const cut = await refused([{ type: "localImage", path: "half.png" }]);
      assert.match(String(cut), /received the beginning of an image\/png without its end/);
      const noImage = await refused([{ type: "localImage", path: "/etc/hostname" }]);
      assert.match(String(noImage), /received a file with other bytes/);

      if (!hears) {
        const old = await refused([sound]);
        assert.ok(old instanceof UnsupportedError, `${old}`);
        assert.equal(old.since, "0.145.0");
        assert.equal(world.model.requests.length, 0);
        return;
      }
      for (
        const [attachment, model, message] of [
          [sound, "sees", /takes text and image only.*hears audio/],
          [sound, "unheard-of", /takes text and image only.*hears audio/],
          [sound, "reads", /takes text only/],
          [image, "reads", /takes text only.*sees images/],
        ] as const
      ) {
        const error = await refused([attachment], model);
        assert.ok(error instanceof InvalidArgumentError, `${error}`);
        assert.match(error.message, message);
      }
      assert.equal(world.model.requests.length, 0);
      // The same when it is added to a turn at work.
      await session.update({ model: "sees" });
      world.hold = true;
      const stream = await session.askStream("Wait");
      const steered = await rejection(stream.steer({ text: "Listen", attachments: [sound] }));
      assert.ok(steered instanceof InvalidArgumentError, `${steered}`);
      await stream.interrupt();
      await rejection(stream.finish());
      world.hold = false;

      await session.ask({ text: "Listen", attachments: [sound, image] }, {
        model: "scripted-model",
      });
      const input = JSON.stringify(world.model.requests.at(-1)!.body["input"]);
      assert.match(input, /"type":"input_audio","audio_url":"data:audio\/wav;base64,UklGR/);
      assert.match(input, /"type":"input_image"/);
      assert.doesNotMatch(input, /content omitted/);
    }));
}
