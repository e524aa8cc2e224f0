/**
 * Who is logged in, and how to change that: a key for this program alone, or a login that codex keeps for its user.
 *
 *     deno run --allow-run=codex --allow-read=$HOME/.codex --allow-write=$HOME/.codex --allow-net --allow-env=CI_OPENAI_KEY examples/login.ts --live
 */
import process from "node:process";
import { Client } from "../mod.ts";
import { setup } from "./_setup.ts";

await using env = await setup(["Hello."]);

// For scripts and CI: the key is kept in codex's memory, and the login that the user has stored stays as it is.
const apiKey = process.env["CI_OPENAI_KEY"] ?? (env.live ? undefined : "sk-only-an-example");
const { configOverrides } = env.client;
await using client = await Client.connect({
  ...env.client,
  ...(apiKey === undefined ? {} : { apiKey }),
  // The scripted provider takes codex's own login, as OpenAI's does.
  ...(env.live ? {} : {
    configOverrides: {
      ...configOverrides,
      "model_providers.scripted.requires_openai_auth": true,
    },
  }),
});
const account = await client.account();
console.log(`logged in: ${account?.type ?? "nobody"}`);
if (account === null) {
  const login = await client.login({ type: "deviceCode" });
  console.log(`Open ${login.verificationUrl} and type ${login.userCode}`);
  console.log(`Hello, ${(await login.done).email}`);
} else {
  console.log((await client.run(env.cwd, "Say hello")).assistantText);
}
// Of a login in a browser only the page is shown here; nobody is waited for.
await using login = await client.login({ type: "chatgpt" });
console.log(`a browser would open ${new URL(login.verificationUrl!).origin}`);
