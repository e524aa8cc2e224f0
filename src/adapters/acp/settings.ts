/**
 * What a session's user may choose, within what the program that serves it allows: mode, model, effort; and the MCP
 * servers that a client brings, as sessions take them.
 * @module
 */
import {
  type ApprovalPolicy,
  normalizeSandbox,
  type SandboxMode,
  type SandboxPolicy,
} from "../../permissions/mod.ts";
import {
  type McpServer,
  type Model,
  type RunProfile,
  sandboxOf,
  type TurnOptions,
} from "../../session/mod.ts";
import {
  type ConfigOption,
  Fault,
  FAULTS,
  misfit,
  need,
  type SessionMode,
  type SessionState,
} from "./wire.ts";
import { InvalidArgumentError } from "../../errors/mod.ts";
import { isJsonObject, type JsonObject, type JsonValue, present } from "../../json.ts";

/** What turns may do. */
interface Policy {
  sandbox: SandboxMode | SandboxPolicy;
  approvalPolicy: ApprovalPolicy;
}

/** A mode, and how its turns run. */
export interface Mode extends SessionMode {
  /** What its turns bring. */
  turn: Policy & { mode?: "default" | "plan" };
}

/** The modes of a profile. */
export interface Modes {
  /** All of them, from the tightest to the widest. */
  all: readonly Mode[];
  /** The one that sessions begin in. */
  initial: string;
  /** Whether somebody is asked. */
  asks: boolean;
  /** What turns may do at most. */
  widest: Policy;
}

/** The modes that a profile allows: never more than it has, or consents to. */
export function modesOf(profile: RunProfile): Modes {
  const { sandbox, approvalPolicy = "on-request", allowPrivilegedEscalation } = profile;
  const asks = approvalPolicy !== "never";
  // A turn's sandbox replaces what else the profile says of it.
  const whole = (sandbox: Policy["sandbox"]) => sandboxOf({ ...profile, sandbox });
  const readOnly = isReadOnly(sandbox) && sandbox !== undefined ? whole(sandbox) : "read-only";
  const all: Mode[] = [{
    id: "read-only",
    name: "Read only",
    description: "The agent reads, and nobody is asked for more.",
    turn: { sandbox: readOnly, approvalPolicy: "never" },
  }];
  if (asks) {
    all.push({
      id: "ask",
      name: "Ask",
      description: "The agent reads, and asks before it does anything else.",
      turn: { sandbox: readOnly, approvalPolicy },
    });
  }
  const writes = sandbox === undefined ? allowPrivilegedEscalation === true : !isReadOnly(sandbox);
  if (writes) {
    all.push({
      id: "workspace-write",
      name: "Write in the workspace",
      description: asks
        ? "The agent changes files in the workspace, and asks before it does more."
        : "The agent changes files in the workspace, and nothing else.",
      turn: {
        sandbox: whole(isUnconfined(sandbox) ? "workspace-write" : sandbox ?? "workspace-write"),
        approvalPolicy,
      },
    });
  }
  if (sandbox !== undefined && isUnconfined(sandbox)) {
    all.push({
      id: "full-access",
      name: "Full access",
      description: "The agent does whatever it wants, without a sandbox.",
      turn: { sandbox, approvalPolicy },
    });
  }
  const widest = all.at(-1)!;
  all.splice(1, 0, {
    id: "plan",
    name: "Plan",
    description: "The agent looks around, asks questions and proposes a plan.",
    turn: { sandbox: readOnly, approvalPolicy: "never", mode: "plan" },
  });
  const initial = profile.mode === "plan"
    ? "plan"
    : sandbox !== undefined
    ? widest.id
    : asks
    ? "ask"
    : "read-only";
  return { all, initial, asks, widest: widest.turn };
}

function isReadOnly(sandbox: RunProfile["sandbox"]): boolean {
  return typeOf(sandbox) === "readOnly";
}

function isUnconfined(sandbox: RunProfile["sandbox"]): boolean {
  const type = typeOf(sandbox);
  return type === "dangerFullAccess" || type === "externalSandbox";
}

function typeOf(sandbox: RunProfile["sandbox"]): string {
  return normalizeSandbox(sandbox ?? "read-only").type;
}

/** The value that stands for the model that codex is configured with; there is no way back to it. */
const CODEX_DEFAULT = "default";

/** What the user of one session has chosen. */
export class Settings {
  readonly #modes: Modes;
  readonly #models: readonly Model[];
  readonly #ruled: boolean;
  #mode: Mode;
  #model: string | null;
  /** The model that the thread was left with, which goes on until another one is chosen. */
  readonly #left: string | null;
  #effort: string;

  /** Begins with what the profile says. `ruled`: codex has to ask in every mode, and is not made to by hooks. */
  constructor(
    modes: Modes,
    models: readonly Model[],
    profile: RunProfile,
    ruled: boolean,
    left: string | null = null,
  ) {
    this.#ruled = ruled;
    this.#left = left;
    this.#modes = modes;
    this.#models = models;
    this.#mode = modes.all.find(({ id }) => id === modes.initial)!;
    this.#model = profile.model ?? null;
    this.#effort = profile.effort ?? "medium";
  }

  /** The mode. */
  get mode(): string {
    return this.#mode.id;
  }

  /** Whether the mode reads, and nobody is asked for more. */
  get reads(): boolean {
    return /^(?:read-only|plan)$/.test(this.#mode.id);
  }

  /** What a turn brings. Under `never` rules would not be heard. */
  get turn(): Pick<TurnOptions, "sandbox" | "approvalPolicy" | "mode" | "model" | "effort"> {
    const { approvalPolicy } = this.#ruled ? this.#modes.widest : this.#mode.turn;
    return {
      mode: "default",
      ...this.#mode.turn,
      approvalPolicy,
      ...present({ model: this.#model }),
      effort: this.#effort,
    };
  }

  /** What the client shows. */
  get state(): SessionState {
    return {
      modes: {
        currentModeId: this.#mode.id,
        availableModes: this.#modes.all.map(({ id, name, description }) => ({
          id,
          name,
          description,
        })),
      },
      configOptions: this.options,
    };
  }

  /** What can be chosen, and what is. */
  get options(): ConfigOption[] {
    const modes = this.#modes.all.map(({ id, name, description }) => ({
      value: id,
      name,
      description,
    }));
    const options = [select("mode", "Mode", "mode", this.#mode.id, modes)];
    const models = this.#models.map(({ id, displayName, description }) => ({
      value: id,
      name: displayName === "" ? id : displayName,
      ...(description === "" ? {} : { description }),
    }));
    const model = this.#shown ?? CODEX_DEFAULT;
    if (!models.some(({ value }) => value === model)) {
      const name = model === CODEX_DEFAULT ? "As codex is configured" : model;
      models.unshift({ value: model, name });
    }
    options.push(select("model", "Model", "model", model, models));
    const efforts = this.#efforts.map((value) => ({ value, name: value }));
    options.push(select("effort", "Reasoning effort", "thought_level", this.#effort, efforts));
    return options;
  }

  /** Chooses a mode. Throws a {@linkcode Fault} for one that there is not. */
  setMode(id: unknown): void {
    const mode = this.#modes.all.find((each) => each.id === id);
    if (mode === undefined) throw unknown("modeId", this.#modes.all.map(({ id }) => id));
    this.#mode = mode;
  }

  /** Chooses a value of an option. Throws a {@linkcode Fault} for what there is not. */
  set(configId: unknown, value: unknown): void {
    const option = this.options.find(({ id }) => id === configId);
    if (option === undefined) throw unknown("configId", this.options.map(({ id }) => id));
    const values = option.options.map(({ value }) => value);
    if (typeof value !== "string" || !values.includes(value)) throw unknown("value", values);
    switch (option.id) {
      case "mode":
        return this.setMode(value);
      case "effort":
        this.#effort = value;
        return;
      case "model": {
        if (value === CODEX_DEFAULT) return;
        this.#model = value;
        const efforts = this.#known?.efforts ?? [];
        if (efforts.length === 0 || efforts.includes(this.#effort)) return;
        this.#effort = efforts.includes("medium") ? "medium" : efforts[0]!;
      }
    }
  }

  get #shown(): string | null {
    return this.#model ?? this.#left;
  }

  get #known(): Model | undefined {
    const shown = this.#shown;
    return this.#models.find(({ id, isDefault }) => shown === null ? isDefault : id === shown);
  }

  get #efforts(): string[] {
    const efforts = this.#known?.efforts ?? [];
    const known = efforts.length > 0 ? efforts : ["low", "medium", "high"];
    return known.includes(this.#effort) ? known : [...known, this.#effort];
  }
}

function select(
  id: string,
  name: string,
  category: ConfigOption["category"],
  currentValue: string,
  options: ConfigOption["options"],
): ConfigOption {
  return { type: "select", id, name, category, currentValue, options };
}

function unknown(field: string, values: readonly string[]): Fault {
  const accepts = values.map((value) => JSON.stringify(value)).join(", ");
  return new Fault(FAULTS.invalidParams, `\`${field}\` must be one of ${accepts}.`);
}

/** MCP servers by name. */
export type Servers = Record<string, McpServer>;

/** Reads the servers of `session/new` and the like; throws a {@linkcode Fault} for what codex can't use. */
export function readServers(given: JsonValue | undefined): Servers {
  if (given === undefined || given === null) return {};
  if (!Array.isArray(given)) throw misfit("mcpServers", "a list");
  const servers = new Map<string, McpServer>();
  given.forEach((each, index) => {
    const at = `mcpServers[${index}]`;
    if (!isJsonObject(each)) throw misfit(at, "a server");
    // Codex makes names of tools out of it: those that become the same are told apart.
    const name = need(each, "name", at).replace(/[^A-Za-z0-9_-]/g, "_").slice(0, 48);
    if (name === "") throw misfit(`${at}.name`, "a name");
    let own = name;
    for (let more = 2; servers.has(own); more++) own = `${name}_${more}`;
    servers.set(own, readServer(each, at));
  });
  return Object.fromEntries(servers);
}

function readServer(server: JsonObject, at: string): McpServer {
  switch (server["type"]) {
    case "http":
      return { url: need(server, "url", at), headers: pairs(server["headers"], `${at}.headers`) };
    case "stdio":
    case undefined: {
      const args = server["args"] ?? [];
      if (!Array.isArray(args) || !args.every((arg) => typeof arg === "string")) {
        throw misfit(`${at}.args`, "a list of strings");
      }
      return { command: need(server, "command", at), args, env: pairs(server["env"], `${at}.env`) };
    }
    default:
      throw misfit(`${at}.type`, "stdio or http: codex knows no other");
  }
}

/** A list of names and values, as an object. */
function pairs(given: JsonValue | undefined, at: string): Record<string, string> {
  if (given === undefined || given === null) return {};
  if (!Array.isArray(given)) throw misfit(at, "a list");
  return Object.fromEntries(given.map((each, index) => {
    const place = `${at}[${index}]`;
    if (!isJsonObject(each)) throw misfit(place, "a name and a value");
    return [need(each, "name", place), need(each, "value", place)];
  }));
}

/**
 * Opens with the client's servers beside the program's own. One that has the name of another in codex's configuration gets a
 * longer one, since the two are no more the client's to choose than the program's.
 */
export async function withServers<T>(
  own: Servers,
  brought: Servers,
  open: (servers: Servers) => Promise<T>,
): Promise<T> {
  let left = new Map(Object.entries(brought));
  for (const name of Object.keys(own)) left = renamed(left, name);
  for (let tries = left.size;; tries--) {
    try {
      return await open({ ...own, ...Object.fromEntries(left) });
    } catch (error) {
      const taken = error instanceof InvalidArgumentError ? error.data?.["name"] : undefined;
      if (tries <= 0 || typeof taken !== "string" || !left.has(taken)) throw error;
      left = renamed(left, taken);
    }
  }
}

function renamed(servers: Map<string, McpServer>, name: string): Map<string, McpServer> {
  if (!servers.has(name)) return servers;
  let other = `editor_${name}`;
  while (servers.has(other)) other += "_";
  return new Map([...servers].map(([each, server]) => [each === name ? other : each, server]));
}
