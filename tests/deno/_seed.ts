/** Property tests try the same cases every time, so that a failure tells of the change and not of luck. */
import fc from "npm:fast-check@4.10.2";

fc.configureGlobal({
  ...fc.readConfigureGlobal(),
  seed: Number(Deno.env.get("FC_SEED") ?? 20261122),
});
