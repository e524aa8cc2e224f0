/**
 * The house as a whole: which room may import which, through which door, and that nothing lies about that is not used.
 * What DESIGN and README say of the tree is checked here against the tree.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "../_harness.ts";
import {
  circles,
  list,
  loadedModules,
  readSource,
  readTests,
  ROOT,
  type SourceFile,
} from "../_module_graph.ts";
import { LIBRARY_VERSION } from "../../src/protocol/dialect.ts";

/** Known by all: these folders and the files that lie in `src` itself, quick_run, workflow and app_server apart. */
const BASE = "base";

/** Which rooms a room may import. Sub-rooms are free inside their room. */
const ARROWS: Record<string, string[]> = (() => {
  const platform = [BASE];
  const transport = [...platform, "platform"];
  const launch = [...transport, "transport"];
  const rpc = [...launch, "launch", "protocol"];
  const shell = [...platform, "platform"];
  const permissions = [...rpc, "rpc", "shell"];
  const plugin = [...permissions, "permissions"];
  const approvals = [...plugin, "plugin"];
  const runtime = [...approvals, "approvals"];
  const session = [...runtime, "runtime"];
  const above = [...session, "session"];
  return {
    [BASE]: [],
    protocol: [BASE],
    platform,
    transport,
    launch,
    rpc,
    shell,
    permissions,
    plugin,
    approvals,
    runtime,
    session,
    quick_run: [...above, "workflow"],
    workflow: above,
    automation: above,
    app_server: above,
    // What a turn is to other protocols' clients is told by adapters, to the bridge's too.
    web: [...above, "adapters"],
    artifact: above,
    adapters: above,
    // It records and replays whole connections: runtime's configuration is what it takes and gives.
    testing: [BASE, "platform", "transport", "rpc", "protocol", "runtime"],
  };
})();

/** Files that are a room's public face beside its `mod.ts`: what `mod.ts` re-exports as a namespace. */
const FACE = "namespace.ts";

/** What few programs need lies behind a door of its own: whoever imports `mod.ts` loads all that it exports. */
const RARE_DOORS: readonly string[] = [
  "src/launch/command.ts",
  "src/platform/byte_socket.ts",
  "src/platform/fs.ts",
  "src/protocol/check_call.ts",
  "src/protocol/inventory.ts",
  "src/protocol/validator.ts",
  "src/runtime/guard_call.ts",
  "src/runtime/log/log_reader.ts",
  "src/transport/memory.ts",
  "src/transport/unix.ts",
  "src/transport/websocket.ts",
];

/**
 * Importing the library loads what users hold in their hands and what their options may be; all that speaks with codex comes
 * with the first connection. What is needed before it has doors of its own, since a room's `mod.ts` loads the room.
 */
const EARLY_DOORS: readonly string[] = [
  "src/approvals/rules/check_rules.ts",
  "src/permissions/need.ts",
  "src/permissions/policy/effective_policy.ts",
  "src/permissions/probe.ts",
  "src/platform/paths.ts",
  "src/platform/runtime.ts",
  "src/plugin/hook_kind.ts",
  "src/plugin/validate.ts",
  "src/protocol/dialect.ts",
  "src/runtime/config_shape.ts",
  "src/runtime/core_of.ts",
  "src/runtime/runtime.ts",
  "src/session/client/single_run.ts",
  "src/session/output/parse_json.ts",
  "src/session/profile.ts",
  "src/session/profile_shape.ts",
  "src/session/prompt/prompt_run_stream.ts",
];

/** Types only, and without an import but that of JSON. */
const WIRE_TYPES = "src/protocol/generated/types.ts";

/** At most so many files lie flat in one room. */
const FLAT = 16;
/** At most so many lines stand in one file. */
const LINES = 450;

const source = readSource();
const files = [...source.values()];

function roomOf(path: string): string {
  const parts = path.split("/");
  if (parts[0] === "mod.ts") return "mod";
  if (parts.length === 2) {
    const name = parts[1]!.replace(/\.ts$/, "");
    return ["quick_run", "workflow", "app_server"].includes(name) ? name : BASE;
  }
  return ["errors", "check", "schema"].includes(parts[1]!) ? BASE : parts[1]!;
}

test("every import of the source leads to a file of the source", () => {
  const lost = files.flatMap((file) => file.edges).filter((edge) => !source.has(edge.to));
  assert.deepEqual(lost.map((edge) => `${edge.from} → ${edge.to}`), []);
});

test("rooms import only the rooms below them", () => {
  const wrong = new Set<string>();
  for (const edge of files.flatMap((file) => file.edges)) {
    const [from, to] = [roomOf(edge.from), roomOf(edge.to)];
    if (from === "mod" || from === to || (from === BASE && edge.to === WIRE_TYPES)) continue;
    assert.ok(ARROWS[from], `the room of ${edge.from} is not in the table of arrows`);
    if (!ARROWS[from].includes(to)) wrong.add(`${edge.from} → ${edge.to}`);
  }
  assert.deepEqual([...wrong], []);
});

test("a room's inside is imported through its mod.ts only", () => {
  const wrong = files.flatMap((file) => file.edges).filter((edge) => {
    const [from, to] = [roomOf(edge.from), roomOf(edge.to)];
    if (from === to || to === "mod") return false;
    // Each adapter is for another ecosystem, and has a door of its own.
    const depth = to === "adapters" ? 3 : 2;
    const folder = edge.to.split("/").slice(0, depth).join("/");
    if (folder === edge.to) return false; // a file of src itself
    // Errors carry the server's items, and what protocol exports knows errors: the types of the wire are below both.
    if (from === BASE && edge.to === WIRE_TYPES) return false;
    if (from === BASE && to === BASE) return false;
    if (RARE_DOORS.includes(edge.to) || EARLY_DOORS.includes(edge.to)) return false;
    return edge.to !== `${folder}/mod.ts` && edge.to !== `${folder}/${FACE}`;
  });
  assert.deepEqual(wrong.map((edge) => `${edge.from} → ${edge.to}`), []);
});

test("no files import each other in a circle, types included", () => {
  const next = (path: string) => source.get(path)?.edges.map((edge) => edge.to) ?? [];
  assert.deepEqual(circles(source.keys(), next), []);
});

test("at most 16 files lie flat in a room, and none begins with an underscore", () => {
  const count = new Map<string, number>();
  const underscored: string[] = [];
  for (const path of list("src")) {
    const folder = path.slice(0, path.lastIndexOf("/"));
    if (folder.startsWith("src/protocol/generator")) continue;
    count.set(folder, (count.get(folder) ?? 0) + 1);
    if (path.split("/").some((part) => part.startsWith("_"))) underscored.push(path);
  }
  assert.deepEqual(underscored, []);
  assert.deepEqual([...count].filter(([, files]) => files > FLAT), []);
});

/** Checks of the recorded dialect and of the tables against the schema, and the end of a process kept warm: only tests need them. */
const FOR_TESTS = new Set([
  "src/permissions/config/config_needs.ts knownConfigKeys",
  "src/permissions/config/config_needs.ts knownFeatures",
  "src/permissions/guard/method_table.ts knownMethods",
  "src/permissions/guard/method_table.ts fieldHandling",
  "src/protocol/validator.ts validateNotification",
  "src/protocol/validator.ts validateServerRequestParams",
  "src/session/client/prewarm.ts coolDown",
]);

/**
 * What is public has users that can't be seen here. Of the rest, an export needs an importer in the source; or it is a
 * part of its own file that a test must reach by itself, or a type in the signature of something that is imported.
 */
test("no export is without a user, the public ones apart", () => {
  const tested = new Set(
    readTests().flatMap((file) => file.edges).flatMap((edge) =>
      edge.names.map((name) => `${edge.to} ${name.theirs}`)
    ),
  );
  const inItsOwnFile = (path: string, name: string) => {
    const { code, types } = source.get(path)!;
    const mentions = code.match(new RegExp(`\\b${name}\\b`, "g"))?.length ?? 0;
    if (FOR_TESTS.has(`${path} ${name}`)) return true;
    return mentions > 1 && (types.has(name) || tested.has(`${path} ${name}`));
  };
  const config = JSON.parse(readFileSync(join(ROOT, "deno.json"), "utf8"));
  const entries = Object.values<string>(config.exports).map((path) => path.replace("./", ""));
  const faces = new Set(entries);
  for (const edge of source.get("mod.ts")!.edges) {
    if (edge.names[0]?.theirs === "*") faces.add(edge.to);
  }
  // "file name" of everything used; grown until nothing is added, since a re-export is used when its own name is.
  const used = new Set<string>();
  const isUsed = (path: string, name: string) => faces.has(path) || used.has(`${path} ${name}`);
  const exportsOf = (path: string, seen = new Set<string>()): string[] => {
    const file = source.get(path);
    if (file === undefined || seen.has(path)) return [];
    seen.add(path);
    return [
      ...file.exports,
      ...file.edges.filter((edge) => edge.reExport).flatMap((edge) =>
        edge.names.flatMap((name) =>
          name.theirs === "*" && name.ours === "*" ? exportsOf(edge.to, seen) : [name.ours]
        )
      ),
    ];
  };
  for (let before = -1; before !== used.size;) {
    before = used.size;
    for (const { from, to, names, reExport } of files.flatMap((file) => file.edges)) {
      for (const { theirs, ours } of names) {
        if (theirs !== "*") {
          if (!reExport || isUsed(from, ours)) used.add(`${to} ${theirs}`);
          continue;
        }
        for (const name of exportsOf(to)) {
          const passedOn = ours === "*" && reExport;
          if (!passedOn || isUsed(from, name)) used.add(`${to} ${name}`);
        }
      }
    }
  }
  const unused = files.flatMap((file) => {
    if (file.path.startsWith("src/protocol/generated/")) return [];
    return exportsOf(file.path).filter((name) => !isUsed(file.path, name))
      .filter((name) => !inItsOwnFile(file.path, name)).map((name) => `${file.path} ${name}`);
  });
  assert.deepEqual([...new Set(unused)].sort(), []);
});

test("deno.json and the library tell one version", () => {
  const config = JSON.parse(readFileSync(join(ROOT, "deno.json"), "utf8"));
  assert.equal(LIBRARY_VERSION, config.version);
});

test("README's Architecture block shows the tree as it is", () => {
  const readme = readFileSync(join(ROOT, "README.md"), "utf8");
  const block = /## Architecture\n\n```\n([\s\S]*?)```/.exec(readme)?.[1] ?? "";
  const told = new Map<string, string>();
  for (const line of block.split("\n")) {
    const entry = /^ {2}((?:[\w.]+\/? ?)+?)(?: {2,}(.*))?$/.exec(line);
    for (const name of entry?.[1]?.trim().split(" ") ?? []) told.set(name, entry?.[2] ?? "");
  }
  const there = new Set(
    list("src").map((path) => {
      const [, first, ...rest] = path.split("/");
      return rest.length > 0 ? `${first}/` : first!;
    }),
  );
  assert.deepEqual([...told.keys()].sort(), [...there].sort());
  // A sub-room is named on its room's line.
  for (const folder of subRooms(files)) {
    const [, room, sub] = folder.split("/");
    if (sub === "generated") continue;
    assert.match(told.get(`${room}/`)!, new RegExp(`\\b${sub}\\b/`), `${folder} is not in README`);
  }
});

function subRooms(all: SourceFile[]): Set<string> {
  return new Set(
    all.map((file) => file.path.split("/")).filter((parts) => parts.length > 3)
      .map((parts) => parts.slice(0, 3).join("/")),
  );
}

/**
 * On Deno each module that may ever be loaded costs 0.05 ms of the first import, each that is loaded about 0.1 ms more.
 * `deno run -R tests/_module_graph.ts` tells the number.
 */
const MODULES = 90;

test("importing the library loads no more modules than allowed", () => {
  const loaded = loadedModules(source);
  assert.ok(loaded.size <= MODULES, `${loaded.size} modules are loaded, more than ${MODULES}`);
});

test(`no file that was written by hand is longer than ${LINES} lines`, () => {
  const lines = (path: string) => readFileSync(join(ROOT, path), "utf8").split("\n").length - 1;
  const long = list("src").filter((path) =>
    path.endsWith(".ts") && !path.includes("/generated/") && lines(path) > LINES
  );
  assert.deepEqual(long, []);
});
