import type { TurnHost } from "../../../src/session/turn/turn.ts";

/** A thread for turns that end by themselves, on no server. */
export function turnHost(emit: TurnHost["listeners"]["emit"] = null): TurnHost {
  return {
    core: { config: {}, endOrphans: () => {} } as unknown as TurnHost["core"],
    threadId: "T",
    listeners: { emit },
    count: () => {},
    stopping: () => {},
    stopSubAgents: () => Promise.resolve(),
    stopStarting: () => Promise.resolve(true),
    isOver: () => Promise.resolve(true),
    isKnown: () => false,
    released: () => {},
  };
}
