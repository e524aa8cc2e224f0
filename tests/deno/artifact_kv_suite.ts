/** The contracts of stores on the real Deno KV; needs `--unstable-kv`, see artifact_kv_test.ts. */
/// <reference lib="deno.unstable" />
import { KvArtifactStore } from "../../src/artifact/store/kv_store.ts";
import { KvThreadStore } from "../../src/session/history/kv_thread_store.ts";
import { storeContract } from "../contract/artifact_store_suite.ts";
import { threadStoreSuite } from "../contract/thread_store_suite.ts";

storeContract("KvArtifactStore on Deno KV", async () => {
  const kv = await Deno.openKv(":memory:");
  return {
    open: () => new KvArtifactStore(kv, { prefix: ["test"] }),
    close: () => Promise.resolve(kv.close()),
  };
});

threadStoreSuite("KvThreadStore on Deno KV", async (act) => {
  const kv = await Deno.openKv(":memory:");
  try {
    await act(() => new KvThreadStore(kv));
  } finally {
    kv.close();
  }
});
