/**
 * What the options of adapters and bridges may be.
 * @module
 */
import { rulesKind, unheardApprovals } from "../approvals/rules/check_rules.ts";
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
} from "../check/mod.ts";
import { PolicyError } from "../errors/mod.ts";
import { defined } from "../json.ts";
import type { SandboxPolicy } from "../permissions/mod.ts";
import { normalizeSandbox, privilegeRefusal } from "../permissions/need.ts";
import { workspaceReadsRefusal } from "../permissions/policy/effective_policy.ts";
import { hasToolHooks, joinHooks, mergeHooks } from "../plugin/validate.ts";
import { coreOf } from "../runtime/core_of.ts";
import { DEFAULT_TIMEOUT_MS } from "../session/profile.ts";
import { RUN_PROFILE } from "../session/profile_shape.ts";
import type { RequestPolicy } from "./http/check_request.ts";
import type { WebClient } from "./client.ts";
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
  put: required(callback),
  delete: required(callback),
  unusedSince: callback,
});

const owners: Kind = having("session owners { claim, renew, release }", {
  claim: required(callback),
  renew: required(callback),
  release: required(callback),
});

const tail: Kind = having("an event tail { append, read }", {
  append: required(callback),
  read: required(callback),
});

/** What codex forgets could not be gone on with. */
const kept: Kind = kind("false: a bridge resumes its sessions", ["boolean"], (value) => !value);

const ADAPTER_OPTIONS: OptionKinds<WebAdapterOptions> = {
  client: required(client),
  cwd: required(either(name, callback)),
  profile: object({ ...RUN_PROFILE, options: { ...RUN_PROFILE.options, ephemeral: kept } }),
  isolation: oneOf(["enforced", "trusting"]),
  models: list(name),
  efforts: list(name),
  attachments: oneOf(["none", "images", "files"]),
  rules: rulesKind,
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
    url: required(kind("an http address", ["string"], (value: string) => {
      return /^https?:$/.test(URL.parse(value)?.protocol ?? "");
    })),
    owners: required(owners),
    tail,
    secret: required(
      kind("a secret of at least 32 characters", ["string"], (value: string) => value.length >= 32),
    ),
    drainMs: pauseMilliseconds,
    leaseMs: milliseconds,
  })),
};

// What a browser never sends in that form would be compared with it in vain.

const origin: Kind = kind(
  "an origin as browsers send it, such as https://app.example: a scheme and a host, no slash at the end",
  ["string"],
  (value: string) => {
    const { protocol, origin } = URL.parse(value) ?? {};
    return /^https?:$/.test(protocol ?? "")
      ? origin === value && !value.includes("*")
      : /^[a-z][a-z\d+.-]*:\/\/[^\s/?#@*]+$/.test(value);
  },
);

const host: Kind = kind(
  'a host name in small letters, with its port or without, or "*"',
  ["string"],
  (value: string) => {
    const { host, hostname } = URL.parse(`http://${value}`) ?? {};
    return value === "*" || !value.includes("*") && (value === host || value === hostname);
  },
);

const basePath: Kind = kind(
  "a path as it stands in addresses",
  ["string"],
  (value: string) => {
    const path = `/${value.replace(/^\/+|\/+$/g, "")}`;
    return URL.parse(`http://a${path}`)?.pathname === path;
  },
);

/** The options of an adapter. */
export const WEB_ADAPTER_OPTIONS: Shape = shape<WebAdapterOptions>(ADAPTER_OPTIONS);

/** The options of a bridge. */
export const BRIDGE_OPTIONS: Shape = shape<BridgeOptions>({
  ...ADAPTER_OPTIONS,
  authorize: required(callback),
  basePath,
  origins: list(origin),
  hosts: list(host),
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

/**
 * Whether tenants are kept apart. Throws `PolicyError` when they should be and can't, and for a profile or rules whose sessions
 * would be refused one by one.
 */
export function isEnforced(options: WebAdapterOptions): boolean {
  const { isolation = "enforced", client, profile = {} } = options;
  refuseUnheardRules(options);
  const { networkAccess } = profile;
  const sandbox = {
    ...normalizeSandbox(profile.sandbox ?? "read-only"),
    ...defined({ networkAccess }),
  } as SandboxPolicy;
  // Each session has a directory.
  const consent = { ...profile, cwd: "." };
  const missing = privilegeRefusal(sandbox, profile.approvalPolicy ?? "never", consent);
  if (missing !== null) throw missing;
  if (isolation === "trusting") return false;
  const refusal = workspaceReadsRefusal(
    sandbox,
    client.server?.version ?? null,
    client.server !== undefined,
  );
  if (refusal === null) return true;
  throw new PolicyError(
    `The bridge can't keep its tenants apart: ${refusal} Or set isolation: "trusting", when all tenants may see each other's files and conversations.`,
  );
}

/** Rules that codex would never ask about protect nobody, and each session with them is refused. */
function refuseUnheardRules({ client, rules = [], profile = {} }: WebAdapterOptions): void {
  const { approvalPolicy = "never", hooks, mcpServers = {}, config = {} } = profile;
  const hooked = hasToolHooks(mergeHooks(hooks)) || mayHaveToolHooks(client);
  const brought = Object.keys(config).some((key) => key.split(".")[0] === "mcp_servers");
  const refusal = unheardApprovals({ rules }, {
    approvalPolicy: approvalPolicy === "never" && hooked ? "untrusted" : approvalPolicy,
    sandboxed: true,
    believesServers: brought || Object.keys(mcpServers).length > 0,
  });
  if (refusal === null) return;
  throw new PolicyError(`${refusal} Say so in the bridge's \`profile\`.`, {
    data: { reason: "unheardApprovals" },
  });
}

/** Whether the client has hooks that make codex ask. One that is not of this library does not tell. */
function mayHaveToolHooks({ runtime }: WebClient): boolean {
  if (runtime === undefined) return true;
  try {
    return hasToolHooks(joinHooks(coreOf(runtime).config.hooks));
  } catch {
    return true;
  }
}
