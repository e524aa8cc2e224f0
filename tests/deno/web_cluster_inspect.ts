/**
 * Looks into a bridge from beside: loaded before `examples/web_cluster/node.ts`, answers on INSPECT with the sessions that
 * the bridge in this process has live and holds for its own, by id with their fences.
 */
import { ClusterNode } from "../../src/web/cluster/node.ts";
import { LiveSessions } from "../../src/web/live/live_sessions.ts";

const ids = new Set<string>();
const nodes = new Set<ClusterNode>();
const lives = new Set<LiveSessions>();
const { fenceOf } = ClusterNode.prototype;
ClusterNode.prototype.fenceOf = function (sessionId) {
  nodes.add(this);
  ids.add(sessionId);
  return fenceOf.call(this, sessionId);
};
const { enter } = LiveSessions.prototype;
LiveSessions.prototype.enter = function () {
  lives.add(this);
  enter.call(this);
};

const port = Number(Deno.env.get("INSPECT"));
Deno.serve({ hostname: "127.0.0.1", port, onListen: () => {} }, () => {
  const held: Record<string, number> = {};
  for (const id of ids) {
    for (const node of nodes) {
      const fence = fenceOf.call(node, id);
      if (fence !== null && [...lives].some((each) => each.get(id) !== undefined)) held[id] = fence;
    }
  }
  return Response.json(held);
}).unref();
