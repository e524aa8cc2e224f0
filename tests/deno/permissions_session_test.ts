/** The whole way: a script under Deno's flags, its session, the real codex, and what a model's commands can reach. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { JsonObject } from "../../src/json.ts";
import { script, ScriptedModel } from "../../src/testing/mod.ts";
import { codexes, codexPath, NEWEST_CODEX, tries } from "../_codex.ts";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";
import { makeUsed } from "../_used_home.ts";

const SCRIPT = fileURLToPath(new URL("_permissions_session_script.ts", import.meta.url));

interface Answer {
  // deno-lint-ignore no-explicit-any
  policy: any;
  // deno-lint-ignore no-explicit-any
  items: any[];
  /** All that the model was told. */
  told: string;
  asked: string[];
  audits: string[];
  warnings: string[];
  code?: string;
  message?: string;
  missing?: string[];
}

interface World {
  ws: string;
  secret: string;
  /** Codex's own directory. */
  home: string;
  run(
    flags: string[],
    session: object,
    commands: (string | JsonObject)[],
    version?: string,
    decision?: string,
    revoke?: Deno.PermissionDescriptor,
    /** It is revoked while somebody is asked. */
    early?: boolean,
  ): Promise<Answer>;
}

async function inWorld(body: (world: World) => Promise<void>): Promise<void> {
  await using dir = await tempDir("script-");
  await using model = await ScriptedModel.start();
  const ws = join(dir.path, "ws");
  const secret = join(dir.path, "secret");
  await Promise.all([mkdir(ws), mkdir(secret)]);
  await writeFile(join(ws, "inside.txt"), "INSIDE");
  await writeFile(join(secret, "outside.txt"), "OUTSIDE");
  const home = model.clientConfig().env.set["CODEX_HOME"]!;
  await body({
    ws,
    secret,
    home,
    async run(flags, session, commands, version, decision, revoke, early) {
      const codex = await codexPath(version);
      await makeUsed(home, version ?? NEWEST_CODEX);
      const client = model.clientConfig({ codexPath: codex });
      const job = {
        // Inheriting everything needs no permission to read it.
        client: {
          ...client,
          env: { ...client.env, inherit: "all" },
          // What could be narrowed for a turn is still granted by its thread.
          ...(revoke === undefined ? {} : { permissions: "narrow" }),
        },
        session: { cwd: ws, ...session },
        decision,
        revoke,
        early,
        prompt: script.inPrompt([
          ...commands.map((command) =>
            typeof command === "string"
              ? [script.exec(command)]
              : [script.exec(command["cmd"] as string, command)]
          ),
          "done",
        ]),
      };
      const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          ...["run", "--no-prompt", "--no-check", "--quiet"],
          ...(flags.includes("--allow-run") ? flags : [`--allow-run=${codex}`, ...flags]),
          ...[SCRIPT, JSON.stringify(job)],
        ],
      }).output();
      const text = new TextDecoder().decode(stdout);
      assert(text.startsWith("{"), new TextDecoder().decode(stderr));
      // What the model saw: a command that fails in the sandbox may have no item.
      const { input = [] } = model.requests.at(-1)?.body as { input?: { type: string }[] } ?? {};
      const outputs = input.filter((item) => item.type === "function_call_output");
      const told = JSON.stringify(model.requests.at(-1)?.body ?? null);
      return { ...JSON.parse(text), items: outputs, told };
    },
  });
}

test(
  "a script with scoped reads gets an agent that reads no further",
  async () => {
    await inWorld(async ({ ws, secret, run }) => {
      const { policy, items } = await run([`--allow-read=${ws}`], {}, [
        "cat inside.txt",
        `cat ${secret}/outside.txt`,
      ]);
      assert.equal(policy.enforcedBy, "deno");
      assert.deepEqual(policy.readRoots, [ws]);
      assert.deepEqual([policy.confirmed, policy.readsEnforced], [true, true]);
      assert.match(JSON.stringify(items[0]), /INSIDE/);
      assert.doesNotMatch(JSON.stringify(items[1]), /OUTSIDE/);
    });
  },
);

for (const version of codexes("0.169.0", "0.145.0", "0.125.0")) {
  test(`codex itself reads no further into the prompt either, ${version}`, async () => {
    await inWorld(async ({ ws, secret, run }) => {
      const above = dirname(ws);
      await mkdir(join(above, ".git"));
      await writeFile(join(above, "AGENTS.md"), "PARENTS-WORDS");
      await writeFile(join(secret, "key"), "LINKED-WORDS");
      const doc = join(ws, "AGENTS.md");
      await writeFile(doc, "OWN-WORDS");
      const words = ({ told }: Answer) => told.match(/(?:PARENTS|LINKED|OWN)-WORDS/g) ?? [];
      const narrow = await run([`--allow-read=${ws}`], {}, [], version);
      assert.deepEqual(words(narrow), ["OWN-WORDS"]);
      await rm(doc);
      await symlink(join(secret, "key"), doc);
      const led = await run([`--allow-read=${ws}`], {}, [], version);
      assert.deepEqual(words(led), []);
      // Newer codex does not follow it by itself.
      if (version < "0.15") assert.match(led.policy.narrowed.join(), /AGENTS\.md, which leads to/);
    });
  });
}

test("codex's own rules are refused to a script with scoped reads, seen or not", async () => {
  await inWorld(async ({ ws, secret, home, run }) => {
    await mkdir(join(home, "rules"), { recursive: true });
    await writeFile(
      join(home, "rules", "default.rules"),
      'prefix_rule(pattern=["cat"], decision="allow")\n',
    );
    const command = `cat ${secret}/outside.txt`;
    for (const flags of [[`--allow-read=${ws}`], [`--allow-read=${ws},${home}`]]) {
      const { code, message } = await run(flags, {}, [command]);
      assert.equal(code, "policy");
      assert.match(message!, /rules.*allowRulesFiles/s);
    }
    // Whoever means them gets what they allow: codex runs it outside.
    const { policy } = await run([`--allow-read=${ws}`], { allowRulesFiles: true }, [command]);
    assert.equal(policy.rulesFiles.length, 1);
  });
});

test("a script without write permission is refused a writable session, with the flag", async () => {
  await inWorld(async ({ ws, run }) => {
    const session = { sandbox: "workspace-write", allowPrivilegedEscalation: true };
    const { code, missing, message } = await run([`--allow-read=${ws}`], session, []);
    assert.equal(code, "permissionDenied");
    assert.deepEqual(missing, [`--allow-write=${ws}`]);
    assert.match(message!, /--allow-write=/);
  });
});

test("a script with write permission gets an agent that writes there and nowhere else", async () => {
  await inWorld(async ({ ws, secret, run }) => {
    const session = { sandbox: "workspace-write", allowPrivilegedEscalation: true };
    const { policy } = await run([`--allow-read=${ws}`, `--allow-write=${ws}`], session, [
      "echo x > made.txt",
      `echo x > ${secret}/made.txt`,
    ]);
    assert.equal(policy.sandbox.type, "workspaceWrite");
    assert.equal(existsSync(join(ws, "made.txt")), true);
    assert.equal(existsSync(join(secret, "made.txt")), false);
  });
});

test(
  "with codex 0.104 the policy says that reads are not enforced",
  async () => {
    await inWorld(async ({ ws, run }) => {
      const { policy } = await run([`--allow-read=${ws}`], {}, ["true"], "0.104.0");
      assert.deepEqual([policy.readsEnforced, policy.readRoots], [false, [ws]]);
    });
  },
);

for (const version of codexes("0.169.0", "0.145.0")) {
  test(`a command can be approved under scoped flags, and stays in the sandbox: ${version}`, async () => {
    await inWorld(async ({ ws, secret, run }) => {
      const session = {
        sandbox: "workspace-write",
        allowPrivilegedEscalation: true,
        approvalPolicy: "untrusted",
      };
      const escalated = (cmd: string): JsonObject => ({
        cmd,
        sandbox_permissions: "require_escalated",
        justification: "please",
      });
      const flags = [`--allow-read=${ws}`, `--allow-write=${ws}`];
      // More than once: whether codex repeats an accepted command outside is a race in it.
      const outside = Array.from({ length: tries(5, 2) }, (_, at) => `touch ${secret}/made-${at}`);
      // What a later session, or git, would start programs from.
      const names = [".git", ".codex", ".agents"];
      const planted = names.flatMap((name) => [
        `mkdir -p ${name}; echo x > ${name}/x`,
        `mkdir new${name}; echo x > new${name}/x; mv -T new${name} ${name}`,
        `mv ${name} old${name}; mkdir ${name}; echo x > ${name}/x`,
        `ln -sT . ${name}`,
      ]);
      const answer = await run(
        flags,
        session,
        [
          ...["touch made", ...outside, planted.join("; ")],
          ...[`echo x > .codex/y`, escalated(`touch ${secret}/escalated`)],
        ],
        version,
        "accept",
      );
      for (const name of names) {
        for (const file of ["x", "y", "made"]) {
          assert.equal(existsSync(join(ws, name, file)), false, `${name}/${file}`);
        }
        assert.equal(existsSync(join(ws, `old${name}`)), false, name);
      }
      assert.equal(existsSync(join(ws, "new.git", "x")), true);
      assert.equal(answer.policy.acceptedCommands, "sandboxed");
      // 0.145 refuses by itself what asks to leave.
      assert.ok(answer.asked.length > outside.length);
      assert.deepEqual(new Set(answer.audits), new Set(["accept handler"]));
      assert.equal(existsSync(join(ws, "made")), true);
      assert.deepEqual(await readdir(secret), ["outside.txt"]);
    });
  });
}

test("where an accepted command may leave the sandbox, a limited script says so and asks nobody", async () => {
  await inWorld(async ({ ws, run }) => {
    const session = { approvalPolicy: "untrusted" };
    const cases: [flags: string[], version: string][] = [
      [[`--allow-read=${ws}`], "0.104.0"],
      [["--allow-read"], "0.125.0"],
    ];
    for (const [flags, version] of cases) {
      const answer = await run(flags, session, ["touch made"], version, "accept");
      assert.equal(answer.policy.acceptedCommands, "mayLeave");
      assert.deepEqual(answer.asked, []);
      assert.deepEqual(answer.audits, ["decline library"]);
      assert.match(answer.policy.approvalsNote, /can't accept/);
      assert.match(answer.warnings.join(), /can't accept/);
    }
  });
});

test(
  "what is revoked under a live session stops its next turn",
  async (t) => {
    await inWorld(async ({ ws, secret, run }) => {
      const writes = {
        sandbox: { type: "workspaceWrite", writableRoots: [secret] },
        allowPrivilegedEscalation: true,
      };
      const reads = `--allow-read=${ws},${secret}`;
      const rows: [name: string, flags: string[], session: object, Deno.PermissionDescriptor][] = [
        ["the cwd", [reads, `--allow-write=${ws},${secret}`], writes, { name: "write", path: ws }],
        ["a root", [reads, `--allow-write=${ws},${secret}`], writes, {
          name: "write",
          path: secret,
        }],
        ["a read", [`--allow-read=${ws}`], {}, { name: "read", path: ws }],
        ["a temporary directory", [`--allow-read=${ws},/tmp`, `--allow-write=${ws},/tmp`], {
          ...writes,
          sandbox: "workspace-write",
        }, { name: "write", path: "/tmp" }],
        ["all reads", ["--allow-read"], {}, { name: "read" }],
      ];
      const kept = new Set<string>();
      // How a path among others is missed is a matter of a pure decision's own tests.
      const [, root, , temporary, all] = rows;
      for (const [name, flags, session, revoke] of tries(rows, [root!, temporary!, all!])) {
        await t.step(name, async () => {
          // What works while nothing is revoked is shown once for rows with the same flags and session.
          const same = JSON.stringify([flags, session]);
          if (!kept.has(same)) {
            const { policy, message } = await run(flags, session, ["true"]);
            assert.ok(policy, message);
            kept.add(same);
          }
          const answer = await run(flags, session, ["true"], undefined, undefined, revoke);
          assert.equal(answer.code, "permissionDenied", JSON.stringify(answer));
        });
      }
    });
  },
);

test("what was accepted for the session ends with the permission to accept it", async () => {
  await inWorld(async ({ secret, run }) => {
    const session = {
      approvalPolicy: "on-request",
      sandbox: "workspace-write",
      allowPrivilegedEscalation: true,
    };
    const names = ["read", "write", "net", "env", "sys", "ffi", "run"];
    const touch: JsonObject = {
      cmd: `echo x >> ${secret}/made`,
      sandbox_permissions: "require_escalated",
      justification: "please",
    };
    const { code, missing } = await run(
      names.map((name) => `--allow-${name}`),
      session,
      [touch],
      undefined,
      "acceptForSession",
      { name: "net" },
    );
    assert.deepEqual([code, missing], ["permissionDenied", ["--allow-net"]]);
    assert.equal(await readFile(join(secret, "made"), "utf8"), "x\n");
  });
});

test("what is revoked while somebody is asked can't be accepted any more", async () => {
  await inWorld(async ({ ws, run }) => {
    const session = {
      approvalPolicy: "untrusted",
      sandbox: "workspace-write",
      allowPrivilegedEscalation: true,
    };
    const flags = [`--allow-read=${ws}`, `--allow-write=${ws}`];
    const write = { name: "write", path: ws } as const;
    const touch = ["touch made"];
    const { policy, asked, audits } = await run(
      flags,
      session,
      touch,
      undefined,
      "accept",
      write,
      true,
    );
    assert.equal(policy.acceptedCommands, "sandboxed");
    assert.deepEqual([asked, audits], [["command"], ["decline library"]]);
    assert.equal(existsSync(join(ws, "made")), false);
  });
});
