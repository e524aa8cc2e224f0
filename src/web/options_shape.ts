/**
 * What the options of adapters and bridges may be.
 * @module
 */
import {
  callback,
  count,
  either,
  having,
  type Kind,
  kind,
  list,
  milliseconds,
  name,
  object,
  oneOf,
  type OptionKinds,
  pauseMilliseconds,
  required,
  type Shape,
  shape,
  text,
} from "../check/mod.ts";
import { PolicyError } from "../errors/mod.ts";
import { normalizeSandbox } from "../permissions/guard/privileges.ts";
import { workspaceReadsRefusal } from "../permissions/policy/effective_policy.ts";
import { DEFAULT_TIMEOUT_MS } from "../session/profile.ts";
import { RUN_PROFILE } from "../session/profile_shape.ts";
import type { RequestPolicy } from "./http/check_request.ts";
import type { BridgeOptions, ClusterOptions, WebAdapterOptions } from "./options.ts";

const client: Kind = having("a connected client", {
  startSession: required(callback),
  resumeSession: required(callback),
  readThread: required(callback),
  archiveThread: required(callback),
});

const store: Kind = having("a session store { get, findThread, list, put, delete }", {
  get: required(callback),
  findThread: required(callback),
  list: required(callback),
});

const ADAPTER_OPTIONS: OptionKinds<WebAdapterOptions> = {
  client: required(client),
  cwd: required(either(name, callback)),
  profile: object(RUN_PROFILE),
  isolation: oneOf(["enforced", "trusting"]),
  models: list(name),
  efforts: list(name),
  attachments: oneOf(["none", "images", "files"]),
  rules: list(kind("a rule { effect, … }", ["object"])),
  store,
  maxSessionsPerTenant: count(0),
  maxStreamsPerTenant: count(0),
  maxLogEvents: count(1),
  maxLogBytes: count(1),
  idleMs: kind(
    "a number of milliseconds, 0 or more",
    ["number"],
    (value: number) => value >= 0,
  ),
  sessionTtlMs: milliseconds,
  maxTurns: count(0),
  onError: callback,
  cluster: object(shape<ClusterOptions>({
    url: required(kind("an absolute URL", ["string"], (value: string) => URL.canParse(value))),
    owners: required(kind("session owners", ["object"])),
    tail: kind("an event tail", ["object"]),
    secret: required(
      kind("a secret of at least 32 characters", ["string"], (value: string) => value.length >= 32),
    ),
    drainMs: pauseMilliseconds,
    leaseMs: milliseconds,
  })),
};

/** The options of an adapter. */
export const WEB_ADAPTER_OPTIONS: Shape = shape<WebAdapterOptions>(ADAPTER_OPTIONS);

/** The options of a bridge. */
export const BRIDGE_OPTIONS: Shape = shape<BridgeOptions>({
  ...ADAPTER_OPTIONS,
  authorize: required(callback),
  basePath: text,
  origins: list(name),
  hosts: list(name),
  maxBodyBytes: count(1),
  bodyTimeoutMs: milliseconds,
  heartbeatMs: milliseconds,
  retryMs: milliseconds,
  reauthorizeMs: milliseconds,
}, { auth: "authorize", authenticate: "authorize", tenant: "authorize", path: "basePath" });

// What is decided before the first tenant comes.

const EFFORTS = ["none", "minimal", "low", "medium", "high", "xhigh"];

/** What requests may ask for. */
export function policyOf(options: WebAdapterOptions): RequestPolicy {
  const { model, effort, timeoutMs = DEFAULT_TIMEOUT_MS } = options.profile ?? {};
  return {
    models: unique([...(model === undefined ? [] : [model]), ...(options.models ?? [])]),
    efforts: unique([...(options.efforts ?? EFFORTS), ...(effort === undefined ? [] : [effort])]),
    maxTimeoutMs: timeoutMs,
    attachments: options.attachments ?? "images",
  };
}

function unique(values: string[]): string[] {
  return [...new Set(values)];
}

/** Whether tenants are kept apart. Throws `PolicyError` when they should be and can't. */
export function isEnforced(
  { isolation = "enforced", client, profile = {} }: WebAdapterOptions,
): boolean {
  if (isolation === "trusting") return false;
  const refusal = workspaceReadsRefusal(
    normalizeSandbox(profile.sandbox ?? "read-only"),
    client.server?.version ?? null,
    client.server !== undefined,
  );
  if (refusal === null) return true;
  throw new PolicyError(
    `The bridge can't keep its tenants apart: ${refusal} Or set isolation: "trusting", when all tenants may see each other's files and conversations.`,
  );
}
