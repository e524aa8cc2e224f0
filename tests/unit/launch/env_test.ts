import assert from "node:assert/strict";
import { PermissionDeniedError } from "../../../src/errors/mod.ts";
import {
  buildEnv,
  directLoopback,
  dotenvIsDirect,
  type EnvSource,
  minimalEnvNames,
  prependPath,
} from "../../../src/launch/settings.ts";
import { test } from "../../_harness.ts";

function source(
  values: Record<string, string>,
  options: { platform?: string; denied?: string[] } = {},
): EnvSource & { asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    platform: options.platform ?? "linux",
    get(name) {
      asked.push(name);
      return values[name];
    },
    mayRead: (name) => !(options.denied ?? []).includes(name),
  };
}

test("buildEnv() reads nothing when everything is inherited", () => {
  const from = source({ PATH: "/bin", SECRET: "s" }, { denied: ["PATH", "SECRET"] });
  assert.deepEqual(buildEnv({}, from), { clearEnv: false, env: {} });
  assert.deepEqual(buildEnv({ inherit: "all", set: { A: "1" } }, from), {
    clearEnv: false,
    env: { A: "1" },
  });
  assert.deepEqual(from.asked, []);
});

test("buildEnv() passes only the minimal names, and what is set on top", () => {
  const from = source({
    PATH: "/bin",
    HOME: "/home/u",
    LANG: "C",
    https_proxy: "http://p",
    CODEX_HOME: "/c",
    OPENAI_API_KEY: "secret",
    AWS_SECRET_ACCESS_KEY: "secret",
  });
  assert.deepEqual(buildEnv({ inherit: "minimal", set: { HOME: "/other", X: "" } }, from), {
    clearEnv: true,
    env: {
      PATH: "/bin",
      HOME: "/other",
      LANG: "C",
      https_proxy: "http://p",
      CODEX_HOME: "/c",
      X: "",
    },
  });
});

test("buildEnv() passes exactly the listed names that are set", () => {
  const from = source({ A: "1", B: "2", PATH: "/bin" });
  assert.deepEqual(buildEnv({ inherit: ["A", "C"] }, from), { clearEnv: true, env: { A: "1" } });
  assert.deepEqual(buildEnv({ inherit: [] }, from), { clearEnv: true, env: {} });
});

test("buildEnv() throws PermissionDeniedError naming the variables that the script may not read", () => {
  const from = source({ A: "1" }, { denied: ["A", "C"] });
  assert.throws(() => buildEnv({ inherit: ["A", "B", "C"] }, from), (error) => {
    assert.ok(error instanceof PermissionDeniedError);
    assert.deepEqual(error.missing, ["--allow-env=A,C"]);
    return true;
  });
});

test("minimalEnvNames() keeps what each system needs to start a program, and no secret", () => {
  for (const name of ["PATH", "HOME", "TMPDIR", "LC_ALL", "CODEX_HOME", "NO_PROXY"]) {
    assert.ok(minimalEnvNames("linux").includes(name), name);
    assert.ok(minimalEnvNames("darwin").includes(name), name);
  }
  for (const name of ["PATH", "USERPROFILE", "SYSTEMROOT", "TEMP", "APPDATA", "CODEX_HOME"]) {
    assert.ok(minimalEnvNames("win32").includes(name), name);
  }
  for (const platform of ["linux", "win32"]) {
    assert.deepEqual(minimalEnvNames(platform).filter((n) => /KEY|TOKEN|SECRET|PASS/.test(n)), []);
  }
});

test("prependPath() puts helpers first, and leaves an unknown PATH alone", () => {
  const from = source({ PATH: "/bin" });
  const inherited = { clearEnv: false, env: {} };
  assert.deepEqual(prependPath(inherited, ["/h"], from).env, { PATH: "/h:/bin" });
  assert.deepEqual(prependPath({ clearEnv: false, env: { PATH: "/x" } }, ["/h"], from).env, {
    PATH: "/h:/x",
  });
  assert.deepEqual(prependPath({ clearEnv: true, env: {} }, ["/h"], from).env, {});
  assert.deepEqual(prependPath(inherited, ["/h"], source({})).env, {});
  assert.equal(prependPath(inherited, [], from), inherited);
  assert.deepEqual(
    prependPath(inherited, ["C:\\h"], source({ PATH: "C:\\w" }, { platform: "win32" })).env,
    { PATH: "C:\\h;C:\\w" },
  );
});

test("directLoopback() keeps what is said on this machine from every proxy, and says where it can't", () => {
  const rows: [
    what: string,
    values: Record<string, string>,
    set: Record<string, string>,
    Record<
      string,
      string
    >,
  ][] = [
    ["nothing is said", {}, {}, { NO_PROXY: "127.0.0.1" }],
    ["it is said", { NO_PROXY: "a.example, 127.0.0.1" }, {}, {}],
    ["everything is", { NO_PROXY: "*" }, {}, {}],
    ["others are said", { NO_PROXY: "a.example,,b" }, {}, { NO_PROXY: "a.example,b,127.0.0.1" }],
    ["in small letters", { no_proxy: "a" }, {}, { no_proxy: "a,127.0.0.1" }],
    ["in both, of which codex reads the first", { NO_PROXY: "a", no_proxy: "b" }, {}, {
      NO_PROXY: "a,127.0.0.1",
    }],
    ["an empty one hides the other", { NO_PROXY: "", no_proxy: "127.0.0.1" }, {}, {
      NO_PROXY: "127.0.0.1",
    }],
    ["the caller says it", { NO_PROXY: "a" }, { NO_PROXY: "b" }, { NO_PROXY: "b,127.0.0.1" }],
    ["a likeness", { NO_PROXY: "127.0.0.10" }, {}, { NO_PROXY: "127.0.0.10,127.0.0.1" }],
  ];
  for (const [what, values, set, env] of rows) {
    const from = source(values);
    const child = directLoopback(buildEnv({ set }, from), from);
    assert.deepEqual(child, { clearEnv: false, env: { ...set, ...env }, direct: true }, what);
    assert.deepEqual(directLoopback(child, from), child, what);
  }
  const minimal = source({ NO_PROXY: "a", HTTP_PROXY: "http://p" });
  const rules = { inherit: "minimal" } as const;
  const { env } = directLoopback(buildEnv(rules, minimal), minimal);
  assert.equal(env["NO_PROXY"], "a,127.0.0.1");
  const windows = source({ no_proxy: "x" }, { platform: "win32" });
  const spelled = directLoopback({ clearEnv: false, env: { No_Proxy: "w" } }, windows);
  assert.deepEqual(spelled.env, { No_Proxy: "w,127.0.0.1" });

  for (const denied of [["NO_PROXY"], ["no_proxy"], ["NO_PROXY", "no_proxy"]]) {
    const dark = source({ HTTP_PROXY: "http://p" }, { denied });
    const inherited = { clearEnv: false, env: {} };
    const untouched = { ...inherited, direct: false };
    assert.deepEqual(directLoopback(inherited, dark), untouched, "it would hide the user's own");
    for (const rules of [{ set: { NO_PROXY: "" } }, { inherit: [] }]) {
      assert.ok(directLoopback(buildEnv(rules, dark), dark).direct);
    }
  }
});

test("dotenvIsDirect() tells whether codex's own .env leads it to this machine by way of a proxy", () => {
  const direct = [
    "",
    "HTTP_PROXY=http://p:3128\nALL_PROXY=socks5://p\n",
    "# NO_PROXY=a\n  #NO_PROXY=b",
    "NO_PROXY=127.0.0.1",
    "A=1\r\nexport no_proxy = 'a.example, 127.0.0.1' # ours\r\nB=2",
    'NO_PROXY="*"\nno_proxy=10.0.0.0/8,[::1],127.0.0.1',
    "NO_PROXY=a,127.0.0.1\nNO_PROXY=127.0.0.1,b",
  ];
  const led = [
    "NO_PROXY=",
    "NO_PROXY=a.example",
    "NO_PROXY=localhost,127.0.0.10",
    "#x\rNO_PROXY=a",
    "\ufeffexport NO_PROXY='a'",
    "NO_PROXY=127.0.0.1\nNO_PROXY=a",
    "NO_PROXY=127.0.0.1\nno_proxy=a",
    "No_Proxy=a",
    "NO_PROXY=$HOSTS,127.0.0.1",
    'NO_PROXY="a\n,127.0.0.1"',
    "NO_PROXY=\"127.0.0.1'",
    "NO_PROXY=a # 127.0.0.1",
    "X=1 NO_PROXY=127.0.0.1",
    "NO_PROXY: 127.0.0.1",
  ];
  for (const text of direct) assert.ok(dotenvIsDirect(text), text);
  for (const text of led) assert.ok(!dotenvIsDirect(text), text);
});
