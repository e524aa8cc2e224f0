/**
 * What several bridges share, on Redis: who has which session, the newest events, the sessions themselves. Each change is
 * one Lua script, which Redis runs as one step by its own clock.
 */
import type { web } from "../../mod.ts";

/** A connection; commands fail at once while Redis is away. On Bun its own client. */
export async function connectRedis(url: string): Promise<Redis> {
  // deno-lint-ignore no-explicit-any
  const { Bun } = globalThis as any;
  if (Bun !== undefined) {
    const client = new Bun.RedisClient(url, {
      connectionTimeout: 1_000,
      enableOfflineQueue: false,
    });
    await client.connect();
    return {
      run: (script, keys, args) =>
        client.send("EVAL", [script, `${keys.length}`, ...keys, ...args.map(String)]),
      close: () => client.close(),
    };
  }
  const { createClient } = await import("npm:redis@6.3.1");
  const client = createClient({
    url,
    disableOfflineQueue: true,
    socket: { connectTimeout: 1_000 },
  });
  // The client connects again by itself; without a listener it would throw.
  client.on("error", () => {});
  await client.connect();
  return {
    run: (script, keys, args) => client.eval(script, { keys, arguments: args.map(String) }),
    close: () => client.destroy(),
  };
}

/** The part of a Redis client that is used here. */
export interface Redis {
  /** Runs a script. */
  run(script: string, keys: string[], args: (string | number)[]): Promise<unknown>;
  /** Ends the connection. */
  close(): void;
}

// A fence is never given twice, also when Redis has lost everything: it is no smaller than the time.
const CLAIM = `
local held = redis.call("HMGET", KEYS[1], "url", "fence", "until")
local t = redis.call("TIME")
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local alive = held[3] and tonumber(held[3]) > now
if alive and held[1] ~= ARGV[1] then return {0, held[1], held[2]} end
local fence = alive and held[2] or string.format("%.0f", math.max(now, (tonumber(held[2]) or 0) + 1))
redis.call("HSET", KEYS[1], "url", ARGV[1], "fence", fence, "until", now + ARGV[2])
return {1, ARGV[1], fence}`;

const RENEW = `
local held = redis.call("HMGET", KEYS[1], "fence", "until")
local t = redis.call("TIME")
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if held[1] ~= ARGV[1] or not held[2] or tonumber(held[2]) <= now then return 0 end
redis.call("HSET", KEYS[1], "until", now + ARGV[2])
return 1`;

const RELEASE = `
if redis.call("HGET", KEYS[1], "fence") == ARGV[1] then redis.call("HSET", KEYS[1], "until", 0) end
return 1`;

/** Leases of sessions. */
export function redisOwners(redis: Redis): web.SessionOwners {
  const key = (sessionId: string) => [`codex:owner:${sessionId}`];
  return {
    claim: async (sessionId, url, ttlMs) => {
      const [mine, owner, fence] = await redis.run(CLAIM, key(sessionId), [url, ttlMs]) as [
        number,
        string,
        string,
      ];
      return { mine: mine === 1, url: owner, fence: Number(fence) };
    },
    renew: async (sessionId, fence, ttlMs) =>
      await redis.run(RENEW, key(sessionId), [fence, ttlMs]) === 1,
    release: async (sessionId, fence) => {
      await redis.run(RELEASE, key(sessionId), [fence]);
    },
  };
}

const APPEND = `
if tonumber(redis.call("GET", KEYS[2]) or 0) > tonumber(ARGV[1]) then return 0 end
redis.call("SET", KEYS[2], ARGV[1], "EX", ARGV[3])
for i = 4, #ARGV do redis.call("RPUSH", KEYS[1], ARGV[i]) end
redis.call("LTRIM", KEYS[1], -ARGV[2], -1)
redis.call("EXPIRE", KEYS[1], ARGV[3])
return 1`;

const READ = `
if tonumber(redis.call("GET", KEYS[2]) or 0) > tonumber(ARGV[1]) then return 0 end
redis.call("SET", KEYS[2], ARGV[1], "EX", ARGV[2])
return redis.call("LRANGE", KEYS[1], 0, -1)`;

/** The newest events of sessions, kept for an hour after the last one. */
export function redisTail(redis: Redis, maxEvents = 4_096, seconds = 3_600): web.EventTail {
  const keys = (sessionId: string) => [`codex:tail:{${sessionId}}`, `codex:fence:{${sessionId}}`];
  return {
    append: async (sessionId, fence, entries) => {
      const lines = entries.map(({ seq, text }) => `${seq} ${text}`);
      const args = [fence, maxEvents, seconds, ...lines];
      return await redis.run(APPEND, keys(sessionId), args) === 1;
    },
    read: async (sessionId, fence) => {
      const found = await redis.run(READ, keys(sessionId), [fence, seconds]);
      if (!Array.isArray(found)) return null;
      return (found as string[]).map((line) => {
        const at = line.indexOf(" ");
        return { seq: Number(line.slice(0, at)), text: line.slice(at + 1) };
      });
    },
  };
}

const PUT = `
local stored = redis.call("HGET", KEYS[1], "revision")
if tonumber(stored or 0) ~= tonumber(ARGV[1]) - 1 then return 0 end
redis.call("HSET", KEYS[1], "revision", ARGV[1], "record", ARGV[2])
redis.call("SADD", KEYS[2], ARGV[3])
redis.call("ZADD", KEYS[3], ARGV[4], ARGV[3])
return 1`;

const GET = `return redis.call("HGET", KEYS[1], "record")`;
const LIST = `return redis.call("SMEMBERS", KEYS[1])`;
const DELETE = `
redis.call("DEL", KEYS[1])
redis.call("SREM", KEYS[2], ARGV[1])
redis.call("ZREM", KEYS[3], ARGV[1])
return 1`;
const UNUSED = `return redis.call("ZRANGE", KEYS[1], "-inf", "(" .. ARGV[1], "BYSCORE")`;

/** The sessions. */
export function redisSessions(redis: Redis): web.SessionStore {
  const key = (sessionId: string) => `codex:session:${sessionId}`;
  const index = (tenant: string) => `codex:tenant:${tenant}`;
  /** All sessions by when they were last used. */
  const used = "codex:used";
  const get = async (sessionId: string) => {
    const text = await redis.run(GET, [key(sessionId)], []);
    return typeof text === "string" ? decode(text) : null;
  };
  const list = async (tenant: string) => {
    const ids = await redis.run(LIST, [index(tenant)], []) as string[];
    const found = await Promise.all(ids.map(get));
    return found.filter((session) => session !== null && session.tenant === tenant)
      .map((session) => session!)
      .sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime());
  };
  return {
    get,
    list,
    findThread: async (tenant, threadId) =>
      (await list(tenant)).find((session) => session.threadId === threadId) ?? null,
    put: async (session) => {
      const { sessionId, tenant, revision, usedAt } = session;
      const args = [revision, JSON.stringify(session), sessionId, usedAt.getTime()];
      return await redis.run(PUT, [key(sessionId), index(tenant), used], args) === 1;
    },
    delete: async (sessionId) => {
      const session = await get(sessionId);
      if (session === null) return;
      await redis.run(DELETE, [key(sessionId), index(session.tenant), used], [sessionId]);
    },
    unusedSince: async (before) => {
      const ids = await redis.run(UNUSED, [used], [before.getTime()]) as string[];
      return (await Promise.all(ids.map(get))).filter((session) => session !== null);
    },
  };
}

function decode(text: string): web.StoredSession {
  const session = JSON.parse(text);
  return {
    ...session,
    createdAt: new Date(session.createdAt),
    usedAt: new Date(session.usedAt),
  };
}
