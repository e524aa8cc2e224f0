/** What a login that fails tells. */
import assert from "node:assert/strict";
import { Client, LoginError, testing, UnsupportedError } from "../../mod.ts";
import { test } from "../_harness.ts";

const SECRET = "hunter2-hunter2-hunter2";

test("why a login failed is told without secrets", async () => {
  const { transport, server } = testing.memoryTransport();
  server.handle("account/login/start", () => ({
    type: "chatgpt",
    loginId: "login-1",
    authUrl: "https://auth.example/authorize",
  }));
  const client = await Client.connect({ transport });
  const failures = [`refused: refresh_token=${SECRET}`, `Authorization: Bearer ${SECRET}`, null];
  for (const error of failures) {
    const login = await client.login({ type: "chatgpt" });
    const failed = assert.rejects(login.done, (reason) => {
      assert.ok(reason instanceof LoginError);
      assert.ok(!reason.message.includes(SECRET), reason.message);
      assert.match(reason.message, error === null ? /no reason was told/ : /\[redacted\]/);
      return true;
    });
    server.notify("account/login/completed", { loginId: "login-1", success: false, error });
    await failed;
  }
  await client.shutdown();
});

test("a login is the one that was asked for, whatever becomes of the objects", async () => {
  const { transport, server } = testing.memoryTransport();
  const asked: unknown[] = [];
  server.handle("account/login/start", (params) => (asked.push(params), { type: "apiKey" }));
  const client = await Client.connect({ transport });
  const request = { type: "apiKey" as const, apiKey: "sk-given" };
  const options: { signal?: AbortSignal } = {};
  const login = client.login(request, options);
  request.apiKey = "sk-changed";
  options.signal = AbortSignal.abort();
  await login;
  assert.deepEqual(asked, [{ type: "apiKey", apiKey: "sk-given" }]);
  await client.shutdown();
});

test("a device code is asked for only where codex knows them, an API key everywhere", async () => {
  for (const [version, knows] of [["0.104.0", false], ["0.169.0", true]] as const) {
    const { transport, server } = testing.memoryTransport({ version });
    const asked: unknown[] = [];
    server.handle("account/login/start", (params) => {
      asked.push((params as { type: string }).type);
      return asked.at(-1) === "apiKey" ? { type: "apiKey" } : {
        type: "chatgptDeviceCode",
        loginId: "login-1",
        verificationUrl: "https://auth.example/device",
        userCode: "ABCD",
      };
    });
    server.handle("account/read", () => ({
      account: { type: "apiKey" },
      requiresOpenaiAuth: true,
    }));
    const client = await Client.connect({ transport });
    const device = client.login({ type: "deviceCode" });
    if (knows) {
      const login = await device;
      server.notify("account/login/completed", {
        loginId: "login-1",
        success: false,
        error: "no",
      });
      await assert.rejects(login.done, LoginError);
    } else await assert.rejects(device, UnsupportedError);
    await (await client.login({ type: "apiKey", apiKey: "sk-test" })).done;
    assert.deepEqual(asked, knows ? ["chatgptDeviceCode", "apiKey"] : ["apiKey"]);
    await client.shutdown();
  }
});

test("a login that begins after its caller has given up is cancelled", async () => {
  const { transport, server } = testing.memoryTransport();
  const [asked, answer, cancelled] = [
    Promise.withResolvers<void>(),
    Promise.withResolvers<{ loginId: string; authUrl: string }>(),
    Promise.withResolvers<unknown>(),
  ];
  server.handle("account/login/start", () => {
    asked.resolve();
    return answer.promise;
  });
  server.handle("account/login/cancel", (params) => {
    cancelled.resolve(params);
    return {};
  });
  const client = await Client.connect({ transport });
  const controller = new AbortController();
  const login = client.login({ type: "chatgpt" }, { signal: controller.signal });
  await asked.promise;
  const reason = new Error("given up");
  controller.abort(reason);
  await assert.rejects(login, (error) => error === reason);
  answer.resolve({ loginId: "login-1", authUrl: "https://auth.example/authorize" });
  assert.deepEqual(await cancelled.promise, { loginId: "login-1" });
  await client.shutdown();
});
