/**
 * Who answers the server's requests: rules, handlers, time-outs, and the exact shape that each method wants.
 *
 * @module
 */
export {
  ApprovalDesk,
  isToolItem,
  loadSessionRules,
  type SessionRules,
  toolFacts,
  toolOutcome,
} from "./desk.ts";
export type { BrokerHost, GateToolCall, Grant, ReaderRequest, ThreadGate } from "./broker/gate.ts";
export type {
  ApprovalAudit,
  ApprovalDecision,
  ApprovalHandler,
  ApprovalRequest,
  PendingApproval,
} from "./request/types.ts";
export type {
  ApprovalDecider,
  ApprovalHandlerContext,
  ApprovalRequestBase,
  ApprovalWord,
  AttestationAnswer,
  AttestationRequest,
  AuthTokenAnswer,
  AuthTokenRefreshRequest,
  CommandApprovalRequest,
  CurrentTimeRequest,
  DeferredAnswer,
  ElicitationAnswer,
  ElicitationRequest,
  FailClosedReason,
  FileChangeApprovalRequest,
  NetworkContext,
  NetworkPolicyAmendment,
  PermissionsAnswer,
  PermissionsApprovalRequest,
  RequestedPermissions,
  ReviewAnswer,
  ToolCallAnswer,
  ToolCallRequest,
  UnknownServerRequest,
  UserInputAnswer,
  UserInputQuestion,
  UserInputRequest,
} from "./request/types.ts";
export type {
  ApprovalKind,
  ApprovalRule,
  ApprovalRules,
  CommandMatcher,
} from "./rules/rule_types.ts";
