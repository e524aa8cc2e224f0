import assert from "node:assert/strict";
import { PermissionDeniedError } from "../../../src/errors/mod.ts";
import {
  buildEnv,
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
