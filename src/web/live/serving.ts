/**
 * What an adapter serves its tenants with. It is loaded when the first adapter is made.
 * @module
 */
export { ClusterNode, sharedStore } from "../cluster/node.ts";
export { checkAnswer, checkSession, checkSteer, checkTurn } from "../http/check_request.ts";
export {
  badRequest,
  closedError,
  isSessionId,
  notFound,
  sessionId,
  tooMany,
} from "../http/refusals.ts";
export { LiveSessions } from "./live_sessions.ts";
export { ToldQuestions, viewOf } from "./session_thread.ts";
export { SessionSetup } from "./session_setup.ts";
