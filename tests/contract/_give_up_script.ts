/** A user's script that gives up on a server whose host says nothing. Argument: where it is. */
import process from "node:process";
import { webSocketTransport } from "../../src/transport/websocket.ts";

const url = process.argv[2]!;
await webSocketTransport({ url, connectTimeoutMs: 300 })({}).catch((error) =>
  console.log(error.message)
);
