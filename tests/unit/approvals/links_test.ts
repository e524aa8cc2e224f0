import assert from "node:assert/strict";
import type { ApprovalRequest, ApprovalRule } from "../../../src/approvals/mod.ts";
import { leadsAway, narrowGrant } from "../../../src/approvals/answers/narrow_permissions.ts";
import { decide } from "../../../src/approvals/rules/decide.ts";
import type { JsonObject } from "../../../src/json.ts";
import { test } from "../../_harness.ts";
import { factsOf } from "../permissions/_world.ts";
import { commandOf, PATCH, patchOf, PERMISSIONS, requestOf } from "./_requests.ts";

const LINKS = { "/w/docs": "/elsewhere", "/w/g": "/w/.git", "/home/me": "/data/me" };
const { realPath } = factsOf(LINKS);

const allow = (rule: Omit<ApprovalRule, "effect">): ApprovalRule => ({ effect: "allow", ...rule });
const deny = (rule: Omit<ApprovalRule, "effect">): ApprovalRule => ({ effect: "deny", ...rule });
const rooted = (grantRoot: string): ApprovalRequest => ({
  ...patchOf("/w/a"),
  grantRoot,
} as ApprovalRequest);
const tree = (path: string): ApprovalRequest =>
  requestOf(PERMISSIONS, { permissions: { network: null, fileSystem: { write: [path] } } });

const entry = (path: string): ApprovalRequest =>
  requestOf(PERMISSIONS, {
    permissions: {
      network: null,
      fileSystem: { entries: [{ path: { type: "path", path }, access: "write" }] },
    },
  });
const moved = (movePath: string): ApprovalRequest =>
  requestOf(PATCH, {}, {
    type: "fileChange",
    changes: [{ path: "/w/a", kind: { type: "update", move_path: movePath }, diff: "x\n" }],
  });
const placed = (cwd: string): ApprovalRequest =>
  requestOf(PERMISSIONS, { cwd, permissions: { network: null, fileSystem: { write: ["/w/a"] } } });

const ROWS: [string, ApprovalRule[], ApprovalRequest, "allow" | "deny" | "ask"][] = [
  ["no link", [allow({ paths: "/w" })], patchOf("/w/a"), "allow"],
  ["a link out of what is allowed", [allow({ paths: "/w" })], patchOf("/w/docs/keys"), "ask"],
  ["the link itself", [allow({ paths: "/w" })], patchOf("/w/docs"), "ask"],
  ["a link named by the rule", [allow({ paths: "/w/docs" })], patchOf("/w/docs/keys"), "ask"],
  ["both named", [allow({ paths: ["/w", "/elsewhere"] })], patchOf("/w/docs/keys"), "allow"],
  [
    "a link to what is denied",
    [deny({ paths: ".git" }), allow({ paths: "/w" })],
    patchOf("/w/g/hooks/post-commit"),
    "deny",
  ],
  ["a denied link", [deny({ paths: "/w/g" }), allow({})], patchOf("/w/.git/config"), "deny"],
  [
    "a denied link with a star",
    [deny({ paths: "/w/g/h*" }), allow({})],
    patchOf("/w/.git/hooks"),
    "deny",
  ],
  ["a link that can't be followed", [allow({ paths: "/" })], patchOf("/gone/x"), "ask"],
  ["such a link, denied", [deny({ paths: "/etc" }), allow({})], patchOf("/gone/x"), "deny"],
  ["up from a link", [allow({ paths: "/w" })], patchOf("/w/g/../a"), "allow"],
  ["up from a link out", [allow({ paths: ["/w", "/elsewhere"] })], patchOf("/w/docs/../x"), "ask"],
  ["a root behind a link", [allow({ paths: "/w" })], rooted("/w/docs"), "ask"],
  [
    "a root above a denied link",
    [deny({ paths: "/elsewhere/x" }), allow({})],
    rooted("/w/docs"),
    "deny",
  ],
  ["a tree behind a link", [allow({ paths: "/w" })], tree("/w/docs"), "ask"],
  ["a tree behind a denied link", [deny({ paths: ".git" }), allow({})], tree("/w/g"), "deny"],
  ["an entry behind a link", [allow({ paths: "/w" })], entry("/w/docs"), "ask"],
  ["an entry behind a denied link", [deny({ paths: ".git" }), allow({})], entry("/w/g"), "deny"],
  ["an entry without a link", [allow({ paths: "/w" })], entry("/w/a"), "allow"],
  ["a move over a link", [allow({ paths: "/w" })], moved("/w/docs/b"), "ask"],
  ["a move to a denied link", [deny({ paths: ".git" }), allow({})], moved("/w/g/b"), "deny"],
  ["a move inside", [allow({ paths: "/w" })], moved("/w/b"), "allow"],
  [
    "permissions of a cwd behind a link",
    [allow({ cwd: "/w", paths: "/w" })],
    placed("/w/docs"),
    "ask",
  ],
  [
    "permissions of a denied cwd",
    [deny({ cwd: "/elsewhere" }), allow({ paths: "/w" })],
    placed("/w/docs"),
    "deny",
  ],
  ["a cwd behind a link", [allow({ cwd: "/w" })], commandOf("ls", { cwd: "/w/docs" }), "ask"],
  [
    "a denied cwd",
    [deny({ cwd: "/elsewhere" }), allow({})],
    commandOf("ls", { cwd: "/w/docs" }),
    "deny",
  ],
  [
    "a cwd that can't be followed",
    [deny({ cwd: "/x" }), allow({})],
    commandOf("ls", { cwd: "/gone" }),
    "deny",
  ],
];

/** As a system does it: `..` goes up from where a link leads. */
function followed(path: string): string | null {
  const up = /^(.*?)\/\.\.(\/.*)?$/.exec(path);
  if (up === null) return realPath(path);
  const below = followed(up[1]!);
  return below === null ? null : followed(below.replace(/\/[^/]*$/, "") + (up[2] ?? "") || "/");
}

test("decide() allows only where both a path and what it leads to are covered, and denies for either", async (t) => {
  for (const [name, rules, request, expected] of ROWS) {
    await t.step(
      name,
      () =>
        assert.equal(
          decide({ rules }, request, { realPath: followed, sandboxed: false }).effect,
          expected,
        ),
    );
  }
});

test("decide() takes names that may be others for unknown when nothing can be followed", () => {
  const paths = "C:\\w\\.git";
  const short = patchOf("C:\\w\\GIT~1\\hooks");
  assert.equal(
    decide({ rules: [deny({ paths }), allow({ paths: "C:\\w" })] }, short).effect,
    "deny",
  );
  assert.equal(decide({ rules: [allow({ paths: "C:\\w" })] }, short).effect, "ask");
  // Where it can be, the long name counts.
  const long = (path: string) => path.replace("GIT~1", "src");
  assert.equal(decide({ rules: [deny({ paths })] }, short, { realPath: long }).effect, "ask");
});

test("leadsAway() knows links where the agent may write, and no others", () => {
  const links: Record<string, string | null> = {
    "/w": "/real/w",
    "/w/here": "/real/w/here",
    "/w/away": "/elsewhere",
    "/w/unknown": null,
    "/tmp": "/private/tmp",
    "/tmp/a": "/private/tmp/a",
    "/tmp/away": "/elsewhere",
    "/outside": "/elsewhere",
  };
  const away = (path: string, ...writable: string[]) =>
    leadsAway({ fileSystem: { write: [path] } }, writable, (each) => links[each] ?? null);
  for (const path of ["/w/away", "/w/unknown", "/tmp/away"]) {
    assert.equal(away(path, "/w", "/tmp"), true, path);
  }
  for (const path of ["/w", "/w/here", "/tmp", "/tmp/a", "/outside"]) {
    assert.equal(away(path, "/w", "/tmp"), false, path);
  }
  assert.deepEqual([away("/tmp/away", "/tmp"), away("/w/away", "/tmp")], [true, false]);
  assert.equal(leadsAway({ write: ["/w/away"] }, ["/w"], undefined), false);
  assert.equal(leadsAway({ network: { enabled: true } }, ["/w"], () => null), false);
});

test("narrowGrant() grants the network only when it was asked for", () => {
  const grant = (network: unknown, asked: JsonObject | null) =>
    narrowGrant({ network } as never, { network: asked, fileSystem: null, other: false } as never);
  assert.deepEqual(grant({ enabled: true }, { enabled: true }), { network: { enabled: true } });
  assert.deepEqual(grant({ enabled: false }, null), { network: { enabled: false } });
  assert.deepEqual(grant(null, { enabled: true }), {});
  assert.equal(grant({ enabled: true }, null), null);
  assert.equal(grant({ enabled: true }, { enabled: false }), null);
  assert.equal(grant("all", { enabled: true }), null);
  assert.equal(grant([], { enabled: true }), null);
});

test("narrowGrant() lets be read what may be read or written, and be written what may be written", () => {
  const grant = (asked: JsonObject, granted: JsonObject) =>
    narrowGrant({ fileSystem: granted }, { network: null, fileSystem: asked, other: false });
  for (const asked of [{ read: ["/w"] }, { write: ["/w"] }]) {
    assert.deepEqual(grant(asked, { read: ["/w/a"] }), { fileSystem: { read: ["/w/a"] } });
    assert.equal(grant(asked, { read: ["/x"] }), null);
  }
  assert.equal(grant({ read: ["/w"] }, { write: ["/w/a"] }), null);
  assert.equal(grant({ read: ["/w"] }, { write: ["/w"] }), null);
  const excluded = { path: { type: "special", value: { kind: "tmp" } }, access: "deny" };
  const place = { ...excluded, access: "read" };
  const entries = [place, excluded];
  assert.deepEqual(grant({ entries }, { entries }), { fileSystem: { entries } });
  assert.equal(grant({ entries }, { entries: [{ ...place, access: "write" }] }), null);
});

test("narrowGrant() grants nothing that a link leads out of what was asked", () => {
  const grant = (asked: string, granted: string) => {
    const fileSystem: JsonObject = { write: [granted] };
    return narrowGrant(
      { fileSystem },
      { network: null, fileSystem: { write: [asked] }, other: false },
      followed,
    );
  };
  assert.ok(grant("/w", "/w/a"));
  assert.ok(grant("/w/docs", "/w/docs"));
  assert.ok(grant("/w/docs", "/w/docs/a"));
  assert.equal(grant("/w", "/w/docs"), null);
  assert.equal(grant("/w", "/w/docs/.."), null);
  assert.equal(grant("/gone", "/gone/a"), null);
  assert.equal(grant("/W", "/w/a"), null);
});

test("narrowGrant() looks for no more paths than a person may name, and takes any number of asked ones", () => {
  const names = Array.from({ length: 5_000 }, (_, n) => `/w/${n}`);
  let looked = 0;
  const counted = (path: string) => (looked++, realPath(path));
  const grant = (write: string[], asked: string[]) =>
    narrowGrant(
      { fileSystem: { write } },
      { network: null, fileSystem: { write: asked }, other: false },
      counted,
    );
  assert.deepEqual(grant(names, names), { fileSystem: { write: names } });
  assert.equal(looked, 0);
  assert.ok(grant(names.slice(0, 100), ["/w"]));
  assert.equal(grant(names, ["/w"]), null);
  assert.ok(looked < 1_000, `${looked}`);
});
