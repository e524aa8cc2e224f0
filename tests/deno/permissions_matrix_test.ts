/** Policy × the flags of real child processes × codex mode. */
import assert from "node:assert/strict";
import { mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { EffectivePolicy } from "../../src/permissions/policy/policy.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";

/** What the child is told. */
export interface Job {
  cwd: string;
  root: string;
}

/** What became of one policy. */
export interface Outcome {
  missing: string[];
  narrowed: EffectivePolicy;
}

/** What a row expects: the missing flags of each policy (empty: granted), and what they are narrowed to. */
interface Row {
  name: string;
  flags: string[];
  /** The agent's cwd. Default `WS`. */
  cwd?: string;
  readOnly: string[];
  network: string[];
  workspace: string[];
  roots: string[];
  full: string[];
  /** What `workspace` and `full` become: R read-only, W workspace-write, F full access; `+n` with network. */
  narrow: string;
  /** Where commands may read. Default: everywhere. */
  reads?: string[];
}

const R = "--allow-read";
const W = "--allow-write";
const N = "--allow-net";
const REST = ["--allow-run", "--allow-env", "--allow-sys", "--allow-ffi"];
const ALL = [R, W, N, ...REST];
const RWS = `${R}=WS`;
const WWS = `${W}=WS`;
const WROOT = `${W}=ROOT`;
const RROOT = `${R}=ROOT`;
const RUN = "--allow-run=codex";

const ROWS: Row[] = [
  {
    name: "everything",
    flags: ["-A"],
    readOnly: [],
    network: [],
    workspace: [],
    roots: [],
    full: [],
    narrow: "W F+n",
  },
  {
    name: "nothing",
    flags: [],
    readOnly: [RWS],
    network: [N, RWS],
    workspace: [WWS, RWS],
    roots: [WROOT, RROOT, WWS, RWS],
    full: ALL,
    narrow: "R R",
    reads: [],
  },
  {
    name: "running codex only",
    flags: [RUN],
    readOnly: [RWS],
    network: [N, RWS],
    workspace: [WWS, RWS],
    roots: [WROOT, RROOT, WWS, RWS],
    full: ALL,
    narrow: "R R",
    reads: [],
  },
  {
    name: "reading the workspace",
    flags: [RUN, RWS],
    readOnly: [],
    network: [N],
    workspace: [WWS],
    roots: [WROOT, RROOT, WWS],
    full: ALL,
    narrow: "R R",
    reads: ["WS"],
  },
  {
    name: "reading above the workspace",
    flags: [RUN, `${R}=DIR`],
    readOnly: [],
    network: [N],
    workspace: [WWS],
    roots: [WROOT, WWS],
    full: ALL,
    narrow: "R R",
    reads: ["DIR"],
  },
  {
    name: "reading below the workspace",
    flags: [RUN, `${R}=WS/sub`],
    readOnly: [RWS],
    network: [N, RWS],
    workspace: [WWS, RWS],
    roots: [WROOT, RROOT, WWS, RWS],
    full: ALL,
    narrow: "R R",
    reads: [],
  },
  {
    name: "reading everything",
    flags: [RUN, R],
    readOnly: [],
    network: [N],
    workspace: [WWS],
    roots: [WROOT, WWS],
    full: [W, N, ...REST],
    narrow: "R R",
  },
  {
    name: "reading the root directory",
    flags: [RUN, `${R}=/`],
    readOnly: [],
    network: [N],
    workspace: [WWS],
    roots: [WROOT, WWS],
    full: [W, N, ...REST],
    narrow: "R R",
  },
  {
    name: "reading everything but a secret",
    flags: [RUN, R, "--deny-read=DIR/secret"],
    readOnly: [],
    network: [N],
    workspace: [WWS],
    roots: [WROOT, WWS],
    full: ALL,
    narrow: "R R",
    reads: ["WS"],
  },
  {
    name: "reading a workspace with a hole",
    flags: [RUN, RWS, "--deny-read=WS/sub"],
    readOnly: [RWS],
    network: [N, RWS],
    workspace: [WWS, RWS],
    roots: [WROOT, RROOT, WWS, RWS],
    full: ALL,
    narrow: "R R",
    reads: [],
  },
  {
    name: "writing without reading",
    flags: [RUN, WWS],
    readOnly: [RWS],
    network: [N, RWS],
    workspace: [RWS],
    roots: [WROOT, RROOT, RWS],
    full: ALL,
    narrow: "R R",
    reads: [],
  },
  {
    name: "reading and writing the workspace",
    flags: [RUN, RWS, WWS],
    readOnly: [],
    network: [N],
    workspace: [],
    roots: [WROOT, RROOT],
    full: ALL,
    narrow: "W W",
    reads: ["WS"],
  },
  {
    name: "reading all and writing the workspace",
    flags: [RUN, R, WWS],
    readOnly: [],
    network: [N],
    workspace: [],
    roots: [WROOT],
    full: [W, N, ...REST],
    narrow: "W W",
  },
  {
    name: "writing a workspace with a hole",
    flags: [RUN, R, WWS, "--deny-write=WS/sub"],
    readOnly: [],
    network: [N],
    workspace: [WWS],
    roots: [WROOT, WWS],
    full: [W, N, ...REST],
    narrow: "R R",
  },
  {
    name: "writing the workspace and the root",
    flags: [RUN, R, WWS, WROOT],
    readOnly: [],
    network: [N],
    workspace: [],
    roots: [],
    full: [W, N, ...REST],
    narrow: "W W",
  },
  {
    name: "writing everything",
    flags: [RUN, R, W],
    readOnly: [],
    network: [N],
    workspace: [],
    roots: [],
    full: [N, ...REST],
    narrow: "W W",
  },
  {
    name: "one host",
    flags: [RUN, R, W, `${N}=api.example`],
    readOnly: [],
    network: [N],
    workspace: [],
    roots: [],
    full: [N, ...REST],
    narrow: "W W",
  },
  {
    name: "the whole network",
    flags: [RUN, R, W, N],
    readOnly: [],
    network: [],
    workspace: [],
    roots: [],
    full: REST,
    narrow: "W W+n",
  },
  {
    name: "everything but one host",
    flags: ["-A", "--deny-net=evil.example"],
    readOnly: [],
    network: [N],
    workspace: [],
    roots: [],
    full: [N],
    narrow: "W W",
  },
  {
    name: "everything but one program",
    flags: ["-A", "--deny-run=rm"],
    readOnly: [],
    network: [],
    workspace: [],
    roots: [],
    full: ["--allow-run"],
    narrow: "W W+n",
  },
  {
    name: "everything but one variable",
    flags: ["-A", "--deny-env=SECRET"],
    readOnly: [],
    network: [],
    workspace: [],
    roots: [],
    full: ["--allow-env"],
    narrow: "W W+n",
  },
  {
    name: "everything but native libraries",
    flags: ["-A", "--deny-ffi"],
    readOnly: [],
    network: [],
    workspace: [],
    roots: [],
    full: ["--allow-ffi"],
    narrow: "W W+n",
  },
  {
    name: "everything but writing",
    flags: ["-A", "--deny-write"],
    readOnly: [],
    network: [],
    workspace: [WWS],
    roots: [WROOT, WWS],
    full: [W],
    narrow: "R R+n",
  },
  {
    name: "everything one by one",
    flags: ALL,
    readOnly: [],
    network: [],
    workspace: [],
    roots: [],
    full: [],
    narrow: "W F+n",
  },
  {
    name: "a linked workspace by its spelling only",
    cwd: "LINK",
    flags: [RUN, `${R}=LINK`, `${W}=LINK`],
    readOnly: [RWS],
    network: [N, RWS],
    workspace: [WWS, RWS],
    roots: [WROOT, RROOT, WWS, RWS],
    full: ALL,
    narrow: "R R",
    reads: [],
  },
  {
    name: "a linked workspace by its real path only",
    cwd: "LINK",
    flags: [RUN, RWS, WWS],
    readOnly: [`${R}=LINK`],
    network: [N, `${R}=LINK`],
    workspace: [`${W}=LINK`, `${R}=LINK`],
    roots: [WROOT, RROOT, `${W}=LINK`, `${R}=LINK`],
    full: ALL,
    narrow: "R R",
    reads: [],
  },
  {
    name: "a linked workspace by both",
    cwd: "LINK",
    flags: [RUN, `${R}=LINK,WS`, `${W}=LINK,WS`],
    readOnly: [],
    network: [N],
    workspace: [],
    roots: [WROOT, RROOT],
    full: ALL,
    narrow: "W W",
    reads: ["WS"],
  },
];

const SCRIPT = fileURLToPath(new URL("_permissions_script.ts", import.meta.url));

async function run(flags: string[], job: Job): Promise<Record<string, Outcome>> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--no-check", "--quiet", ...flags, SCRIPT, JSON.stringify(job)],
    // Codex has to be found for `--allow-run=codex` to be granted.
    env: { NO_COLOR: "1" },
  }).output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  assert(success, decode(stderr));
  return JSON.parse(decode(stdout));
}

function short({ sandbox }: EffectivePolicy): string {
  const letter = {
    readOnly: "R",
    workspaceWrite: "W",
    dangerFullAccess: "F",
    externalSandbox: "E",
  };
  const network = sandbox.type === "dangerFullAccess" || sandbox.networkAccess === true;
  return letter[sandbox.type] + (network ? "+n" : "");
}

test(
  "under each set of flags a session gets no more than the script",
  async (t) => {
    assert(ROWS.length >= 20);
    await using dir = await tempDir("flags-");
    const places: Record<string, string> = {
      WS: join(dir.path, "ws"),
      ROOT: join(dir.path, "root"),
      LINK: join(dir.path, "link"),
      DIR: dir.path,
    };
    for (const path of ["ws/sub", "root", "secret"]) {
      await mkdir(join(dir.path, path), { recursive: true });
    }
    await symlink(places["WS"]!, places["LINK"]!);
    const place = (text: string) =>
      text.replace(/\b(WS|ROOT|LINK|DIR)\b/g, (name) => places[name]!);

    for (const row of ROWS) {
      await t.step(row.name, async () => {
        const outcomes = await run(row.flags.map(place), {
          cwd: place(row.cwd ?? "WS"),
          root: places["ROOT"]!,
        });
        for (const name of ["readOnly", "network", "workspace", "roots", "full"] as const) {
          assert.deepEqual(outcomes[name]!.missing, row[name].map(place), `missing for ${name}`);
        }
        const { workspace, full, readOnly } = outcomes;
        assert.equal(`${short(workspace!.narrowed)} ${short(full!.narrowed)}`, row.narrow);
        assert.deepEqual(readOnly!.narrowed.readRoots, row.reads?.map(place) ?? "all");
        assert.equal(readOnly!.narrowed.enforcedBy, "deno");
      });
    }
  },
);

test("revoking a permission counts for the next decision", {
  permissions: { read: true, write: true, net: false, run: false, env: true },
}, async () => {
  const { hostProbe } = await import("../../src/permissions/probe.ts");
  const probe = hostProbe();
  assert.equal(probe.write(), true);
  Deno.permissions.revokeSync({ name: "write" });
  assert.equal(probe.write(), false);
  assert.equal(probe.write("/anywhere"), false);
  assert.equal(probe.read(), true);
});
