/** Going on with a turn whose server worked on while the connection to it was down. */
import type { ConnectionClosedError } from "../../errors/mod.ts";
import { isJsonObject, type JsonObject } from "../../json.ts";
import type { RuntimeCore } from "../../runtime/mod.ts";
import { supports } from "../../protocol/mod.ts";
import type { TurnRun } from "./turn_run.ts";

const CALL_MS = 10_000;

/** A turn of a server that goes on without this client, from the loss of the connection until it is replaced. */
export class InterruptedTurn {
  readonly #run: TurnRun;
  readonly #error: ConnectionClosedError;

  private constructor(run: TurnRun, error: ConnectionClosedError) {
    this.#run = run;
    this.#error = error;
  }

  /** What there is to take up again; `null` when the turn, if there is one, had to be ended. */
  static of(
    run: TurnRun | null,
    error: ConnectionClosedError,
    goesOn: boolean,
  ): InterruptedTurn | null {
    if (run === null) return null;
    if (goesOn && run.turnId !== null && !run.isOver) return new InterruptedTurn(run, error);
    run.connectionLost(error);
    return null;
  }

  /** The thread can't be taken up again. */
  giveUp(): void {
    this.#run.connectionLost(this.#error);
  }

  /** The thread is there again: goes on with what the server recorded of the turn, or ends it when there is no such record. */
  async takeUp(core: RuntimeCore, threadId: string): Promise<void> {
    const turn = await recordedTurn(core, threadId, this.#run.turnId!);
    if (turn === null) this.giveUp();
    else this.#run.takenUp(turn);
  }
}

/** What the server recorded of a turn that runs or has ended by itself, else `null`. */
async function recordedTurn(
  core: RuntimeCore,
  threadId: string,
  turnId: string,
): Promise<JsonObject | null> {
  if (!supports(core.server.version, "truthfulTurnRecord")) return null;
  const params = { threadId, limit: 5, itemsView: "full" };
  let list;
  try {
    list = await core.callNow("thread/turns/list", params, { timeoutMs: CALL_MS });
  } catch {
    return null;
  }
  const turns = isJsonObject(list) && Array.isArray(list["data"]) ? list["data"] : [];
  const turn = turns.find((each) => isJsonObject(each) && each["id"] === turnId);
  // A server that was started anew calls the turns of the one before interrupted.
  if (!isJsonObject(turn) || turn["status"] === "interrupted") return null;
  return turn;
}
