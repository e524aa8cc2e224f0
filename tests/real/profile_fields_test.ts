/** Fields of a profile, each in the model's request or the server's echo, on the real codex. */
import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  InvalidArgumentError,
  PolicyError,
  PolicyMismatchError,
  RpcError,
  UnsupportedError,
} from "../../src/errors/mod.ts";
import type { RunProfile } from "../../src/session/mod.ts";
import { script } from "../../src/testing/mod.ts";
import { codexes } from "../_codex.ts";
import { test } from "../_harness.ts";
import { inWorld, rejection } from "./_session_world.ts";

interface Tool {
  type: string;
  external_web_access?: boolean;
}

for (const version of codexes("0.169.0", "0.145.0", "0.125.0", "0.104.0")) {
  test(`the fields of a profile reach the model, or are refused [${version}]`, () =>
    inWorld(version, async (world) => {
      const provider = "model_providers.other";
      const client = await world.connect({}, {
        configOverrides: {
          [`${provider}.name`]: "Other",
          [`${provider}.base_url`]: world.model.url,
          [`${provider}.wire_api`]: "responses",
          [`${provider}.http_headers`]: { "x-provider": "other" },
          [`${provider}.request_max_retries`]: 0,
        },
      });
      const run = async (profile: RunProfile, prompt = "Hello") => {
        await client.run(world.cwd, prompt, profile);
        return world.model.requests.at(-1)!;
      };
      const refused = async (profile: object) =>
        await rejection(client.startSession({ cwd: world.cwd, ...profile }));
      const consent = { allowPrivilegedEscalation: true };

      const plain = await run({ baseInstructions: "ONLY-THIS", developerInstructions: "AND-THIS" });
      const told = JSON.stringify(plain.body);
      assert.ok(told.includes("ONLY-THIS") && told.includes("AND-THIS"));
      assert.ok(!told.includes("You are a coding agent"), "codex's own words are replaced");

      const old = version === "0.104.0";
      const known = old ? "gpt-5.2-codex" : "scripted-model";
      const { body: { reasoning } } = await run({ model: known, reasoningSummary: "detailed" });
      // 0.104 and 0.125 sum nothing up of a model that they do not know.
      if (version !== "0.125.0") {
        assert.equal((reasoning as { summary?: string }).summary, "detailed");
      }
      // Of the models that codex knows itself, none of 0.169 has more than one personality; each can do without.
      const personal = old ? known : "gpt-5.5";
      const manner = async (personality: NonNullable<RunProfile["personality"]>) =>
        JSON.stringify((await run({ model: personal, personality })).body);
      if (version === "0.169.0") {
        assert.match(await manner("friendly"), /# Personality\\n/);
      } else {
        const friendly = old ? /supportive teammate/ : /vivid inner life/;
        assert.match(await manner("friendly"), friendly);
        assert.doesNotMatch(await manner("pragmatic"), friendly);
      }
      assert.doesNotMatch(await manner("none"), /# Personality\\n/);
      if (old) {
        const tier = await refused({ serviceTier: "flex" });
        assert.ok(tier instanceof UnsupportedError, `${tier}`);
        assert.equal(tier.since, "0.125.0");
      } else {
        // 0.145 confirms those of models that it knows; the test below has the others.
        const tier = version === "0.145.0"
          ? { model: personal, serviceTier: "priority" }
          : { serviceTier: "flex" };
        assert.equal((await run(tier)).body["service_tier"], tier.serviceTier);
        const fast = await run({ model: personal, serviceTier: "fast" });
        assert.equal(fast.body["service_tier"], "priority");
      }

      assert.equal((await run({ modelProvider: "other" })).headers["x-provider"], "other");
      assert.ok(await refused({ modelProvider: "nobody" }) instanceof RpcError);

      const search = async (profile: RunProfile) =>
        ((await run(profile)).body["tools"] as unknown as Tool[]).find(({ type }) =>
          type === "web_search"
        );
      assert.equal(await search({ webSearch: "off" }), undefined);
      assert.equal((await search({ webSearch: "cached" }))?.external_web_access, false);
      assert.equal((await search({ webSearch: "live", ...consent }))?.external_web_access, true);
      assert.ok(await refused({ webSearch: "live" }) instanceof PolicyError);
      const twice = await refused({ webSearch: "off", config: { web_search: "cached" } });
      assert.ok(twice instanceof InvalidArgumentError, `${twice}`);

      const online = await client.startSession({ cwd: world.cwd, networkAccess: true, ...consent });
      assert.equal((online.policy.sandbox as { networkAccess?: boolean }).networkAccess, true);
      assert.ok(await refused({ networkAccess: true }) instanceof PolicyError);
      const against = { sandbox: { type: "readOnly", networkAccess: false }, networkAccess: true };
      assert.ok(await refused({ ...against, ...consent }) instanceof InvalidArgumentError);

      // Another directory is writable with a sandbox that writes, in copies of the session too, and not without.
      const other = join(world.cwd, "..", "other");
      await mkdir(other);
      const session = await client.startSession({
        cwd: world.cwd,
        sandbox: "workspace-write",
        additionalDirectories: [other],
        ...consent,
      });
      const write = (name: string) =>
        world.prompt([[script.exec(`echo there > '${join(other, name)}'`)], "done"]);
      await session.ask(write("one.txt"));
      assert.equal(await readFile(join(other, "one.txt"), "utf8"), "there\n");
      const copy = await session.fork();
      await copy.ask(write("two.txt"));
      assert.equal(await readFile(join(other, "two.txt"), "utf8"), "there\n");
      await run({ additionalDirectories: [other] }, write("three.txt"));
      assert.ok(await rejection(readFile(join(other, "three.txt"))));
      assert.ok(
        await refused({ additionalDirectories: ["other"] }) instanceof InvalidArgumentError,
      );
    }));
}

test("a service tier that codex does not confirm is no silent default [0.145.0]", () =>
  inWorld("0.145.0", async (world) => {
    const client = await world.connect();
    const session = client.startSession({ cwd: world.cwd, serviceTier: "flex" });
    const error = await rejection(session);
    assert.ok(error instanceof PolicyMismatchError, `${error}`);
    assert.equal(error.mismatches[0]?.field, "serviceTier");
  }));
