/**
 * The method inventory, read from the source's four envelope unions.
 * @module
 */
import type { Method, MethodKind } from "./ir.ts";
import type { Bundle, SchemaObject } from "./json_schema.ts";

const KINDS: readonly [MethodKind, string][] = [
  ["clientRequest", "ClientRequest"],
  ["clientNotification", "ClientNotification"],
  ["serverRequest", "ServerRequest"],
  ["serverNotification", "ServerNotification"],
];

/** Results whose name does not follow from the parameters' name: the source does not link the two. */
const RESULTS: Readonly<Record<string, string>> = {
  "account/gatewayOAuth/cancel": "GatewayOAuthCancelResponse",
  "account/gatewayOAuth/login": "GatewayOAuthLoginResponse",
  "account/gatewayOAuth/read": "GatewayOAuthReadResponse",
  "account/logout": "LogoutAccountResponse",
  "account/rateLimits/read": "GetAccountRateLimitsResponse",
  "account/securitySetup/read": "GetAccountSecuritySetupResponse",
  "account/usage/read": "GetAccountTokenUsageResponse",
  "account/workspaceMessages/read": "GetWorkspaceMessagesResponse",
  "accountSession/list": "AccountSessionsResponse",
  "config/batchWrite": "ConfigWriteResponse",
  "config/mcpServer/reload": "McpServerRefreshResponse",
  "config/value/write": "ConfigWriteResponse",
  "configRequirements/read": "ConfigRequirementsReadResponse",
  "externalAgentConfig/import/readHistories": "ExternalAgentConfigImportHistoriesReadResponse",
  "memory/reset": "MemoryResetResponse",
  "remoteControl/disable": "RemoteControlDisableResponse",
  "remoteControl/enable": "RemoteControlEnableResponse",
  "remoteControl/status/read": "RemoteControlStatusReadResponse",
  "rollout/compress": "RolloutCompressResponse",
  "windowsSandbox/readiness": "WindowsSandboxReadinessResponse",
};

/** Reads the methods of a bundle, sorted; `stable` names those that need no capability, as `kind method`. */
export function methodsOf(bundle: Bundle, stable: ReadonlySet<string> | null): Method[] {
  const methods: Method[] = [];
  for (const [kind, envelope] of KINDS) {
    for (const entry of bundle.definitions[envelope]?.oneOf ?? []) {
      const name = (entry.properties!["method"] as SchemaObject).enum![0]!;
      const params = paramsOf(entry.properties!["params"] as SchemaObject | undefined);
      methods.push({
        name,
        kind,
        experimental: stable !== null && !stable.has(`${kind} ${name}`),
        params,
        result: kind.endsWith("Request") ? resultOf(name, params?.name) : null,
        since: bundle.version,
      });
    }
  }
  checkResults(bundle, methods);
  return methods.sort((a, b) => compare(a.kind, b.kind) || compare(a.name, b.name));
}

function paramsOf(schema: SchemaObject | undefined): Method["params"] {
  if (schema === undefined || schema.type === "null") return null;
  if (schema.$ref !== undefined) return { name: schema.$ref, nullable: false };
  const ref = schema.anyOf?.find((member) => member.$ref !== undefined)?.$ref;
  if (ref === undefined) throw new Error("parameters without a name");
  return { name: ref, nullable: true };
}

function resultOf(method: string, params: string | undefined): string {
  return RESULTS[method] ?? params?.replace(/Params$/, "Response") ?? "";
}

/** Throws when the schema lacks a result, and says what it has that no method names. */
function checkResults(bundle: Bundle, methods: readonly Method[]): void {
  const unknown = methods.filter(({ result }) =>
    result !== null && bundle.definitions[result] === undefined
  );
  if (unknown.length === 0) return;
  const used = new Set(methods.map(({ result }) => result));
  const free = Object.keys(bundle.definitions)
    .filter((name) => /(?<!^JSONRPC)Response$/.test(name) && !used.has(name));
  throw new Error(
    `${bundle.version}: which results do ${
      unknown.map(({ name }) => name).join(", ")
    } have? Name ` +
      `them in RESULTS of src/protocol/generator/methods.ts. ` +
      (free.length === 0
        ? "Each result has a method: it is one of theirs."
        : `Free: ${free.join(", ")}.`),
  );
}

/** Orders by code units, so that the output does not depend on the machine's language. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
