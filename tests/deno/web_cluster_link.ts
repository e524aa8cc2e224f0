/** A way to Redis that can be stopped: `deno run -A web_cluster_link.ts PORT`; prints the port that it listens on. */
const target = Number(Deno.args[0]);
const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
console.log((listener.addr as Deno.NetAddr).port);
for await (const near of listener) {
  const far = await Deno.connect({ hostname: "127.0.0.1", port: target });
  near.readable.pipeTo(far.writable).catch(() => {});
  far.readable.pipeTo(near.writable).catch(() => {});
}
