/**
 * What `quickRun` may be given beside a text: loaded when something is.
 * @module
 */
import {
  callback,
  checkArgument,
  elsewhere,
  object,
  type Shape,
  shape,
  signal,
  takeOptions,
} from "../../check/mod.ts";
import { runPromptKind } from "../../prompt.ts";
import { CLIENT_CONFIG } from "../../runtime/config_shape.ts";
import type { ClientConfig } from "../../runtime/mod.ts";
import type { RunProfile } from "../profile.ts";
import { RUN_PROFILE } from "../profile_shape.ts";
import type { TurnEvent } from "../turn/turn_event.ts";

export { checkOpening } from "../profile_shape.ts";

/** Options of {@linkcode quickRun}. */
export interface QuickRunOptions {
  /** How codex is started and answered. Default: the safe defaults of {@linkcode Client.connect}. */
  client?: ClientConfig;
  /** Stops the run; it rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Called with every event of the turn, in order. */
  onEvent?: (event: TurnEvent) => void;
}

/** What the options may be. */
export const QUICK_RUN_OPTIONS: Shape = shape<QuickRunOptions>({
  client: object(CLIENT_CONFIG),
  signal,
  onEvent: callback,
}, () => ({
  ...RUN_PROFILE.meant(),
  ...elsewhere(RUN_PROFILE, "The profile: call `quickRunWithProfile(cwd, prompt, { … })`."),
  ...elsewhere(CLIENT_CONFIG, "It belongs to the client: write `client: { … }`."),
  output: "Call `client.run(cwd, prompt, { output })`.",
}));

/** What the profile may be. */
const PROFILE: Shape = {
  ...RUN_PROFILE,
  meant: () => ({
    ...RUN_PROFILE.meant(),
    ...elsewhere(QUICK_RUN_OPTIONS, "It comes after the profile, in an object of its own."),
  }),
};

/** All that a run is given beside its text. */
interface QuickRunSettings extends QuickRunOptions {
  /** How it runs. */
  profile?: RunProfile;
}

/** What the run was given, as it is now. Throws `InvalidArgumentError` for what can't be meant. */
export function checkQuickRun(
  prompt: unknown,
  options: QuickRunOptions | undefined,
  given: { profile: RunProfile } | undefined,
): QuickRunSettings {
  const settings: QuickRunSettings = { ...takeOptions("quickRun", options, QUICK_RUN_OPTIONS) };
  checkArgument("quickRun", "prompt", prompt, runPromptKind);
  if (given !== undefined) {
    settings.profile = takeOptions("quickRunWithProfile", given.profile, PROFILE, true);
  }
  return settings;
}
