/** A user's script that leaves a server which says nothing. Argument: where it listens. */
import process from "node:process";
import { webSocketTransport } from "../../src/transport/websocket.ts";

const url = process.argv[2]!;
const transport = await webSocketTransport({ url })({});
transport.start({ bytes() {}, text() {}, closed: () => console.log("closed") });
await transport.write(`{"method":"initialized"}\n`);
await transport.close({ graceMs: 50 });
