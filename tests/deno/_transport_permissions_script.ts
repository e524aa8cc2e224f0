/** Starts codex with the permissions that it was given, and says as JSON how that went. */
import { CodexError } from "../../src/errors/mod.ts";
import { codexTransport } from "../../src/launch/mod.ts";
import { unixTransport } from "../../src/transport/unix.ts";
import { webSocketTransport } from "../../src/transport/websocket.ts";

const options = JSON.parse(Deno.args[0] ?? "{}");
try {
  if (options.url !== undefined) await webSocketTransport(options)({});
  if (options.socket !== undefined) await unixTransport(options.socket)({});
  const transport = await codexTransport(options)({});
  const spoke = await new Promise<boolean>((resolve) => {
    transport.start({ bytes: () => resolve(true), text() {}, closed: () => resolve(false) });
    transport.write(
      '{"id":1,"method":"initialize","params":{"clientInfo":{"name":"t","version":"1"}}}\n',
    );
  });
  const { how, gone } = await transport.close();
  console.log(JSON.stringify({ spoke, how, gone, stderr: spoke ? "" : transport.stderrTail() }));
} catch (error) {
  const known = error instanceof CodexError ? { code: error.code, data: error.data ?? null } : {};
  console.log(JSON.stringify({ ...known, message: String(error) }));
}
