/**
 * Repeated runs in one directory.
 * @module
 */
import {
  elsewhere,
  name,
  object,
  refuseNew,
  required,
  type Shape,
  shape,
  takeOptions,
} from "./check/mod.ts";
import { CLIENT_CONFIG } from "./runtime/config_shape.ts";
import type { ClientConfig } from "./runtime/mod.ts";
import type * as session from "./session/mod.ts";
import type {
  InferOutput,
  PromptRunResult,
  RunOptions,
  RunProfile,
  Session,
  StandardSchemaV1,
} from "./session/mod.ts";
import { Client } from "./session/namespace.ts";
import { RUN_OPTIONS, RUN_PROFILE, RUN_PROFILE_FIELDS } from "./session/profile_shape.ts";

/** Where a workflow works, and how. */
export interface WorkflowConfig extends RunProfile {
  /** The directory the agent works in; must exist. */
  cwd: string;
  /** How codex is started and answered. Default: the safe defaults of {@linkcode Client.connect}. */
  client?: ClientConfig;
}

/** What the configuration may be. */
export const WORKFLOW_CONFIG: Shape = shape<WorkflowConfig>({
  ...RUN_PROFILE_FIELDS,
  cwd: required(name),
  client: object(CLIENT_CONFIG),
}, () => ({
  ...RUN_PROFILE.meant(),
  ...elsewhere(CLIENT_CONFIG, "It belongs to the client: write `client: { … }`."),
}));

/**
 * Repeated runs in one directory with one codex: each run has a fresh thread, and leaves nothing in the history.
 *
 * ```ts ignore
 * const workflow = await Workflow.connect({ cwd: "/srv/app", attachments: ["docs/API.md"] });
 * const { assistantText } = await workflow.run("Summarize only the public API");
 * await workflow.shutdown();
 * ```
 */
export class Workflow implements AsyncDisposable {
  /** The client that the runs go through. */
  readonly client: Client;
  /** The directory the agent works in. */
  readonly cwd: string;
  readonly #profile: RunProfile;
  readonly #layer: typeof session.layerProfile;

  /** Like {@linkcode shutdown}. */
  // Set by the constructor: as a method, a key that is computed would keep the class in every bundle.
  declare readonly [Symbol.asyncDispose]: () => Promise<void>;

  private constructor(
    client: Client,
    cwd: string,
    profile: RunProfile,
    layer: typeof session.layerProfile,
  ) {
    if (layer === undefined) refuseNew("Workflow.connect");
    this.#layer = layer;
    this.client = client;
    this.cwd = cwd;
    this.#profile = profile;
    this[Symbol.asyncDispose] = () => this.shutdown();
  }

  /** Starts codex for a directory, which must exist. Rejects like {@linkcode Client.connect}. */
  static async connect(config: WorkflowConfig): Promise<Workflow> {
    const { cwd, client, ...profile } = takeOptions("Workflow.connect", config, WORKFLOW_CONFIG);
    const [{ layerProfile, workingDirectory }, { isRemote }] = await Promise.all([
      import("./session/mod.ts"),
      import("./runtime/mod.ts"),
    ]);
    // What is wrong with the call is told before a process is started for it.
    workingDirectory(cwd, isRemote(client));
    return new Workflow(await Client.connect(client), cwd, profile, layerProfile);
  }

  /**
   * Asks on a fresh thread. Options win over the workflow's profile, attachments and hooks are added. Rejects like
   * {@linkcode Session.ask}.
   */
  async run<Schema extends object = StandardSchemaV1>(
    prompt: string,
    options: RunOptions<Schema> = {},
  ): Promise<PromptRunResult<InferOutput<Schema>>> {
    const given = takeOptions("run", options, RUN_OPTIONS);
    return await this.client.run<Schema>(this.cwd, prompt, this.#layer(this.#profile, given));
  }

  /** Asks on a fresh thread, with a profile laid over the workflow's own. */
  async runWithProfile<Schema extends object = StandardSchemaV1>(
    prompt: string,
    profile: RunProfile,
    options: RunOptions<Schema> = {},
  ): Promise<PromptRunResult<InferOutput<Schema>>> {
    const base = takeOptions("runWithProfile", profile, RUN_PROFILE, true);
    const given = takeOptions("runWithProfile", options, RUN_OPTIONS);
    return await this.run<Schema>(prompt, this.#layer(base, given));
  }

  /** Starts a session, for turns that must remember each other; a profile is laid over the workflow's own. */
  async startSession(profile: RunProfile = {}): Promise<Session> {
    const given = takeOptions("startSession", profile, RUN_PROFILE);
    return await this.client.startSession({
      ...this.#layer(this.#profile, given),
      cwd: this.cwd,
    });
  }

  /** Ends codex and waits until it is gone. Idempotent. */
  shutdown(): Promise<void> {
    return this.client.shutdown();
  }
}
