/** Whose directory is whose. */
import assert from "node:assert/strict";
import { mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { InvalidArgumentError, PolicyError, WebError } from "../../src/errors/mod.ts";
import { WebAdapter } from "../../src/web/adapter.ts";
import type { WebClient } from "../../src/web/client.ts";
import { Workspaces } from "../../src/web/live/session_setup.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";

test("cwd(tenant) is not even called for names that could lead elsewhere", async () => {
  const called: string[] = [];
  const spaces = new Workspaces((tenant) => {
    called.push(tenant);
    return "/";
  }, false);
  for (
    const name of ["..", ".", "../bob", "a/b", "a\\b", "a\0b", "a\nb", "C:", "c:bob", "\x7f"]
  ) {
    await assert.rejects(
      spaces.of(name),
      (error) => error instanceof WebError && error.status === 403 && error.reason === "badTenant",
    );
  }
  for (const name of ["ann", "a..b", "...", "auth0|5f", "ann@example.com", "日本"]) {
    await spaces.of(name);
  }
  assert.deepEqual(called, ["ann", "a..b", "...", "auth0|5f", "ann@example.com", "日本"]);
});

test("cwd(tenant) must return a directory that exists and is no other tenant's", async () => {
  await using directory = await tempDir("ws-");
  const at = (name: string) => join(directory.path, name);
  for (const name of ["ann", "ann/inner", "bob", "anna"]) await mkdir(at(name));
  await symlink(at("ann"), at("link"));
  const places: Record<string, unknown> = {
    ann: at("ann"),
    missing: at("missing"),
    relative: "ann",
    number: 7,
    same: at("ann"),
    inside: at("ann/inner"),
    around: directory.path,
    linked: at("link"),
    bob: at("bob"),
    anna: at("anna"),
  };
  const spaces = new Workspaces((tenant) => places[tenant] as string, true);
  assert.equal(await spaces.of("ann"), at("ann"));
  for (const tenant of ["missing", "relative", "number", "same", "inside", "around", "linked"]) {
    const shape = ["missing", "relative", "number"].includes(tenant);
    await assert.rejects(spaces.of(tenant), shape ? InvalidArgumentError : PolicyError, tenant);
  }
  await assert.rejects(spaces.of("number"), /received a? ?number/);
  await assert.rejects(spaces.of("relative"), /received another path/);
  // A name that only begins the same, and the same tenant again.
  assert.equal(await spaces.of("anna"), at("anna"));
  assert.equal(await spaces.of("bob"), at("bob"));
  assert.equal(await spaces.of("ann"), at("ann"));
  const trusting = new Workspaces((tenant) => places[tenant] as string, false);
  assert.equal(await trusting.of("same"), at("ann"));
  await assert.rejects(trusting.of("relative"), InvalidArgumentError);
});

test("an adapter that can't keep its tenants apart throws, and says what to do", () => {
  const client = (version: string | null) =>
    ({
      server: { version },
      startSession: () => {},
      resumeSession: () => {},
      readThread: () => {},
      archiveThread: () => {},
    }) as unknown as WebClient;
  const make = (version: string | null, more: object = {}) => () =>
    new WebAdapter({ client: client(version), cwd: "/", ...more });
  make("0.145.0")();
  make("0.169.0-alpha.3")();
  make("1.0.0")();
  for (const version of ["0.144.9", "0.104.0", "unknown", null]) {
    assert.throws(
      make(version),
      (error) => error instanceof PolicyError && /0\.145\.0.*"trusting"/.test(error.message),
    );
    make(version, { isolation: "trusting" })();
  }
  for (const sandbox of ["danger-full-access", { type: "externalSandbox" }]) {
    assert.throws(make("0.169.0", { profile: { sandbox } }), PolicyError);
  }
  assert.throws(make("0.169.0", { isolation: "yes" }), InvalidArgumentError);
});
