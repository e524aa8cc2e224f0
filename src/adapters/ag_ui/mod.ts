/**
 * What the bridge tells clients that speak AG-UI.
 * @module
 */
export { AgUiEvents } from "./events.ts";
