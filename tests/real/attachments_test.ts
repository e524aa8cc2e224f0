/** What is sent along with a prompt reaches the model, or is refused before anything is sent. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { InvalidArgumentError } from "../../src/errors/mod.ts";
import type { Attachment } from "../../src/prompt.ts";
import { CODEX_VERSIONS } from "../_codex.ts";
import { test } from "../_harness.ts";
import { inWorld, rejection, within } from "./_session_world.ts";

const PNG = Uint8Array.from(
  atob(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  ),
  (char) => char.charCodeAt(0),
);

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
    { timeoutMs: 40_000 },
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
    { timeoutMs: 40_000 },
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
            const error = await within(2_000, path.slice(0, 20), rejection(asked));
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
