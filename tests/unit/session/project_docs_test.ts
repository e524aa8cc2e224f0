import assert from "node:assert/strict";
import { projectDocs } from "../../../src/session/policy/project_files.ts";
import { test } from "../../_harness.ts";

/** Paths that are there, with where they lead; `null`: that can't be told. */
type Files = Record<string, string | null>;

const look = (files: Files) => ({
  isMissing: (path: string) => !Object.hasOwn(files, path),
  realPath: (path: string) => files[path] ?? null,
});
const plain = (...paths: string[]): Files => Object.fromEntries(paths.map((path) => [path, path]));

test("projectDocs() lets codex read what commands may read, and nothing else", () => {
  const fallback = { project_doc_fallback_filenames: [] };
  const alone = { ...fallback, project_root_markers: [] };
  const nothing = { project_doc_max_bytes: 0 };
  const rows: [name: string, roots: "all" | string[], files: Files, config: object][] = [
    ["everything may be read", "all", { "/r/w/AGENTS.md": "/etc/passwd" }, {}],
    ["no file", ["/r/w"], {}, alone],
    ["a file", ["/r/w"], plain("/r/w/AGENTS.md"), alone],
    ["a root that may be read", ["/r"], plain("/r/.git", "/r/AGENTS.md"), fallback],
    ["a root that may not be read", ["/r/w"], plain("/r/.git", "/r/AGENTS.md"), alone],
    ["the cwd is the root", ["/r/w"], plain("/r/w/.git", "/r/w/AGENTS.md"), fallback],
    ["a link that stays", ["/r/w"], { "/r/w/AGENTS.md": "/r/w/docs/a" }, alone],
    ["a link out", ["/r/w"], { "/r/w/AGENTS.md": "/etc/passwd" }, { ...alone, ...nothing }],
    ["a link to nobody knows", ["/r/w"], { "/r/w/AGENTS.md": null }, { ...alone, ...nothing }],
    [
      "the other name",
      ["/r/w"],
      { "/r/w/AGENTS.override.md": "/etc/passwd" },
      { ...alone, ...nothing },
    ],
    [
      "a link out of a root above",
      ["/r"],
      { ...plain("/r/.git"), "/r/AGENTS.md": "/etc/passwd" },
      { ...fallback, ...nothing },
    ],
    [
      "a link above the root",
      ["/"],
      { ...plain("/r/w/.git"), "/r/AGENTS.md": "/nowhere" },
      fallback,
    ],
  ];
  for (const [name, readRoots, files, expected] of rows) {
    const { config, note } = projectDocs({ cwd: "/r/w", readRoots }, undefined, look(files));
    assert.deepEqual(config, expected, name);
    assert.equal(note !== null, "project_doc_max_bytes" in expected, name);
  }
});

test("projectDocs() looks at names of the caller's own, and takes no others", () => {
  const files = { "/w/CLAUDE.md": "/etc/passwd" };
  const of = (names: unknown) =>
    projectDocs({ cwd: "/w", readRoots: ["/w"] }, names as never, look(files)).config;
  assert.equal(of(["CLAUDE.md"])["project_doc_max_bytes"], 0);
  assert.deepEqual(of(["CLAUDE.md"])["project_doc_fallback_filenames"], ["CLAUDE.md"]);
  assert.equal(of(["README.md"])["project_doc_max_bytes"], undefined);
  assert.equal(of(undefined)["project_doc_max_bytes"], undefined);
});
