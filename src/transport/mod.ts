/**
 * What other rooms may use of `transport`.
 *
 * @module
 */
export type { MemoryEnd } from "./memory.ts";
export { openStdio } from "./stdio.ts";
export type {
  Transport,
  TransportClosed,
  TransportCloseReport,
  TransportFactory,
  TransportSink,
} from "./transport.ts";
export type { TransportCloseOptions } from "./transport.ts";
