/** Jobs of a fleet come out once, whatever happens to the workers. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { codexPath, ROOT, tries } from "../_codex.ts";
import { findRedis, freePort } from "../_redis.ts";
import { tempDir } from "../_temp.ts";
import { test } from "../_harness.ts";
import { inFleet, manyJobs } from "./fleet_world.ts";

type Program = NonNullable<Awaited<ReturnType<typeof findRedis>>>;

/** A worker that dies after its codex has answered, and before it knows. */
async function died(redis: Program): Promise<void> {
  let asked = () => {};
  const asking = new Promise<void>((resolve) => asked = resolve);
  let go = () => {};
  const going = new Promise<void>((resolve) => go = resolve);
  const before = async (request: { toolOutputs: readonly unknown[] }) => {
    if (request.toolOutputs.length === 0) return;
    asked();
    await going;
  };
  await inFleet(redis, "bun", 1, async (world) => {
    const first = await world.addWorker();
    await world.add("told");
    await asking;
    // From here on it hears nothing, but its codex works.
    world.signal(first, "SIGSTOP");
    go();
    await world.ended(await world.threadOf("told"));
    await world.end(first, "SIGKILL");
    await world.addWorker();
    assert.ok((await world.over("told")).attemptsStarted > 1);
    assert.equal(world.requests("told").length, 2);
    assert.equal(await world.check(["told"]), 0);
  }, before);
}

/** A worker that is taken for dead, and wakes up. */
async function slept(redis: Program): Promise<void> {
  await inFleet(redis, "deno", 1, async (world) => {
    const sleeper = await world.addWorker();
    await world.add("nap", "talk");
    await world.asked("nap", 2);
    world.signal(sleeper, "SIGSTOP");
    await world.addWorker();
    // The other one finds the thread in use.
    await world.jobThat("is put off", "nap", async (job) => await job.getState() === "delayed");
    assert.equal(world.requests("nap").length, 2);
    world.signal(sleeper, "SIGCONT");
    await world.over("nap");
    assert.equal(await world.effects("nap"), 1);
    assert.equal(await world.check(["nap"]), 1);
  });
}

/** Redis ends in the middle of a job, and comes back when the worker's lock is over. */
async function redisRestarted(redis: Program): Promise<void> {
  await inFleet(redis, "deno", 2, async (world) => {
    await world.addWorker();
    const ids = ["long", "q0", "q1", "q2"];
    for (const id of ids) await world.add(id, id === "long" ? "talk" : "plain");
    await world.asked("long", 2);
    await world.redis.stop();
    await world.locksOver();
    await world.redis.start();
    for (const id of ids) await world.over(id);
    assert.equal(await world.effects("long"), 1);
    // Those that waited may have begun by then, and lost their locks too.
    assert.ok(await world.check(ids) >= 1);
  });
}

const redis = await findRedis();
if (redis !== null) {
  test(
    "fleet: each job comes out once, with a killed worker, a cancelled job, a limit and a refusal",
    () => inFleet(redis, "deno", 2, (world) => manyJobs(world, tries(24, 14), 2, ["j8"])),
  );

  test(
    "fleet: what a dead worker did not tell is not asked again, one that slept and Redis that ended do nothing twice",
    async () => {
      // All wait for a lock to run out.
      await Promise.all([died(redis), slept(redis), redisRestarted(redis)]);
    },
  );

  test("examples/fleet/main.ts runs and prints what it promises", async () => {
    await using directory = await tempDir("fleet-");
    const main = join(ROOT, "examples", "fleet", "main.ts");
    const redisAt = ["--redis", `${await freePort()}`, "--data", directory.path];
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", main, "--jobs", "2", "--workers", "1", ...redisAt],
      env: { ...redis.env, REDIS_SERVER: redis.path, CODEX_PATH: await codexPath() },
    }).output();
    const [out, err] = [stdout, stderr].map((each) => new TextDecoder().decode(each));
    assert.equal(code, 0, `${out}${err}`);
    assert.match(out!, /^line-0: \{"threadId":/m);
    // In the order in which they end.
    for (const n of [0, 1]) {
      assert.match(out!, new RegExp(`^line-${n}: A line about ${n}\\.$`, "m"));
    }
  });
}
