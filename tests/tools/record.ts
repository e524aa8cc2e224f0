/**
 * Records the transcripts anew from the real codex: `deno task record`, or `deno task record basic steer` for some.
 *
 * Names that differ from run to run (ids, paths, ports) are replaced, so that a diff shows what the server says differently.
 */
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ScriptedModel } from "../../src/testing/mod.ts";
import { CODEX_VERSIONS, codexPath, type CodexVersion } from "../_codex.ts";
import { tempDir } from "../_temp.ts";
import { RECORDED_CWD, TRANSCRIPTS, type WireMessage } from "../_transcripts.ts";
import { RawCodex } from "../real/_raw_codex.ts";
import { type Scenario, SCENARIOS } from "./_scenarios.ts";

const LIMIT_MS = 60_000;

const names = Deno.args.length > 0 ? Deno.args : Object.keys(SCENARIOS);
for (const version of CODEX_VERSIONS) {
  for (const name of names) {
    const scenario = SCENARIOS[name];
    if (scenario === undefined) throw new Error(`no scenario ${name} in _scenarios.ts`);
    if (scenario.only !== undefined && scenario.only !== version) continue;
    const lines = await record(version, name, scenario);
    const path = join(TRANSCRIPTS, version.replace(/\.\d+$/, ""), `${name}.jsonl`);
    await writeFile(`${path}.new`, lines.join("\n") + "\n");
    await rename(`${path}.new`, path);
    console.log(`${version} ${name}: ${lines.length} messages`);
  }
}

async function record(version: CodexVersion, name: string, scenario: Scenario): Promise<string[]> {
  await using directory = await tempDir("record-");
  const cwd = directory.path;
  await using model = await ScriptedModel.start(scenario.model());
  const config = model.clientConfig({ codexPath: await codexPath(version) });
  await using codex = new RawCodex({
    codexPath: config.codexPath!,
    env: config.env,
    configOverrides: { ...config.configOverrides, ...scenario.config },
  });
  if (scenario.answer !== undefined) codex.onRequest = () => scenario.answer;
  await codex.initialize();
  const input = [{ type: "text", text: `scenario ${name}` }];
  const play = scenario.play({
    codex,
    version,
    cwd,
    thread: async (params) => {
      const { thread: { id } } = await codex.request("thread/start", { cwd, ...params });
      // Said after the response; a replay must not owe it to a client that waits for it.
      await codex.waitFor((m) => m.method === "thread/started" && m.params.thread.id === id);
      return id;
    },
    turn: (threadId, params) => codex.turn(threadId, `scenario ${name}`, params),
    start: async (threadId, params) =>
      (await codex.request("turn/start", { threadId, input, ...params })).turn.id,
  });
  await limit(play, `${version} ${name}`, codex);
  const home = config.env.set["CODEX_HOME"]!;
  return normalize(codex.wire, {
    [cwd]: RECORDED_CWD,
    [home]: "/w/home",
    [model.url]: "http://127.0.0.1:1/v1",
    [Deno.hostname()]: "host",
  });
}

/** Lines with stable names: known texts are replaced, random ids are counted. */
function normalize(wire: WireMessage[], known: Record<string, string>): string[] {
  const ids = new Map<string, string>();
  const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-([0-9a-f])[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/g;
  return wire.map((entry) => {
    let line = JSON.stringify(entry);
    for (const [was, is] of Object.entries(known)) line = line.replaceAll(was, is);
    return line.replace(UUID, (id, version) => {
      const stable = ids.get(id) ??
        `01a20000-0000-${version}000-8000-${String(ids.size + 1).padStart(12, "0")}`;
      ids.set(id, stable);
      return stable;
    });
  });
}

async function limit(play: Promise<void>, what: string, codex: RawCodex): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const said = codex.wire.slice(-3).map(({ dir, m }) => dir + JSON.stringify(m)).join("\n");
      reject(new Error(`${what} did not end within ${LIMIT_MS} ms; the last messages:\n${said}`));
    }, LIMIT_MS);
  });
  try {
    await Promise.race([play, late]);
  } finally {
    clearTimeout(timer);
  }
}
