/** Each option that widens what an agent may do says which flags of Deno it needs, before anything of it is sent. */
import assert from "node:assert/strict";
import { mkdir, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { codexPath } from "../_codex.ts";
import { test } from "../_harness.ts";
import { inWorld } from "../real/_session_world.ts";

const SCRIPT = fileURLToPath(new URL("./_doors_permissions_script.ts", import.meta.url));
const consent = { allowPrivilegedEscalation: true };

test("each option says the flags that it needs, and each of the others works without", () =>
  inWorld("0.169.0", async (world) => {
    const bin = join(dirname(world.cwd), "bin");
    const other = join(dirname(world.cwd), "other");
    await Promise.all([mkdir(bin), mkdir(other)]);
    await symlink(await codexPath(), join(bin, "codex"));
    const client = await world.connect();
    const begun = await client.startSession({ cwd: world.cwd });
    await begun.ask("Hello");
    await begun.release();
    const { env, configOverrides } = world.config();
    const home = env!.set!["CODEX_HOME"]!;
    const everything = "read write net run env sys ffi".split(" ").map((word) => `--allow-${word}`);
    const account = [`--allow-write=${home}`, `--allow-read=${home}`, "--allow-net"];
    const served = ["--allow-net=127.0.0.1", "--allow-env=NO_PROXY,no_proxy"];
    /** What each needs beyond `--allow-run=codex --allow-read=<cwd>`. */
    const needs: Record<string, [profile: object, flags: "fine" | string[]]> = {
      "what widens nothing": [{
        mode: "plan",
        baseInstructions: "x",
        reasoningSummary: "concise",
        serviceTier: "flex",
        personality: "none",
        modelProvider: "scripted",
        webSearch: "cached",
      }, "fine"],
      "webSearch live": [{ webSearch: "live", ...consent }, ["--allow-net"]],
      networkAccess: [{ networkAccess: true, ...consent }, ["--allow-net"]],
      "another directory": [{ additionalDirectories: [other] }, [`--allow-read=${other}`]],
      "another directory, written": [
        { additionalDirectories: [other], sandbox: "workspace-write", ...consent },
        [`--allow-write=${other}`, `--allow-read=${other}`, `--allow-write=${world.cwd}`],
      ],
      "an MCP server's address": [
        { mcpServers: { docs: { url: "https://mcp.example.com/mcp" } }, ...consent },
        ["--allow-net=mcp.example.com:443"],
      ],
      "an MCP server's port": [
        { mcpServers: { docs: { url: "http://127.0.0.1:9/" } } },
        ["--allow-net=127.0.0.1:9"],
      ],
      "an MCP server's program": [
        { mcpServers: { git: { command: "/bin/false" } }, ...consent },
        everything,
      ],
    };
    const profiles = Object.fromEntries(
      Object.entries(needs).map(([name, [profile]]) => [name, profile]),
    );
    const run = async (accounts: boolean, ...flags: string[]) => {
      const thread = begun.threadId;
      const job = { cwd: world.cwd, configOverrides, profiles, thread, accounts };
      const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          "--no-prompt",
          "--no-check",
          "--allow-run=codex",
          `--allow-read=${world.cwd}`,
          ...flags,
          SCRIPT,
          JSON.stringify(job),
        ],
        cwd: world.cwd,
        env: { ...env!.set, PATH: `${bin}:/usr/bin:/bin`, NO_COLOR: "1", CODEX_PATH: "" },
        stdin: "null",
      }).output();
      const text = new TextDecoder().decode(stdout).trim();
      assert.notEqual(text, "", new TextDecoder().decode(stderr));
      return JSON.parse(text);
    };
    assert.deepEqual(await run(true), {
      ...Object.fromEntries(Object.entries(needs).map(([name, [, flags]]) => [name, flags])),
      "login chatgpt": account,
      "login deviceCode": account,
      "login apiKey": account,
      logout: account,
      "tools of a thread's own": "fine",
      "tools of another thread": served,
    });
    // With the flags that were told everything works.
    const granted = [
      "--allow-net",
      "--allow-env=NO_PROXY,no_proxy",
      `--allow-read=${other}`,
      `--allow-write=${other},${world.cwd}`,
    ];
    const outcomes = await run(false, ...granted);
    const open = Object.keys(outcomes).filter((name) => outcomes[name] !== "fine");
    assert.deepEqual(open, ["an MCP server's program"]);
  }));
