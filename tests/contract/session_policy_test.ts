/** What a session says of its policy when the server, the machine or the hooks make it another one than was asked for. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { FakeRpcError, type Message, recorded, recordedResult } from "../_fake_server.ts";
import { test } from "../_harness.ts";
import {
  type ApprovalHandler,
  ConnectionClosedError,
  FilteredPostHook,
  InvalidArgumentError,
  PolicyError,
  PolicyMismatchError,
  RpcError,
  type Session,
  type SessionConfig,
  ShellCommandHook,
  type TurnEvent,
} from "../../mod.ts";
import { CheckpointStore } from "../../src/session/history/rewind/checkpoint_store.ts";
import { tempDir } from "../_temp.ts";
import { onFake, rejection, startTurn } from "./session_world.ts";

/** The warnings of a prompt. */
async function warningsOf(session: Session): Promise<string[]> {
  const warnings: string[] = [];
  await session.ask("x", {
    onEvent: (event: TurnEvent) => {
      if (event.type === "warning") warnings.push(event.message);
    },
  });
  return warnings;
}

if (process.platform !== "win32") {
  test("no session begins where codex would read what has no end", async () => {
    await using dir = await tempDir("endless-");
    const [root, cwd] = [join(dir.path, "repo"), join(dir.path, "repo", "sub")];
    for (const each of [cwd, join(root, ".codex"), join(cwd, ".codex")]) {
      await mkdir(each, { recursive: true });
    }
    await onFake({}, async ({ client }) => {
      const begin = async (config: string, file: "pipe" | "device" | "text", is: boolean) => {
        const path = join(dir.path, config);
        if (file === "pipe") execFileSync("mkfifo", [path]);
        else if (file === "device") await symlink("/dev/zero", path);
        else await writeFile(path, "# mine");
        if (is) await (await client.startSession({ cwd })).close();
        else {
          const error = await rejection(client.startSession({ cwd }));
          assert.ok(error instanceof PolicyError && error.message.startsWith(path), config);
        }
        await rm(path);
      };
      await begin("repo/sub/.codex/config.toml", "pipe", false);
      await begin("repo/sub/AGENTS.md", "device", false);
      await begin("repo/sub/AGENTS.md", "text", true);
      // Without a project codex reads the directory alone.
      await begin("repo/.codex/config.toml", "pipe", true);
      execFileSync("mkfifo", [join(root, "AGENTS.md")]);
      const params = { cwd, sandbox: "read-only" as const, approvalPolicy: "untrusted" as const };
      await client.runtime.request("thread/start", params);
      await mkdir(join(root, ".git"));
      // A raw call gets no further.
      const raw = await rejection(client.runtime.request("thread/start", params));
      assert.ok(raw instanceof PolicyError && raw.data?.["reason"] === "endlessFile");
      await rm(join(root, "AGENTS.md"));
      await client.runtime.request("thread/start", params);
      await begin("repo/.codex/config.toml", "pipe", false);
      await begin("AGENTS.md", "device", true);
      // What belongs to no skill is read by nobody.
      await mkdir(join(root, ".codex-plugin"));
      await begin("repo/.codex-plugin/plugin.json", "pipe", true);
      for (const folder of ["repo/.agents/skills/s", "other/t"]) {
        await mkdir(join(dir.path, folder, "agents"), { recursive: true });
      }
      await begin("repo/.codex-plugin/plugin.json", "pipe", false);
      await begin("repo/.agents/skills/s/agents/openai.yaml", "device", false);
      await begin("repo/.agents/skills/s/agents/openai.yaml", "text", true);
      await begin("repo/.agents/skills/s/assets", "device", true);
      // Codex follows links to skills.
      await symlink("..", join(root, ".agents", "skills", "loop"));
      await symlink("../../../other/t", join(root, ".agents", "skills", "t"));
      await writeFile(join(dir.path, "other", "t", "SKILL.md"), "");
      assert.ok(await client.startSession({ cwd }));
      execFileSync("mkfifo", [join(dir.path, "other", "t", "agents", "openai.yaml")]);
      const error = await rejection(client.startSession({ cwd }));
      assert.match(String(error), /skills\/t\/agents\/openai\.yaml leads to a device/);
    });
  });

  test("no turn begins where codex would read a .git that has no end, or whose agent may write codex's home", async () => {
    await using dir = await tempDir("places-");
    const [cwd, other] = [join(dir.path, "cwd"), join(dir.path, "other")];
    for (const each of [cwd, other]) await mkdir(each);
    const methods = {
      initialize: () => ({
        ...recordedResult("0.169", "basic", "initialize"),
        codexHome: join(dir.path, "home"),
      }),
    };
    await onFake({ server: { methods } }, async ({ client }) => {
      const refused = async (asked: Promise<unknown>, reason: string) => {
        const error = await rejection(asked);
        assert.ok(error instanceof PolicyError && error.data?.["reason"] === reason, `${error}`);
      };
      const session = await client.startSession({ cwd, allowPrivilegedEscalation: true });
      await session.ask("x");
      const wide = (root: string) =>
        session.ask("x", {
          sandbox: { type: "workspaceWrite", writableRoots: [root], excludeSlashTmp: true },
        });
      await refused(wide(dir.path), "ownHome");
      await symlink("/dev/zero", join(other, ".git"));
      await refused(wide(other), "endlessFile");
      await session.ask("x");
      await symlink("/dev/zero", join(cwd, ".git"));
      await refused(client.startSession({ cwd }), "endlessFile");
      const params = { cwd, sandbox: "read-only" as const, approvalPolicy: "untrusted" as const };
      await refused(client.runtime.request("thread/start", params), "endlessFile");
    });
  });
}

test("the program of a hook that the agent may write is warned of", async () => {
  await using dir = await tempDir("guard-");
  const path = join(dir.path, "guard.sh");
  await writeFile(path, "");
  const guard = new ShellCommandHook("g", ["sh", "./guard.sh"], {
    phases: ["postRun"],
    cwd: dir.path,
  });
  const hooks = { post: [new FilteredPostHook(guard, { phases: ["postRun"] })] };
  await onFake({}, async ({ client }) => {
    for (const sandbox of ["read-only", "workspace-write"] as const) {
      const session = await client.startSession({
        cwd: dir.path,
        sandbox,
        hooks,
        allowPrivilegedEscalation: true,
      });
      const told = (await warningsOf(session)).filter((text) => text.includes(path));
      assert.equal(told.length, sandbox === "read-only" ? 0 : 1);
    }
  });
});

if (process.platform !== "win32") {
  test("a directory of codex's PATH that the agent may write is warned of, once", async () => {
    const writes = { sandbox: "workspace-write", allowPrivilegedEscalation: true } as const;
    await using outer = await tempDir("path-");
    for (
      const [path, prompt, folders] of [
        ["/w/node_modules/.bin:/usr/bin:/bin", writes, ["/w/node_modules/.bin"]],
        ["/w/node_modules/.bin:/usr/bin:/bin", {}, []],
        ["/x:/usr/bin", writes, []],
        // What is relative starts where codex looks at the repository.
        ["/usr/bin:./bin:", {}, ["./bin", "."]],
        ["", writes, []],
      ] as const
    ) {
      const PATH = path.replaceAll("/w", outer.path);
      await onFake({
        client: { env: { set: { PATH } } },
        session: { cwd: outer.path },
      }, async ({ session }) => {
        const warnings: string[] = [];
        for (let i = 0; i < 2; i++) {
          await session.ask("x", {
            ...prompt,
            onEvent: (event) => void (event.type === "warning" && warnings.push(event.message)),
          });
        }
        assert.deepEqual(
          warnings.map((text) => /from (.+) as well/.exec(text)?.[1]),
          folders.map((folder) => folder.replace("/w", outer.path)),
        );
      });
    }
  });
}

test("hooks that watch without anybody to accept are warned of, once", async () => {
  const watching = {
    pre: [{
      name: "watch",
      phases: ["preToolUse" as const],
      call: () => ({ type: "continue" as const }),
    }],
  };
  const rows = [
    [watching, undefined, 1],
    [watching, () => ({ decision: "accept" as const }), 0],
    [undefined, undefined, 0],
  ] as const;
  for (const [hooks, approvals, count] of rows) {
    await onFake({
      session: {
        ...(hooks === undefined ? {} : { hooks }),
        ...(approvals === undefined ? {} : { approvals, approvalPolicy: "untrusted" as const }),
      },
    }, async ({ session }) => {
      const told = async () =>
        (await warningsOf(session)).filter((text) => /nobody is there to accept/.test(text)).length;
      assert.deepEqual([await told(), await told()], [count, 0]);
    });
  }
});

test("a server that takes the thread up with a narrower sandbox changes the policy and is warned of", async () => {
  let servers = 0;
  const dialect = "0.104";
  await onFake({
    server: {
      dialect,
      methods: {
        initialize: () => {
          servers++;
          return structuredClone(recordedResult(dialect, "basic", "initialize"));
        },
        "thread/resume": (params: Message, server) => {
          server.threads.set(params.threadId, { id: params.threadId, cwd: params.cwd, turn: null });
          const result = structuredClone(recordedResult(dialect, "threads", "thread/resume"));
          result.thread.id = params.threadId;
          return {
            ...result,
            cwd: params.cwd,
            approvalPolicy: params.approvalPolicy,
            sandbox: { type: "readOnly" },
          };
        },
      },
    },
    client: { restart: { type: "onCrash", baseDelayMs: 1 } },
    session: { sandbox: "workspace-write", allowPrivilegedEscalation: true },
  }, async ({ session, server }) => {
    assert.deepEqual(await warningsOf(session), []);
    assert.equal(session.policy.sandbox.type, "workspaceWrite");
    server().crash();
    const warnings = await warningsOf(session);
    assert.equal(servers, 2);
    assert.equal(session.policy.sandbox.type, "readOnly");
    assert.deepEqual(session.policy.narrowed, [
      "The server made the sandbox readOnly instead of workspaceWrite.",
    ]);
    assert.deepEqual(warnings, session.policy.narrowed);
    assert.deepEqual(await warningsOf(session), []);
  });
});

test("a codex of one's own that takes the thread up with what only a prompt was allowed is refused", async () => {
  const dialect = "0.169";
  const sandbox = {
    type: "workspaceWrite",
    writableRoots: [],
    networkAccess: false,
    excludeTmpdirEnvVar: false,
    excludeSlashTmp: false,
  };
  await onFake({
    server: {
      dialect,
      methods: {
        "thread/resume": (params: Message, server) => {
          server.threads.set(params.threadId, { id: params.threadId, cwd: params.cwd, turn: null });
          const result = structuredClone(recordedResult(dialect, "threads", "thread/resume"));
          result.thread.id = params.threadId;
          const { cwd, approvalPolicy } = params;
          return { ...result, cwd, runtimeWorkspaceRoots: [cwd], approvalPolicy, sandbox };
        },
      },
    },
    client: { restart: { type: "onCrash", baseDelayMs: 1 } },
    session: { allowPrivilegedEscalation: true },
  }, async ({ session, server }) => {
    await session.ask("wider", { sandbox: "workspace-write" });
    server().crash();
    const told = await rejection(session.ask("x"));
    assert.ok(told instanceof PolicyMismatchError);
    assert.deepEqual(told.mismatches.map(({ field }) => field), ["sandbox"]);
  });
});

test("a command that an old codex died with keeps no turn on the next one from doing less", async () => {
  const dialect = "0.104";
  let crash: (() => void) | null = null;
  await onFake({
    server: {
      dialect,
      onTurn: (turn) => {
        turn.say("ok");
        if (crash === null) return turn.complete();
        turn.command("sleep 9", "", { open: true });
        crash();
        crash = null;
      },
    },
    client: { restart: { type: "onCrash", baseDelayMs: 1 } },
    session: { sandbox: "workspace-write", allowPrivilegedEscalation: true },
  }, async ({ session, server }) => {
    crash = () => server().crash();
    assert.ok(await rejection(session.ask("one")) instanceof ConnectionClosedError);
    const { assistantText } = await session.ask("two", { sandbox: "read-only" });
    assert.equal(assistantText, "ok");
  });
});

test("a Windows without a sandbox is told; one that is ready, or does not know the question, is not", async () => {
  const unknown = Symbol();
  for (const status of ["notConfigured", "updateRequired", "ready", unknown]) {
    await onFake({
      server: {
        methods: {
          initialize: () => ({
            ...structuredClone(recordedResult("0.169", "basic", "initialize")),
            platformFamily: "windows",
            platformOs: "windows",
          }),
          "windowsSandbox/readiness": () => status === unknown ? {} : { status: status as string },
        },
      },
    }, async ({ session }) => {
      const told = session.policy.narrowed.filter((text) => /sandbox for Windows/.test(text));
      const expected = status === "ready" || status === unknown ? 0 : 1;
      assert.equal(told.length, expected, String(status));
      if (expected === 1) assert.ok(told[0]!.includes(String(status)));
      const warnings = (await warningsOf(session)).filter((text) => /for Windows/.test(text));
      assert.deepEqual(warnings, told);
    });
  }
});

test("a sandbox that the server does not confirm is warned of at the end of the first turn, once", async () => {
  const writes = { sandbox: "workspace-write", allowPrivilegedEscalation: true } as const;
  for (const [config, count] of [[writes, 1], [{}, 0]] as const) {
    await onFake({ session: config }, async ({ session }) => {
      const told = async () =>
        (await warningsOf(session)).filter((text) => /not confirmed/.test(text)).length;
      // This one starts read-only, and the server never says what the turn made of it.
      assert.deepEqual([await told(), await told()], [count, 0]);
      assert.equal(session.policy.confirmed, count === 0);
    });
  }
});

test("what a server asks while its thread is opened is asked of the session's approvals", async () => {
  const dialect = "0.169";
  const answers: Message[] = [];
  const yes = () => ({ action: "accept" as const, content: { name: "x" } });
  await onFake({
    server: {
      dialect,
      methods: {
        "thread/start": async (params: Message, server) => {
          const method = "mcpServer/elicitation/request";
          const asked = recorded(dialect, "mcp-elicitation", method).params;
          answers.push(
            await server.ask(method, { ...asked, threadId: server.id(), turnId: null }),
          );
          const result = structuredClone(recordedResult(dialect, "basic", "thread/start"));
          return { ...result, cwd: params.cwd, approvalPolicy: params.approvalPolicy };
        },
      },
    },
    client: { approvals: yes },
    session: { approvals: () => ({ decision: "decline" as const }), approvalPolicy: "untrusted" },
  }, () => Promise.resolve());
  assert.deepEqual(answers.map(({ result }) => result?.action), ["decline"]);
});

test("what is asked for no turn is over with its session, whoever was asked", async () => {
  const dialect = "0.169";
  const asked = recorded(dialect, "mcp-elicitation", "mcpServer/elicitation/request").params;
  for (const end of ["release", "close"] as const) {
    for (const whose of ["session", "client"] as const) {
      const begun = Promise.withResolvers<AbortSignal>();
      const approvals: ApprovalHandler = (_, { signal }) => {
        begun.resolve(signal);
        return new Promise(() => {});
      };
      await onFake({
        server: { dialect },
        client: { approvals: whose === "client" ? approvals : () => ({ decision: "defer" }) },
        session: { approvalPolicy: "untrusted", ...(whose === "session" ? { approvals } : {}) },
      }, async ({ client, session, server }) => {
        const { threadId } = session;
        const ask = (thread: string) =>
          server().ask("mcpServer/elicitation/request", {
            ...asked,
            threadId: thread,
            turnId: null,
          });
        const answer = ask(threadId);
        const signal = await begun.promise;
        const other = await client.startSession({ cwd: "/", approvalPolicy: "untrusted" });
        void ask(other.threadId);
        await session[end]();
        assert.equal((await answer).result.action, "decline");
        assert.equal(signal.aborted, true);
        assert.deepEqual(
          client.approvals.pending().map(({ request }) => request.threadId),
          [other.threadId],
        );
      });
    }
  }
});

test("a turn of somebody else is stopped where the workspace has moved, whether it is recorded or not", async () => {
  for (const checkpoints of [false, true]) {
    await using directory = await tempDir("moved-");
    const cwd = join(directory.path, "workspace");
    await mkdir(cwd);
    await onFake({ session: { cwd, checkpoints } }, async ({ session, server }) => {
      await rename(cwd, `${cwd}-moved`);
      await symlink(`${cwd}-moved`, cwd);
      const { turn } = startTurn(server(), { threadId: session.threadId, input: [] });
      turn.started();
      const { params } = await server().waitForMethod("turn/interrupt");
      assert.equal(params.turnId, turn.id, `checkpoints: ${checkpoints}`);
    });
  }
});

test("a thread that can't be gone on with stays in the history", async () => {
  await using directory = await tempDir("resume-");
  const [cwd, codexHome] = [join(directory.path, "workspace"), join(directory.path, "home")];
  for (const path of [cwd, codexHome]) await mkdir(path);
  // A rewind was cut off, and what is left of it can't be done.
  const store = await CheckpointStore.open(CheckpointStore.home(codexHome), cwd);
  const restore = { threadId: "t", before: "u", turns: ["u"], steps: [], at: Date.now() };
  await store.putRestore("cut-off", restore);
  const methods = {
    initialize: ({ clientInfo }: Message) => {
      const hello = recordedResult("0.169", "basic", "initialize");
      return { ...hello, userAgent: `${clientInfo.name}/0.169.0 (x)`, codexHome };
    },
    "thread/turns/list": () => {
      throw new FakeRpcError("not now");
    },
  };
  await onFake({ server: { methods } }, async ({ client, server }) => {
    const config = {
      cwd,
      checkpoints: true,
      allowPrivilegedEscalation: true,
      sandbox: {
        type: "workspaceWrite",
        excludeSlashTmp: true,
        excludeTmpdirEnvVar: true,
      },
    } as const;
    const error = await rejection(client.resumeSession("t", config));
    assert.ok(error instanceof RpcError && error.rpcMessage === "not now", String(error));
    const sent = server().received.map(({ method }) => method);
    assert.ok(!sent.includes("thread/archive") && sent.includes("thread/unsubscribe"), `${sent}`);
  });
});

test("a prompt with a profile of its own has that profile's network, and no other reads than the session", () => {
  const methods = { "thread/backgroundTerminals/clean": () => ({}) };
  return onFake({ server: { methods } }, async ({ client, server, cwd }) => {
    const wide = { sandbox: "workspace-write", networkAccess: true } as const;
    const session = await client.startSession({ cwd, ...wide, allowPrivilegedEscalation: true });
    await session.askWithProfile("x", { networkAccess: false, allowPrivilegedEscalation: true });
    const { params } = server().received.findLast(({ method }) => method === "turn/start")!;
    assert.equal(params.sandboxPolicy.networkAccess, false);
    const other = session.askWithProfile("x", { reads: "workspace" });
    assert.ok(await rejection(other) instanceof InvalidArgumentError);
  });
});

test("a turn that is to ask about more than the one before begins on a thread that codex has closed in between", async () => {
  for (const dialect of ["0.169", "0.104"] as const) {
    const methods = { "thread/backgroundTerminals/clean": () => ({}) };
    await onFake({ server: { dialect, methods } }, async ({ client, server, cwd }) => {
      const session = await client.startSession({ cwd, approvalPolicy: "on-request" });
      await session.ask("x");
      const before = server().received.length;
      await session.ask("x", { approvalPolicy: "untrusted" });
      const sent = server().received.slice(before).map(({ method }) => method)
        .filter((method) => /^(?:turn.start|thread.(?:unsubscribe|resume))$/.test(method));
      const between = dialect === "0.104" ? [] : ["thread/unsubscribe", "thread/resume"];
      assert.deepEqual(sent, [...between, "turn/start"]);
      // One that has had no turn holds nothing, and can't be resumed; one without a file can't be either.
      const fresh = await client.startSession({ cwd, ephemeral: true });
      const asking = { approvalPolicy: "untrusted" } as const;
      await fresh.ask("x", asking);
      const wide = { sandbox: "workspace-write", allowPrivilegedEscalation: true } as const;
      const other = await client.startSession({ cwd, ephemeral: true, ...wide });
      await other.ask("x");
      const answered = await other.ask("x", { sandbox: "read-only" }).catch((error) => error);
      const refused = answered instanceof PolicyError &&
        answered.data?.["reason"] === "keptAnswers";
      assert.equal(refused, dialect === "0.169");
    });
  }
});

test("a turn that may do less is refused on a thread that is not resumed, also where another one has begun meanwhile", () =>
  onFake({
    server: { dialect: "0.169", methods: { "thread/backgroundTerminals/clean": () => ({}) } },
  }, async ({ client, server, cwd }) => {
    const wide = { sandbox: "workspace-write", allowPrivilegedEscalation: true } as const;
    const session = await client.startSession({ cwd, ephemeral: true, ...wide });
    await session.ask("x");
    const { threadId } = session;
    const call = async () => {
      const turn = { id: "another", status: "inProgress", items: [] };
      server().notify("turn/started", { threadId, turn });
      // What is answered later was told before.
      await client.runtime.request("thread/read", { threadId });
      return { type: "continue" } as const;
    };
    const hooks = { pre: [{ name: "meanwhile", phases: ["preTurn"] as const, call }] };
    const error = await rejection(session.ask("x", { sandbox: "read-only", hooks }));
    assert.ok(error instanceof PolicyError && error.data?.["reason"] === "keptAnswers", `${error}`);
  }));

test("a session that reads its workspace only has no tools of the login's account, unless it chose them", () =>
  onFake({}, async ({ client, server, cwd }) => {
    const rows = [
      ["all", {}, undefined],
      ["workspace", {}, false],
      ["workspace", { "features.apps": true }, true],
      ["workspace", { features: { apps: true } }, true],
      ["workspace", { "features.plugins": true }, false],
    ] as const;
    for (const [reads, config, expected] of rows) {
      const profile = { cwd, reads, config, allowPrivilegedEscalation: true };
      // The recorded server knows no profile that limits reads, and is left then.
      await client.startSession(profile).catch(() => {});
      const sent = server().received.findLast(({ method }) => method === "thread/start")!;
      assert.equal(sent.params.config["features.apps"], expected, JSON.stringify([reads, config]));
      // The user may have switched them on by the older name, which codex takes of the two.
      assert.equal(sent.params.config["features.connectors"], expected);
      const plugins = reads === "all" ? undefined : "features.plugins" in config;
      assert.equal(sent.params.config["features.plugins"], plugins);
    }
  }));

test("a session that reads its workspace only searches the web live where it says so itself", async () => {
  const live = { web_search: "live" };
  const rows = [
    [live, "all", undefined, undefined],
    [live, "workspace", undefined, "cached"],
    [live, "workspace", "live", "live"],
    [{ features: { web_search_request: true } }, "workspace", undefined, "cached"],
    [{ features: { web_search: true } }, "workspace", undefined, "cached"],
    [
      { web_search: "disabled", features: { web_search: true } },
      "workspace",
      undefined,
      undefined,
    ],
    [{}, "workspace", undefined, undefined],
  ] as const;
  for (const [config, reads, webSearch, expected] of rows) {
    const methods = { "config/read": () => ({ config }) };
    await onFake({ server: { methods } }, async ({ client, server, cwd }) => {
      const profile = { cwd, reads, allowPrivilegedEscalation: true };
      await client.startSession(webSearch ? { ...profile, webSearch } : profile).catch(() => {});
      const sent = server().received.findLast(({ method }) => method === "thread/start")!;
      assert.equal(sent.params.config["web_search"], expected, JSON.stringify([config, reads]));
    });
  }
});

test("no hook of the user's answers codex's questions; what the script gave codex and an administrator's stay", () => {
  const hook = (key: string, rest: object) => ({
    key,
    eventName: "permissionRequest",
    enabled: true,
    isManaged: false,
    source: "user",
    ...rest,
  });
  const hooks = [
    hook("/h/hooks.json:permission_request:0:0", {}),
    hook("plugin", { source: "plugin" }),
    hook("project", { source: "project" }),
    hook("mine", { source: "sessionFlags" }),
    hook("managed", { isManaged: true, source: "system" }),
    hook("off", { enabled: false }),
    hook("guard", { eventName: "preToolUse" }),
  ];
  const methods = { "hooks/list": () => ({ data: [{ hooks }] }) };
  return onFake({ server: { methods } }, async ({ client, server, cwd }) => {
    const off = Object.fromEntries(
      ["/h/hooks.json:permission_request:0:0", "plugin", "project"].map((key) => [
        key,
        { enabled: false },
      ]),
    );
    const own = { hooks: { Stop: [], state: { x: { enabled: false } } } };
    const rows = [
      ["never", {}, undefined],
      ["on-request", {}, { state: off }],
      ["untrusted", own, { Stop: [], state: { x: { enabled: false }, ...off } }],
    ] as const;
    for (const [approvalPolicy, config, expected] of rows) {
      await client.startSession({ cwd, approvalPolicy, config, allowPrivilegedEscalation: true });
      const sent = server().received.findLast(({ method }) => method === "thread/start")!;
      assert.deepEqual(sent.params.config.hooks, expected, approvalPolicy);
    }
  });
});

test("a profile that the user's configuration chooses has no more than the session [0.104]", () => {
  const methods = { "config/read": () => ({ config: { profile: "p.x" } }) };
  return onFake({ server: { methods, dialect: "0.104" } }, async ({ client, server, cwd }) => {
    await client.startSession({ cwd, webSearch: "off", config: { features: { undo: false } } });
    const sent = server().received.findLast(({ method }) => method === "thread/start")!;
    assert.deepEqual(sent.params.config.profiles, {
      "p.x": {
        features: {
          undo: false,
          shell_snapshot: false,
          codex_hooks: false,
          multi_agent: false,
          enable_fanout: false,
          artifact: false,
          goals: false,
        },
        web_search: "disabled",
      },
    });
  });
});

test("no tool of the user's servers, apps and plugins runs unseen where hooks or rules are to see them", () => {
  const approve = { approval_mode: "approve" };
  const methods = {
    "config/read": () => ({
      layers: [
        { name: { type: "user" }, config: { mcp_servers: { all: {}, some: {} } } },
        { name: { type: "project" }, config: { mcp_servers: { none: {} } } },
      ],
      config: {
        mcp_servers: {
          all: { command: "x", default_tools_approval_mode: "approve" },
          some: { command: "x", tools: { wipe: approve, look: { approval_mode: "auto" } } },
          none: { command: "x", default_tools_approval_mode: "auto" },
        },
        apps: {
          _default: { approvals_reviewer: "auto_review" },
          mail: { approvals_reviewer: "user", tools: { send: approve } },
        },
        plugins: { "p@x": { enabled: true, mcp_servers: { own: { tools: { wipe: approve } } } } },
      },
    }),
  };
  const prompt = { approval_mode: "prompt" };
  const user = { _default: { approvals_reviewer: "user" } };
  const asking = {
    mcp_servers: {
      all: { default_tools_approval_mode: "prompt" },
      some: { default_tools_approval_mode: "prompt", tools: { wipe: prompt, look: prompt } },
      none: { default_tools_approval_mode: "prompt" },
    },
    apps: {
      _default: { ...user._default, default_tools_approval_mode: "prompt" },
      mail: { default_tools_approval_mode: "prompt", tools: { send: prompt } },
    },
    plugins: false,
  };
  const own = { some: { enabled: false, tools: { look: { approval_mode: "prompt" } } } };
  const watch = { name: "watch", call: () => ({ type: "continue" as const }) };
  return onFake({ server: { methods } }, async ({ client, server, cwd }) => {
    const rows = [
      [{}, {}],
      [{ approvalPolicy: "untrusted" }, { apps: user }],
      [{ hooks: { pre: [watch] } }, asking],
      [{
        hooks: { pre: [watch] },
        config: { "mcp_servers.some": own.some },
        allowPrivilegedEscalation: true,
      }, {
        ...asking,
        mcp_servers: {
          ...asking.mcp_servers,
          some: { ...own.some, ...asking.mcp_servers.some },
        },
      }],
      [{
        approvalPolicy: "untrusted",
        config: { apps: { _default: { approvals_reviewer: "guardian_subagent" } } },
        allowPrivilegedEscalation: true,
      }, { apps: { _default: { approvals_reviewer: "guardian_subagent" } } }],
      [{
        approvalPolicy: "untrusted",
        approvals: { rules: [{ effect: "deny", tool: "wipe" }] },
      }, asking],
    ] as const;
    for (const [given, expected] of rows) {
      const { policy } = await client.startSession({ cwd, ...given } as SessionConfig);
      const sent = server().received.findLast(({ method }) => method === "thread/start")!;
      const { mcp_servers, apps, "features.plugins": plugins } = sent.params.config;
      const told = {
        ...(mcp_servers && { mcp_servers }),
        ...(apps && { apps }),
        ...(plugins !== undefined && { plugins }),
      };
      assert.deepEqual(told, expected, JSON.stringify(given));
      assert.equal(/plugins are left out/.test(policy.narrowed.join()), plugins === false);
    }
    const denied = { approvals: { rules: [{ effect: "deny" as const, tool: "wipe" }] } };
    await assert.rejects(
      client.startSession({ cwd, ...denied }),
      (error) => error instanceof PolicyError && error.data?.["reason"] === "unheardApprovals",
    );
    const wipe = { description: "x", inputSchema: { type: "object" }, run: () => "x" };
    await client.startSession({ cwd, ...denied, tools: { wipe } });
    const session = await client.startSession({ cwd });
    await assert.rejects(
      session.ask("x", { approvalPolicy: "on-request" }),
      (error) => error instanceof PolicyError && error.data?.["reason"] === "answeringHooks",
    );
    await onFake({ server: { methods, dialect: "0.104" } }, async ({ client, server, cwd }) => {
      await client.startSession({ cwd, hooks: { pre: [watch] } });
      const sent = server().received.findLast(({ method }) => method === "thread/start")!;
      // A project that codex does not trust has no servers: a setting of one would end the thread's start.
      const { none: _, ...rest } = asking.mcp_servers;
      assert.deepEqual(sent.params.config.mcp_servers, rest);
    });
    // A thread's table takes the place of that of codex's flags; apps may come without a word of the user's.
    const flagged = { mcp_servers: { by_flag: { url: "x" } } };
    const layers = [{ name: { type: "sessionFlags" }, config: flagged }];
    const told = { "config/read": () => ({ layers, config: flagged }) };
    await onFake({ server: { methods: told } }, async ({ client, server, cwd }) => {
      const { policy } = await client.startSession({ cwd, hooks: { pre: [watch] } });
      const { params } = server().received.findLast(({ method }) => method === "thread/start")!;
      const unsaid = { default_tools_approval_mode: "prompt" };
      assert.deepEqual(params.config.mcp_servers, { by_flag: { url: "x", ...unsaid } });
      assert.deepEqual(params.config.apps, { _default: unsaid });
      assert.deepEqual(policy.narrowed, []);
    });
  });
});

test("a session that asks is not opened where codex does not tell its hooks", () => {
  const refuse = () => {
    throw new FakeRpcError("no", -32601);
  };
  return onFake({ server: { methods: { "hooks/list": refuse } } }, async ({ client, cwd }) => {
    await assert.rejects(client.startSession({ cwd, approvalPolicy: "untrusted" }), RpcError);
  });
});
