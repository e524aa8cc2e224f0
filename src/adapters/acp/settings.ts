/**
 * What a session's user may choose, within what the program that serves it allows: mode, model, effort.
 * @module
 */
import type { ApprovalPolicy, SandboxMode, SandboxPolicy } from "../../permissions/mod.ts";
import type { Model, RunProfile, TurnOptions } from "../../session/mod.ts";
import { type ConfigOption, Fault, FAULTS, type SessionMode, type SessionState } from "./wire.ts";

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
  const readOnly = isReadOnly(sandbox) && sandbox !== undefined ? sandbox : "read-only";
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
        sandbox: isUnconfined(sandbox) ? "workspace-write" : sandbox ?? "workspace-write",
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
  const { turn } = widest;
  return { all, initial, asks, widest: turn };
}

function isReadOnly(sandbox: RunProfile["sandbox"]): boolean {
  return sandbox === undefined || typeOf(sandbox) === "readOnly";
}

function isUnconfined(sandbox: RunProfile["sandbox"]): boolean {
  const type = typeOf(sandbox);
  return type === "dangerFullAccess" || type === "externalSandbox";
}

function typeOf(sandbox: RunProfile["sandbox"]): string {
  const words: Record<string, string> = {
    "read-only": "readOnly",
    "workspace-write": "workspaceWrite",
    "danger-full-access": "dangerFullAccess",
  };
  return typeof sandbox === "object" ? sandbox.type : words[sandbox ?? "read-only"]!;
}

/** The value that stands for the model that codex is configured with; there is no way back to it. */
const CODEX_DEFAULT = "default";

/** What the user of one session has chosen. */
export class Settings {
  readonly #modes: Modes;
  readonly #models: readonly Model[];
  #mode: Mode;
  #model: string | null;
  #effort: string;

  /** Begins with what the profile says. */
  constructor(modes: Modes, models: readonly Model[], profile: RunProfile) {
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

  /** What a turn brings. */
  get turn(): Pick<TurnOptions, "sandbox" | "approvalPolicy" | "mode" | "model" | "effort"> {
    const model = this.#model === null ? {} : { model: this.#model };
    return { mode: "default", ...this.#mode.turn, ...model, effort: this.#effort };
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
    const model = this.#model ?? CODEX_DEFAULT;
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

  get #known(): Model | undefined {
    return this.#models.find(({ id, isDefault }) =>
      this.#model === null ? isDefault : id === this.#model
    );
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
