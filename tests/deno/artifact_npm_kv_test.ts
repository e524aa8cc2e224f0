/** The store contract on the package that Bun and Node use; its types must fit, too. */
import { openKv } from "npm:@deno/kv@0.14.0";
import { KvArtifactStore } from "../../src/artifact/store/kv_store.ts";
import { storeContract } from "../contract/artifact_store_suite.ts";

storeContract("KvArtifactStore on npm:@deno/kv", async () => {
  const kv = await openKv("");
  return { open: () => new KvArtifactStore(kv), close: () => Promise.resolve(kv.close()) };
});
