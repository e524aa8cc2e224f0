/**
 * Recurring prompts on one prepared session.
 *
 * The pace is a fixed grid: the first run is due at `startAt` (or now), each later one a multiple of `every` after it.
 * One turn is in flight at a time; ticks that pass while it runs, or while the machine sleeps, collapse into the next
 * one on the same grid. Any prompt error ends the automation as `failed`; `stopAt` is exclusive. Each run's answer or
 * error goes to `onRun` and to the handle's iterator. There is no cron syntax, no persistence and no recovery after a
 * restart: that is the scheduler's job that starts your script.
 * @module
 */
export { AutomationHandle } from "./handle.ts";
export { spawn } from "./spawn.ts";
export * from "./types.ts";
