/** MCP servers of a session, as programs and over HTTP: real ones, on the real codex. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  InvalidArgumentError,
  PolicyError,
  RpcError,
  runtime,
  type Session,
  type TurnEvent,
  UnsupportedError,
} from "../../mod.ts";
import { CODEX_VERSIONS } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { callMcp, httpServer, stdioServer } from "./_mcp_world.ts";
import { inWorld, rejection } from "./_session_world.ts";

/** What must be nowhere but at the servers. */
const [VARIABLE, HEADER] = ["plain-variable-of-ours", "plain-header-of-ours"];

for (const version of CODEX_VERSIONS) {
  test(`a session's MCP servers work, are nobody else's, and keep their secrets, ${version}`, () =>
    inWorld(version, async (world) => {
      await using http = await httpServer();
      await using dir = await tempDir("mcp-");
      const home = join(dir.path, "home");
      await mkdir(home);
      await writeFile(
        join(home, "config.toml"),
        '[mcp_servers.mine]\ncommand = "/bin/false"\nenabled = false\n',
      );
      const log = join(home, "events.jsonl");
      const written: string[] = [];
      const client = await world.connect({
        eventLog: [new runtime.JsonlFileSink(log), {
          write: (envelope) => void written.push(JSON.stringify(envelope)),
        }],
      }, { home, configOverrides: { "mcp_servers.flagged.url": "http://127.0.0.1:9/" } });
      const { cwd } = world;
      const docs = {
        url: http.url,
        bearerToken: "let-me-in",
        headers: { "X-Own": HEADER },
      };
      const git = { ...await stdioServer(), env: { MCP_PROBE: VARIABLE } };
      const given = {
        cwd,
        allowPrivilegedEscalation: true,
        mcpServers: { docs: { ...docs, required: true }, git: { ...git, required: true } },
      };
      const seen = async (session: Session, server: string): Promise<Record<string, string>> => {
        const prompt = world.prompt((request, round) =>
          round === 0 ? callMcp(version, server, "see") : request.toolOutputs.at(-1)!.text
        );
        const { items, assistantText } = await session.ask(prompt);
        const item = items.find(({ type }) => type === "mcpToolCall") as unknown as
          | { result: { content: { text: string }[] } }
          | undefined;
        assert.ok(item?.result, assistantText);
        return JSON.parse(item.result.content[0]!.text);
      };

      // Names that codex would mix up, from any layer of its configuration.
      for (const name of ["mine", "flagged"]) {
        const error = await rejection(client.startSession({ cwd, mcpServers: { [name]: docs } }));
        assert.ok(error instanceof InvalidArgumentError, String(error));
        assert.match(error.message, new RegExp(`mcpServers\\.${name}.*Choose another name`));
      }
      const both = { cwd, mcpServers: { docs }, config: { "mcp_servers.docs.enabled": true } };
      assert.ok(await rejection(client.startSession(both)) instanceof PolicyError);
      const twice = { ...both, allowPrivilegedEscalation: true };
      assert.ok(await rejection(client.startSession(twice)) instanceof InvalidArgumentError);
      const unasked = { cwd, mcpServers: { git } };
      assert.ok(await rejection(client.startSession(unasked)) instanceof PolicyError);

      const session = await client.startSession(given);
      const shown = JSON.stringify(session.profile);
      for (const secret of ["let-me-in", HEADER, VARIABLE]) {
        assert.ok(!shown.includes(secret), shown);
      }
      assert.deepEqual(Object.keys(session.profile.mcpServers), Object.keys(given.mcpServers));
      const first = await seen(session, "docs");
      assert.deepEqual(
        { authorization: first["authorization"], own: first["own"] },
        { authorization: "Bearer let-me-in", own: HEADER },
      );
      const second = await seen(session, "git");
      assert.deepEqual({ variable: second["variable"], cwd: second["cwd"] }, {
        variable: VARIABLE,
        cwd,
      });
      // The program's own use of them.
      if (version === "0.104.0") {
        const calls = [
          session.mcp.status(),
          session.mcp.call("docs", "see"),
          session.mcp.read("docs", "note://a"),
          session.mcp.reload(),
        ];
        for (const error of await Promise.all(calls.map(rejection))) {
          assert.ok(error instanceof UnsupportedError, String(error));
        }
      } else {
        const status = await session.mcp.status();
        assert.deepEqual(
          status.filter(({ state }) => state === "connected").map(({ name, tools }) => [
            name,
            tools.map((each) => each.name).sort(),
          ]).sort(),
          [["docs", ["see", "write"]], ["git", ["see", "write"]]],
        );
        const { content, isError } = await session.mcp.call("docs", "write");
        assert.deepEqual([content[0]!["text"], isError], ["wrote", false]);
        const [note] = await session.mcp.read("git", "note://pears");
        assert.equal(note!["text"], "The note pears");
        const foreign = await client.startSession({ cwd });
        assert.ok(await rejection(foreign.mcp.call("mine", "x")) instanceof PolicyError);
        assert.ok(await rejection(foreign.mcp.read("mine", "x:y")) instanceof PolicyError);
        await foreign.close();
        await session.mcp.reload();
        assert.equal((await session.mcp.call("docs", "write")).isError, false);
      }
      // A copy has what its session has; a session without servers has none of another's.
      const copy = await session.fork();
      assert.equal((await seen(copy, "git"))["variable"], VARIABLE);
      await copy.close();
      const { threadId } = session;
      await session.release();

      const other = await world.connect({}, { home });
      const resumed = await other.resumeSession(threadId, { ...given, mcpServers: { docs } });
      assert.equal((await seen(resumed, "docs"))["own"], HEADER);
      const plain = await other.startSession({ cwd });
      const offered = world.prompt((request) => request.tools.join(" "));
      assert.doesNotMatch((await plain.ask(offered)).assistantText, /mcp__(docs|git)/);

      // What did not start is told in the turn, by name; what is required rejects.
      const missing = { command: join(dir.path, "no-such-program") };
      const broken = await other.startSession({
        cwd,
        allowPrivilegedEscalation: true,
        mcpServers: { missing, shut: { url: http.url, bearerToken: "wrong" } },
      });
      const events: TurnEvent[] = [];
      await broken.ask("Hello", { onEvent: (event) => void events.push(event) });
      const warned = events.map((event) => event.type === "warning" ? event.message : "").join(
        "\n",
      );
      assert.match(warned, /MCP server missing did not start/);
      assert.match(warned, /MCP server shut did not start/);
      const error = await rejection(
        other.startSession({ ...given, mcpServers: { missing: { ...missing, required: true } } }),
      );
      assert.ok(error instanceof RpcError, String(error));
      assert.match(error.message, /missing/);

      await client.shutdown();
      assert.match(readFileSync(log, "utf8"), /mcp_servers.*\[redacted\]/);
      const everywhere = [
        ...world.servers().flatMap((pid) => [
          readFileSync(`/proc/${pid}/cmdline`, "utf8"),
          readFileSync(`/proc/${pid}/environ`, "utf8"),
        ]),
        ...files(home).map((path) => readFileSync(path, "latin1")),
        ...world.model.requests.map(({ body }) => JSON.stringify(body)),
        error.message,
        warned,
        ...written,
      ];
      // The servers' own answers go to the model and into the history; they were asked for it.
      const told = everywhere.map((text) =>
        text.replaceAll(/\\*"(?:variable|own)\\*":\\*"[^"\\]*/g, "")
      );
      for (const secret of [VARIABLE, HEADER]) {
        assert.deepEqual(
          told.filter((text) => text.includes(secret)).map((text) => text.slice(0, 200)),
          [],
        );
      }
      const authorized = told.filter((text) =>
        text.replaceAll(/\\*"authorization\\*":\\*"[^"\\]*/g, "").includes("let-me-in")
      );
      assert.deepEqual(authorized.map((text) => text.slice(0, 200)), []);
      // Before its home goes: what it writes last would come back there.
      await other.shutdown();
    }));
}

function files(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return [];
    return stat.isDirectory() ? files(path) : stat.isFile() ? [path] : [];
  });
}
