import assert from "node:assert/strict";
import { straySkill } from "../../../src/session/policy/project_files.ts";
import { test } from "../../_harness.ts";

/** What lies where: `""` is a file or directory, `?` can't be looked at, anything else a link to there (`!`: nobody knows). */
type Files = Record<string, string>;

const look = (files: Files) => {
  const all = new Set(
    Object.keys(files).flatMap((path) => {
      const parts = path.split("/");
      return parts.slice(1).map((_, i) => parts.slice(0, i + 2).join("/"));
    }),
  );
  return {
    kind: (path: string) => {
      const is = files[path] ?? "";
      if (!all.has(path)) return "missing" as const;
      return is === "" ? "other" as const : is === "?" ? "unknown" as const : "link" as const;
    },
    realPath: (path: string) => files[path] === "!" ? null : files[path] || path,
    names: (path: string) =>
      [...all].filter((each) => each.slice(0, each.lastIndexOf("/")) === path)
        .map((each) => each.slice(path.length + 1)),
  };
};

test("straySkill() finds whatever may lead codex to read elsewhere", () => {
  const at = "/r/w/.agents/skills";
  const rows: [name: string, files: Files, stray: string | null][] = [
    ["nothing there", {}, null],
    ["a skill of its own", { [`${at}/a/SKILL.md`]: "", [`${at}/b/SKILL.md`]: "" }, null],
    ["a link to another tenant", { [`${at}/a`]: "/r/bob/skills/a" }, `${at}/a`],
    ["deeper", { [`${at}/a/b/c`]: "/etc" }, `${at}/a/b/c`],
    ["behind many good ones", { [`${at}/a/SKILL.md`]: "", [`${at}/z`]: "/etc" }, `${at}/z`],
    ["a file", { [`${at}/a/SKILL.md`]: "/etc/passwd" }, `${at}/a/SKILL.md`],
    ["where the agent writes", { [`${at}/a`]: "/r/w/mine" }, `${at}/a`],
    ["a neighbour of the same name", { [`${at}/a`]: `${at}-2/a` }, `${at}/a`],
    ["beside the skills", { [`${at}/a`]: "/r/w/.agents/other" }, `${at}/a`],
    ["another of the skills", { [`${at}/a`]: `${at}/b`, [`${at}/b/SKILL.md`]: "" }, null],
    ["a link to nobody knows", { [`${at}/a`]: "!" }, `${at}/a`],
    ["what can't be looked at", { [`${at}/a`]: "?" }, `${at}/a`],
    ["all of the skills", { [at]: "/r/bob/skills" }, at],
    ["the folder", { "/r/w/.agents": "/r/bob/.agents" }, "/r/w/.agents"],
    ["the other folder", { "/r/w/.codex/skills/a": "/etc" }, "/r/w/.codex/skills/a"],
    ["what is no skill", { "/r/w/.agents/a": "/etc", "/r/w/skills/a": "/etc" }, null],
    ["above what may be read", { "/r/.agents/skills/a": "/etc" }, null],
  ];
  for (const [name, files, stray] of rows) {
    assert.equal(straySkill({ cwd: "/r/w", readRoots: ["/r/w"] }, look(files)), stray, name);
  }
  const above = look({ "/r/.agents/skills/a": "/etc" });
  assert.equal(straySkill({ cwd: "/r/w", readRoots: ["/r"] }, above), "/r/.agents/skills/a");
  assert.equal(straySkill({ cwd: "/r/w", readRoots: "all" }, above), null);
  const many = {
    kind: () => "other" as const,
    realPath: (path: string) => path,
    names: (path: string) => path === at ? Array.from({ length: 10_001 }, (_, i) => `${i}`) : [],
  };
  assert.ok(straySkill({ cwd: "/r/w", readRoots: ["/r/w"] }, many)?.startsWith(at));
});
