/**
 * The server's questions and their answers, as data.
 * @module
 */
import type { ProposedChange } from "../../thread_item.ts";
import type { JsonObject, JsonValue } from "../../json.ts";
import type { CommandLine } from "../../shell/mod.ts";

/** What every question of the server tells. */
export interface ApprovalRequestBase {
  /** Opaque and unguessable; names the question in events, audits and answers. */
  id: string;
  /** The server's method. */
  method: string;
  /** The thread that asks, or `null` when the question belongs to no thread. */
  threadId: string | null;
  /** The turn that asks, or `null` when the question belongs to no turn. */
  turnId: string | null;
  /** The item the question is about, or `null`. */
  itemId: string | null;
  /** When it arrived here. */
  requestedAt: Date;
}

/** May this command run? */
export interface CommandApprovalRequest extends ApprovalRequestBase {
  /** Discriminator. */
  type: "command";
  /** The command as sent, wrapper included; `null` when the server told none. */
  command: string | null;
  /** The words of the command; `null` when they can't be told apart. */
  argv: string[] | null;
  /**
   * The shell's script inside the wrapper, which is what a person should read; `null` without a wrapper, or where that may do
   * more than run it (`./bash -lc ls`): then it is `command`.
   */
  script: string | null;
  /** The command taken apart; `null` when the server told no command. */
  parsed: CommandLine | null;
  /** Where it would run, or `null`. */
  cwd: string | null;
  /** Why the agent asks, such as its justification for leaving the sandbox; `null` when it told none. */
  reason: string | null;
  /**
   * What is asked for: `"command"` starts one, `"writeStdin"` types into a running one. Others are newer than this
   * library.
   */
  action: "command" | "humanCommand" | "writeStdin" | (string & Record<never, never>);
  /** The host it wants to reach, when the question is about the network; else `null`. */
  network: NetworkContext | null;
  /** Permissions beyond the sandbox that it wants, or `null`. */
  additionalPermissions: RequestedPermissions | null;
  /** A rule codex proposes, so that it need not ask again; see {@linkcode ReviewAnswer.execPolicyAmendment}. */
  proposedExecPolicyAmendment: string[] | null;
  /** Network rules codex proposes; see {@linkcode ReviewAnswer.networkPolicyAmendment}. */
  proposedNetworkPolicyAmendments: NetworkPolicyAmendment[] | null;
  /** Codex's own guess at what the command does, for display; never a ground for trust. */
  commandActions: JsonValue[];
  /** The answers the server suggests to offer, or `null` on servers that suggest none. A hint, not a limit. */
  availableDecisions: JsonValue[] | null;
  /** The question came by the old protocol's `execCommandApproval`. */
  legacy: boolean;
}

/** A host that a command wants to reach. */
export interface NetworkContext {
  /** The host's name or address. */
  host: string;
  /** `http`, `https`, `socks5Tcp` …; `null` when not told. */
  protocol: string | null;
}

/** A rule for later network access to a host. */
export interface NetworkPolicyAmendment {
  /** The host. */
  host: string;
  /** What happens to it from now on. */
  action: "allow" | "deny";
}

/** May these files be changed? */
export interface FileChangeApprovalRequest extends ApprovalRequestBase {
  /** Discriminator. */
  type: "fileChange";
  /** What would change, from the item the question is about; `null` when that item is not known. */
  changes: ProposedChange[] | null;
  /** The changes as one unified diff, to show to a person; `null` when they are not known. */
  diff: string | null;
  /** Why the agent asks, or `null`. */
  reason: string | null;
  /** A directory that accepting would make writable for the rest of the session, or `null`. */
  grantRoot: string | null;
  /** The question came by the old protocol's `applyPatchApproval`. */
  legacy: boolean;
}

/** May the agent have these permissions? */
export interface PermissionsApprovalRequest extends ApprovalRequestBase {
  /** Discriminator. */
  type: "permissions";
  /** What it wants. */
  permissions: RequestedPermissions;
  /** Where it works, or `null`. */
  cwd: string | null;
  /** Why, or `null`. */
  reason: string | null;
}

/** Permissions beyond the sandbox, as the server spells them. */
export interface RequestedPermissions {
  /** Access to the network, or `null`. */
  network: JsonObject | null;
  /** Access to files (`read`, `write`, `entries`), or `null`. */
  fileSystem: JsonObject | null;
  /** Whether more is asked for that this library has no name for; it is never granted by a rule. */
  other: boolean;
}

/** What should the agent know from its user? */
export interface UserInputRequest extends ApprovalRequestBase {
  /** Discriminator. */
  type: "userInput";
  /** The questions, in order. */
  questions: UserInputQuestion[];
}

/** One question of the agent. */
export interface UserInputQuestion {
  /** Names the question in the answer. */
  id: string;
  /** A title of a word or two. */
  header: string;
  /** The question. */
  question: string;
  /** Whether an answer that is not among the options is welcome. */
  isOther: boolean;
  /** Whether the answer is a secret and should not be shown. */
  isSecret: boolean;
  /** The answers offered, or `null` for free text. */
  options: {
    /** The answer. */
    label: string;
    /** What it means. */
    description: string;
  }[] | null;
}

/** An MCP server wants something: consent to a tool call, a filled form, a visit to a page. */
export interface ElicitationRequest extends ApprovalRequestBase {
  /** Discriminator. */
  type: "elicitation";
  /** The MCP server's name. */
  server: string;
  /** What is wanted. `form` and `url` are MCP's own; others are newer. */
  mode: "form" | "url" | (string & Record<never, never>);
  /** The server's text. */
  message: string;
  /** JSON Schema of the form, or `null`. */
  requestedSchema: JsonObject | null;
  /** The page to visit, or `null`. */
  url: string | null;
  /** Consent to a tool call is asked, not data. */
  toolApproval: boolean;
  /** The tool whose call needs consent; `null` when this is no tool approval or the server hides the name. */
  mcpTool: string | null;
  /** The arguments of that call, or `null`. */
  toolArguments: JsonValue | null;
  /** How long consent can be made to last, such as `["session", "always"]`. */
  persist: string[];
  /** The server's own metadata, or `null`. */
  meta: JsonObject | null;
}

/** A tool of this process should run. Asked only when no session has the tool. */
export interface ToolCallRequest extends ApprovalRequestBase {
  /** Discriminator. */
  type: "toolCall";
  /** The tool. */
  tool: string;
  /** Its namespace, or `null`. */
  namespace: string | null;
  /** Its arguments. */
  arguments: JsonValue;
  /** The call. */
  callId: string;
}

/** The ChatGPT tokens that this client gave are no longer good. */
export interface AuthTokenRefreshRequest extends ApprovalRequestBase {
  /** Discriminator. */
  type: "authTokenRefresh";
  /** Why, such as `unauthorized`. */
  reason: string;
  /** The account used so far, or `null`. */
  previousAccountId: string | null;
}

/** The server wants a client attestation token. */
export interface AttestationRequest extends ApprovalRequestBase {
  /** Discriminator. */
  type: "attestation";
}

/** The server wants to know the time; answered without asking anyone. */
export interface CurrentTimeRequest extends ApprovalRequestBase {
  /** Discriminator. */
  type: "currentTime";
}

/** A question that this version of the library has no name for; it gets an error answer unless a reader takes it. */
export interface UnknownServerRequest extends ApprovalRequestBase {
  /** Discriminator. */
  type: "unknown";
  /** The server's params. */
  params: JsonValue;
}

/** A question of the server. Switch on `type`. */
export type ApprovalRequest =
  | CommandApprovalRequest
  | FileChangeApprovalRequest
  | PermissionsApprovalRequest
  | UserInputRequest
  | ElicitationRequest
  | ToolCallRequest
  | AuthTokenRefreshRequest
  | AttestationRequest
  | CurrentTimeRequest
  | UnknownServerRequest;

/** The words of a decision. */
export type ApprovalWord = "accept" | "acceptForSession" | "decline" | "cancel";

/**
 * A decision in words, good for every request that asks for consent: commands, file changes, permissions and MCP tools.
 * `decline` and `cancel` are good for every request; `accept` is refused where data is asked for and none is given.
 */
export interface ReviewAnswer {
  /**
   * `accept` once, `acceptForSession` for the same thing later in this thread too, `decline` and let the turn go on,
   * `cancel` and interrupt the turn. Later changes of the same files are accepted here, as long as they lie where they did,
   * hooks continue and no rule denies them. Later commands and calls of MCP tools are codex's to remember, so that nothing
   * sees them; in a session with tool hooks they are asked about each time.
   */
  decision: ApprovalWord;
  /**
   * With `accept` of a command: codex never asks again for commands that start with these words. It writes the rule to
   * `CODEX_HOME/rules`, so it outlives the session. Declined in a session with tool hooks, which would not see them.
   */
  execPolicyAmendment?: string[];
  /**
   * For a command's question about a host: codex keeps this rule for the host, on every port, and does not ask about it
   * again. It writes the rule to `CODEX_HOME/rules`, so it outlives the session, and sessions with approvals are refused
   * from then on unless `allowRulesFiles` says so. The word and the rule have to say the same. To allow is declined in a
   * session with tool hooks, which would not see what follows. Where `acceptForSession` is enough (0.169: this host,
   * protocol and port, for this thread), prefer it.
   */
  networkPolicyAmendment?: NetworkPolicyAmendment;
  /** Why; kept in the audit, and told to the model where the protocol can. */
  reason?: string;
}

/** Leaves the question open until `answer()` is called with its id; the time limit goes on. */
export interface DeferredAnswer {
  /** Discriminator. */
  decision: "defer";
}

/** Answer to a `permissions` request: what is granted, never more than was asked. */
export interface PermissionsAnswer {
  /** What is granted; `{}` grants nothing. Of paths that were not asked for themselves, 100 at most. */
  permissions: {
    /** Access to the network. */
    network?: JsonObject | null;
    /** Access to files. */
    fileSystem?: JsonObject | null;
  };
  /** For how long. Default `"turn"`. */
  scope?: "turn" | "session";
}

/** Answer to a `userInput` request: answers by the question's id. */
export interface UserInputAnswer {
  /** The answers. Questions left out stay unanswered. */
  answers: Record<string, string | readonly string[]>;
}

/** Answer to an `elicitation` request. */
export interface ElicitationAnswer {
  /** What the user did. */
  action: "accept" | "decline" | "cancel";
  /** The filled form, when `action` is `accept`. Default `null`; `{}` for forms that ask for nothing. */
  content?: JsonValue;
  /** For tool approvals: how long the consent lasts. Default: this call. */
  persist?: "session" | "always";
}

/** Answer to a `toolCall` request. */
export interface ToolCallAnswer {
  /** Whether the tool worked. */
  success: boolean;
  /** What the model gets to see. */
  contentItems: (
    | {
      /** Discriminator. */
      type: "inputText";
      /** The text. */
      text: string;
    }
    | {
      /** Discriminator. */
      type: "inputImage";
      /** A `data:` URL. */
      imageUrl: string;
    }
  )[];
}

/** Answer to an `authTokenRefresh` request. */
export interface AuthTokenAnswer {
  /** The new access token. */
  accessToken: string;
  /** The account it belongs to. */
  chatgptAccountId: string;
  /** The account's plan. Default `null`. */
  chatgptPlanType?: string | null;
}

/** Answer to an `attestation` request. */
export interface AttestationAnswer {
  /** The attestation token. */
  token: string;
}

/** An answer. `{ decision }` fits wherever consent is asked; the others carry what their request asks for. */
export type ApprovalDecision =
  | ReviewAnswer
  | DeferredAnswer
  | PermissionsAnswer
  | UserInputAnswer
  | ElicitationAnswer
  | ToolCallAnswer
  | AuthTokenAnswer
  | AttestationAnswer;

/** What a handler gets besides the request. */
export interface ApprovalHandlerContext {
  /** Aborted when the answer is no longer wanted: time is up, the turn ended, another client answered. */
  signal: AbortSignal;
}

/**
 * Answers the server's questions. Called once for each, several at a time when the agent works in parallel.
 * A throw, a wrong answer, or none within the client's `approvalTimeoutMs` gets the fail-closed answer.
 */
export type ApprovalHandler = (
  request: ApprovalRequest,
  context: ApprovalHandlerContext,
) => ApprovalDecision | Promise<ApprovalDecision>;

/** Who decided. */
export type ApprovalDecider =
  | "rule"
  | "handler"
  | "hook"
  | "tool"
  | "reader"
  | "library"
  | "failClosed"
  | "otherClient";

/** The record of one answer. Holds no commands, diffs, answers or secrets. */
export interface ApprovalAudit {
  /** The question's id. */
  id: string;
  /** The server's method. */
  method: string;
  /** The question's type. */
  type: ApprovalRequest["type"];
  /** The thread, or `null`. */
  threadId: string | null;
  /** The turn, or `null`. */
  turnId: string | null;
  /** The item, or `null`. */
  itemId: string | null;
  /**
   * What was answered: the word of a consent, `answered` when data was given, `error` for a JSON-RPC error, `none` when
   * another client was faster or the connection was gone.
   */
  decision: ApprovalWord | "answered" | "error" | "none";
  /**
   * Who decided: a rule, the handler (or `answer()`), a hook, a tool of this process, the reader of the raw requests, this
   * library by itself (it tells the time, and declines what was accepted but is more than this script may do itself),
   * nobody in time, or another client of the same server.
   */
  decidedBy: ApprovalDecider;
  /** The rule's or hook's name, or `null`. */
  rule: string | null;
  /**
   * Why, or `null`: the handler's or hook's own words, for `failClosed` a {@linkcode FailClosedReason}, for `library` what
   * this script lacks.
   */
  reason: string | null;
  /** When the question arrived. */
  requestedAt: Date;
  /** Milliseconds from the question to the answer. */
  durationMs: number;
}

/** Why a question got the fail-closed answer. */
export type FailClosedReason =
  | "timeout"
  | "noHandler"
  | "handlerThrew"
  | "hookThrew"
  | "toolThrew"
  | "aborted"
  | "turnEnded"
  | "queueFull"
  | "invalidAnswer"
  | "invalidRequest"
  | "uncertainSubject"
  | "unknownMethod"
  | "noTool"
  | "closed";

/** A question that still waits for its answer. */
export interface PendingApproval {
  /** The question. */
  request: ApprovalRequest;
  /** What it waits for; only `"handler"` can be answered by `answer()`. */
  waitingFor: "hook" | "handler" | "tool" | "reader";
  /** When the fail-closed answer is due; `null` without a time limit. */
  deadline: Date | null;
}
