/** What a login that fails tells. */
import assert from "node:assert/strict";
import { Client, LoginError, testing } from "../../mod.ts";
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
