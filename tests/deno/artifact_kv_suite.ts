/** The store contract on the real Deno KV; needs `--unstable-kv`, see artifact_kv_test.ts. */
/// <reference lib="deno.unstable" />
import { KvArtifactStore } from "../../src/artifact/store/kv_store.ts";
import { storeContract } from "../contract/artifact_store_suite.ts";

storeContract("KvArtifactStore on Deno KV", async () => {
  const kv = await Deno.openKv(":memory:");
  return {
    open: () => new KvArtifactStore(kv, { prefix: ["test"] }),
    close: () => Promise.resolve(kv.close()),
  };
});
