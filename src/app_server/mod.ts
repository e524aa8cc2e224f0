/**
 * The whole app-server protocol, typed and checked.
 * @module
 */
export { AppServer } from "./app_server.ts";
export type {
  ServerRequest,
  ServerRequestError,
  ServerRequestParams,
  ServerRequestResult,
  ServerRequests,
} from "./app_server.ts";
