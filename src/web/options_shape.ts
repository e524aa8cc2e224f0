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
import { RUN_PROFILE } from "../session/mod.ts";
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
    url: required(name),
    owners: required(kind("session owners", ["object"])),
    tail: kind("an event tail", ["object"]),
    secret: required(name),
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
