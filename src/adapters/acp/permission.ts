/**
 * From codex's questions to what a client's user is asked, and back.
 * @module
 */
import type {
  ApprovalDecision,
  ApprovalRequest,
  CommandApprovalRequest,
  FileChangeApprovalRequest,
  UserInputQuestion,
} from "../../approvals/mod.ts";
import { isJsonObject, type JsonValue, objectOf, present } from "../../json.ts";
import { fenced } from "./content.ts";
import {
  changeLocations,
  changesKind,
  changesTitle,
  diffs,
  textContent,
  visible,
} from "./tool_calls.ts";
import type { ElicitationForm, PermissionOption, ToolCallFields, ToolContent } from "./wire.ts";

/** What a person is asked: the call of a tool as it is judged, and the answers. */
export interface Asked {
  /** The call. */
  call: ToolCallFields & { title: string };
  /** The answers that may be chosen. */
  options: PermissionOption[];
}

const ONCE: PermissionOption = { optionId: "accept", name: "Allow once", kind: "allow_once" };
const DECLINE: PermissionOption = { optionId: "decline", name: "Reject", kind: "reject_once" };
const SESSION: PermissionOption = {
  optionId: "acceptForSession",
  name: "Allow for this session",
  kind: "allow_always",
};

/** What a person is asked, or `null` for what is no question of consent. */
export function askedOf(request: ApprovalRequest, cwd: string): Asked | null {
  switch (request.type) {
    case "command":
      return { call: commandCall(request), options: optionsOf(offersSession(request)) };
    case "fileChange":
      return { call: changeCall(request, cwd), options: optionsOf(true) };
    case "permissions": {
      const { permissions, reason } = request;
      return {
        call: {
          title: "Give the agent more permissions",
          kind: "other",
          content: [...remark(reason), ...code(JSON.stringify(permissions, null, 2))],
          rawInput: { ...permissions },
        },
        // For the session they would hold in the modes that read, too.
        options: optionsOf(false),
      };
    }
    case "elicitation": {
      if (!request.toolApproval) return null;
      const { server, mcpTool, message, toolArguments, persist } = request;
      const shown = toolArguments === null ? [] : code(JSON.stringify(toolArguments, null, 2));
      return {
        call: {
          title: visible(mcpTool === null ? server : `${server}: ${mcpTool}`),
          kind: "other",
          content: [...remark(message), ...shown],
          ...present({ rawInput: toolArguments }),
        },
        options: optionsOf(persist.includes("session")),
      };
    }
    default:
      return null;
  }
}

function optionsOf(session: boolean): PermissionOption[] {
  return session ? [ONCE, SESSION, DECLINE] : [ONCE, DECLINE];
}

/** Old servers do not say what they offer; they all know the word. A host would be reached in the modes that read, too. */
function offersSession({ availableDecisions, network }: CommandApprovalRequest): boolean {
  return network === null && (availableDecisions?.includes("acceptForSession") ?? true);
}

function commandCall(request: CommandApprovalRequest): Asked["call"] {
  const { script, command, cwd, reason, network, additionalPermissions, action } = request;
  const shown = script ?? command;
  const unknown = network === null ? "Run a command that was not told" : `Reach ${network.host}`;
  const host = network === null
    ? []
    : remark(`It wants to reach ${network.protocol ?? ""} ${network.host}`.replace("  ", " "));
  return {
    title: visible(shown ?? unknown),
    kind: "execute",
    content: [
      ...(action === "writeStdin" ? remark("Input for a running command:") : []),
      ...(shown === null ? [] : code(shown)),
      ...remark(cwd === null ? null : `In ${cwd}`),
      ...host,
      ...(additionalPermissions === null ? [] : [
        ...remark("With more permissions:"),
        ...code(JSON.stringify(additionalPermissions, null, 2)),
      ]),
      ...remark(reason),
    ],
    rawInput: { command: shown, cwd, reason },
  };
}

function changeCall(request: FileChangeApprovalRequest, cwd: string): Asked["call"] {
  const { reason, grantRoot } = request;
  const changes = request.changes ?? [];
  const unknown = request.changes === null ? "Which files would change was not told." : null;
  return {
    title: changesTitle(changes),
    kind: changesKind(changes),
    locations: changes.flatMap((change) => changeLocations(change, cwd)),
    content: [
      ...changes.flatMap((change) => diffs(change, cwd)),
      ...remark(unknown),
      ...remark(grantRoot === null ? null : `The agent could write in ${grantRoot} from then on.`),
      ...remark(reason),
    ],
  };
}

function remark(text: string | null): ToolContent[] {
  return text === null || text === "" ? [] : textContent(visible(text));
}

function code(text: string): ToolContent[] {
  return textContent(fenced(visible(text)));
}

/** The decision that a client's answer stands for. What was not offered, or was cancelled, declines. */
export function decisionOf(
  answer: JsonValue,
  options: readonly PermissionOption[],
): { decision: PermissionOption["optionId"]; reason?: string } {
  const outcome = objectOf(answer, "outcome");
  if (outcome?.["outcome"] !== "selected") {
    return { decision: "decline", reason: "Nobody chose an answer." };
  }
  const chosen = options.find(({ optionId }) => optionId === outcome["optionId"]);
  return chosen === undefined
    ? { decision: "decline", reason: "The answer was none of those that were offered." }
    : { decision: chosen.optionId };
}

/** The agent's questions as a form; `null` when one asks for a secret, which a form would show. */
export function formOf(
  questions: readonly UserInputQuestion[],
  sessionId: string,
): ElicitationForm | null {
  if (questions.length === 0 || questions.some(({ isSecret }) => isSecret)) return null;
  // Models make the ids: `__proto__` must become a field as well.
  const properties = Object.fromEntries(questions.map(({ id, ...asked }) => [id, fieldOf(asked)]));
  const required = questions.map(({ id }) => id);
  const message = visible(questions.map(({ question }) => question).join("\n"));
  return {
    mode: "form",
    sessionId,
    message,
    requestedSchema: { type: "object", properties, required },
  };
}

type Properties = ElicitationForm["requestedSchema"]["properties"];

function fieldOf(
  { header, question, options, isOther }: Omit<UserInputQuestion, "id">,
): Properties[string] {
  // A choice leaves no room for other words; where those are welcome the offered ones are told.
  const offered = options ?? [];
  const told = offered.map(({ label, description }) => `${label}: ${description}`).join("; ");
  return {
    type: "string",
    title: visible(header === "" ? question : header),
    description: visible(isOther && told !== "" ? `${question} (${told})` : question),
    ...(offered.length === 0 || isOther ? {} : {
      oneOf: offered.map(({ label, description }) => ({
        const: label,
        title: visible(label),
        description: visible(description),
      })),
    }),
  };
}

/** The answers of a filled form, by the questions' ids. */
export function answersOf(
  answer: JsonValue,
  questions: readonly UserInputQuestion[],
): ApprovalDecision {
  const filled = isJsonObject(answer) && answer["action"] === "accept" ? answer["content"] : null;
  if (!isJsonObject(filled)) return { decision: "decline", reason: "The form was not filled." };
  const given = questions.flatMap(({ id }): [string, string][] => {
    const answer = Object.hasOwn(filled, id) ? filled[id] : undefined;
    return typeof answer === "string" ? [[id, answer]] : [];
  });
  return { answers: Object.fromEntries(given) };
}
