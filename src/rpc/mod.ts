/**
 * What other rooms may use of `rpc`.
 *
 * @module
 */
export { decode, describeOversize, encode } from "./codec.ts";
export { Connection, type ConnectionHandler, type ConnectionOptions } from "./connection.ts";
export type { DeltaHead, Deltas, DeltaTaker } from "./delta_reader.ts";
export type {
  OutboundMessage,
  OversizeMessage,
  RpcMessage,
  RpcNotification,
  RpcRequest,
  RpcResponse,
} from "./codec.ts";
export { LineFramer, utf8Length } from "./framing.ts";
export type { CallOptions } from "./pending_calls.ts";
