/**
 * The shape that each of the server's requests wants its result in.
 * @module
 */
import { isJsonObject, type JsonObject } from "../../json.ts";

/** Where a value is wrong and what was expected; `null` when it fits. */
export type ShapeProblem = string | null;

type Check = (value: unknown, path: string) => ShapeProblem;

const text: Check = (value, path) => typeof value === "string" ? null : `${path}: expected string`;
const textOrNull: Check = (value, path) => value === null ? null : text(value, path);
const flag: Check = (value, path) =>
  typeof value === "boolean" ? null : `${path}: expected boolean`;
const whole: Check = (value, path) =>
  Number.isSafeInteger(value) ? null : `${path}: expected integer`;
const json: Check = (value, path) => value === undefined ? `${path}: expected a value` : null;

function listOf(item: Check): Check {
  return (value, path) => {
    if (!Array.isArray(value)) return `${path}: expected array`;
    for (const [i, one] of value.entries()) {
      const problem = item(one, `${path}[${i}]`);
      if (problem !== null) return problem;
    }
    return null;
  };
}

function mapOf(item: Check): Check {
  return (value, path) => {
    if (!isJsonObject(value)) return `${path}: expected object`;
    for (const one of Object.values(value)) {
      const problem = item(one, `${path}.*`);
      if (problem !== null) return problem;
    }
    return null;
  };
}

/** An object of exactly these fields; a name that ends in `?` may be absent or null. */
function object(fields: Record<string, Check>): Check {
  return (value, path) => {
    if (!isJsonObject(value)) return `${path}: expected object`;
    for (const [key, check] of Object.entries(fields)) {
      const name = key.replace(/\?$/, "");
      const field = value[name];
      if (name !== key && (field === undefined || field === null)) continue;
      if (field === undefined) return `${path}.${name}: missing`;
      const problem = check(field, `${path}.${name}`);
      if (problem !== null) return problem;
    }
    const extra = Object.keys(value).find((key) => !(key in fields) && !(`${key}?` in fields));
    return extra === undefined ? null : `${path}: has a field that this answer does not know`;
  };
}

function word(...words: string[]): Check {
  return (value, path) =>
    words.includes(value as string) ? null : `${path}: expected one of ${words.join(", ")}`;
}

function either(...checks: Check[]): Check {
  return (value, path) => {
    const problems = checks.map((check) => check(value, path));
    return problems.includes(null) ? null : problems.filter((one) => one !== null).join(" or ");
  };
}

const networkPolicyAmendment = object({ host: text, action: word("allow", "deny") });

const reviewDecision = either(
  word("approved", "approved_for_session", "denied", "timed_out", "abort"),
  object({ denied: object({ rejection: text }) }),
  object({
    approved_execpolicy_amendment: object({ proposed_execpolicy_amendment: listOf(text) }),
  }),
  object({
    network_policy_amendment: object({ network_policy_amendment: networkPolicyAmendment }),
  }),
);

const SHAPES: Record<string, Check> = {
  "item/commandExecution/requestApproval": object({
    decision: either(
      word("accept", "acceptForSession", "decline", "cancel"),
      object({ acceptWithExecpolicyAmendment: object({ execpolicy_amendment: listOf(text) }) }),
      object({
        applyNetworkPolicyAmendment: object({ network_policy_amendment: networkPolicyAmendment }),
      }),
    ),
  }),
  "item/fileChange/requestApproval": object({
    decision: word("accept", "acceptForSession", "decline", "cancel"),
  }),
  "item/permissions/requestApproval": object({
    permissions: object({
      "network?": object({ "enabled?": flag }),
      "fileSystem?": object({
        "read?": listOf(text),
        "write?": listOf(text),
        "globScanMaxDepth?": whole,
        "entries?": listOf(object({ path: fileSystemPath, access: word("read", "write", "deny") })),
      }),
    }),
    scope: word("turn", "session"),
    "strictAutoReview?": flag,
  }),
  "item/tool/requestUserInput": object({ answers: mapOf(object({ answers: listOf(text) })) }),
  "mcpServer/elicitation/request": object({
    action: word("accept", "decline", "cancel"),
    content: json,
    _meta: json,
  }),
  "item/tool/call": object({
    success: flag,
    contentItems: listOf(either(
      object({ type: word("inputText"), text }),
      object({ type: word("inputImage"), imageUrl: text }),
      object({ type: word("inputAudio"), audioUrl: text }),
    )),
  }),
  "account/chatgptAuthTokens/refresh": object({
    accessToken: text,
    chatgptAccountId: text,
    chatgptPlanType: textOrNull,
  }),
  "attestation/generate": object({ token: text }),
  "currentTime/read": object({ currentTimeAt: whole }),
  "execCommandApproval": object({ decision: reviewDecision }),
  "applyPatchApproval": object({ decision: reviewDecision }),
};

function fileSystemPath(value: unknown, path: string): ShapeProblem {
  if (!isJsonObject(value)) return `${path}: expected object`;
  const fields: JsonObject = value;
  switch (fields["type"]) {
    case "path":
      return text(fields["path"], `${path}.path`);
    case "glob_pattern":
      return text(fields["pattern"], `${path}.pattern`);
    case "special":
      return isJsonObject(fields["value"]) ? null : `${path}.value: expected object`;
    default:
      return `${path}.type: expected one of path, glob_pattern, special`;
  }
}

/** The server's requests that this library knows. */
export const SERVER_REQUEST_METHODS: readonly string[] = Object.keys(SHAPES);

/**
 * Says what is wrong with a result for one of the server's requests, without its values; `null` when it fits, or when
 * the method is not known.
 */
export function checkServerRequestResult(method: string, result: unknown): ShapeProblem {
  const check = Object.hasOwn(SHAPES, method) ? SHAPES[method] : undefined;
  return check === undefined ? null : check(result, "$");
}
