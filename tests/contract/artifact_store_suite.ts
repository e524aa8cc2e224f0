/** What every artifact store promises, as tests. */
import assert from "node:assert/strict";
import { EMPTY_REVISION, revisionOf } from "../../src/artifact/edits.ts";
import type { ArtifactStore } from "../../src/artifact/store/store.ts";
import { ArtifactConflictError, InvalidArgumentError } from "../../src/errors/mod.ts";
import { tries } from "../_codex.ts";
import { test } from "../_harness.ts";

/** A fresh place for artifacts; `open` gives independent handles on it, as other processes have. */
export interface StorePlace {
  /** Another handle on the same place. */
  open(): ArtifactStore;
  /** Removes the place. */
  close(): Promise<void>;
}

/** Registers the contract's tests for one kind of store. */
export function storeContract(name: string, place: () => Promise<StorePlace>): void {
  const check = (behaviour: string, body: (place: StorePlace) => Promise<void>) =>
    test(`${name}: ${behaviour}`, { timeoutMs: 60_000 }, async () => {
      const here = await place();
      try {
        await body(here);
      } finally {
        await here.close();
      }
    });

  check("load() of an unknown artifact is null", async (at) => {
    assert.equal(await at.open().load("nothing"), null);
  });

  check("save() stores text, revision and meta as one version", async (at) => {
    const lastSave = {
      task: "docEdit",
      threadId: "t1",
      turnId: "u1",
      previousRevision: EMPTY_REVISION,
    };
    const saved = await at.open().save("a", {
      text: "hello\n",
      expectedRevision: EMPTY_REVISION,
      meta: { title: "Hello", format: "text", threadId: "t1", lastSave },
    });
    assert.deepEqual(saved, {
      artifactId: "a",
      text: "hello\n",
      revision: await revisionOf("hello\n"),
      meta: { title: "Hello", format: "text", threadId: "t1", lastSave },
    });
    assert.deepEqual(await at.open().load("a"), saved);
    assert.equal(await at.open().load("b"), null);
  });

  check("save() stores what it was given, whatever becomes of it", async (at) => {
    const store = at.open();
    const meta = { title: "one" };
    const given = { text: "one", expectedRevision: EMPTY_REVISION, meta };
    const first = store.save("a", given);
    given.text = meta.title = "two";
    const second = store.save("b", given);
    given.text = meta.title = given.expectedRevision = "three";
    assert.deepEqual(
      (await Promise.all([first, second])).map(({ text, meta }) => [text, meta.title]),
      [
        ["one", "one"],
        ["two", "two"],
      ],
    );
  });

  check("updateMeta() refuses a change that says nothing", async (at) => {
    const nothing = () => undefined as unknown as { title: string };
    await assert.rejects(at.open().updateMeta("a", nothing), InvalidArgumentError);
    assert.equal(await at.open().load("a"), null);
  });

  check("an artifact is titled by its id and in markdown until told otherwise", async (at) => {
    const { meta } = await at.open().save("a", { text: "x", expectedRevision: EMPTY_REVISION });
    assert.deepEqual(meta, { title: "a", format: "markdown", threadId: null, lastSave: null });
  });

  check("save() keeps the meta it is not told, except who saved", async (at) => {
    const store = at.open();
    const lastSave = { task: "x", threadId: null, turnId: null, previousRevision: EMPTY_REVISION };
    const first = await store.save("a", {
      text: "1",
      expectedRevision: EMPTY_REVISION,
      meta: { title: "T", threadId: "t", lastSave },
    });
    const second = await store.save("a", { text: "2", expectedRevision: first.revision });
    assert.deepEqual(second.meta, {
      title: "T",
      format: "markdown",
      threadId: "t",
      lastSave: null,
    });
  });

  check(
    "save() rejects another revision with ArtifactConflictError and changes nothing",
    async (at) => {
      const store = at.open();
      const first = await store.save("a", { text: "1", expectedRevision: EMPTY_REVISION });
      for (const expectedRevision of [EMPTY_REVISION, "sha256:00", ""]) {
        await assert.rejects(
          store.save("a", { text: "2", expectedRevision, meta: { title: "lost" } }),
          (error) =>
            error instanceof ArtifactConflictError && error.artifactId === "a" &&
            error.expectedRevision === expectedRevision && error.actualRevision === first.revision,
        );
      }
      await assert.rejects(
        store.save("new", { text: "2", expectedRevision: first.revision }),
        (error) =>
          error instanceof ArtifactConflictError && error.actualRevision === EMPTY_REVISION,
      );
      assert.deepEqual(await store.load("a"), first);
      assert.equal(await store.load("new"), null);
    },
  );

  check("updateMeta() changes meta only, and creates an empty artifact", async (at) => {
    const store = at.open();
    const created = await store.updateMeta("a", () => ({ threadId: "t1" }));
    assert.deepEqual([created.text, created.revision, created.meta.threadId], [
      "",
      EMPTY_REVISION,
      "t1",
    ]);
    await store.save("a", { text: "x", expectedRevision: EMPTY_REVISION });
    const updated = await store.updateMeta(
      "a",
      (meta) => ({ title: `${meta.title}!`, threadId: null }),
    );
    assert.deepEqual([updated.text, updated.meta.title, updated.meta.threadId], ["x", "a!", null]);
    assert.deepEqual(await at.open().load("a"), updated);
  });

  check("a meta change between load and save is no conflict, and is kept", async (at) => {
    const [one, two] = [at.open(), at.open()];
    const first = await one.save("a", { text: "1", expectedRevision: EMPTY_REVISION });
    await two.updateMeta("a", () => ({ threadId: "t2" }));
    const second = await one.save("a", { text: "2", expectedRevision: first.revision });
    assert.equal(second.meta.threadId, "t2");
  });

  check("texts come back to the byte", async (at) => {
    const store = at.open();
    const texts = [
      "\uFEFFwith a byte order mark",
      "\r\n\r\n",
      "no newline at the end",
      "nul \0 and \u2028 and 😀",
      "",
      `{"not":"meta"}\n`,
      "\n",
      "ä".repeat(40_000),
      "line of a large document — with text\n".repeat(60_000),
      "small again",
    ];
    let expectedRevision = EMPTY_REVISION;
    for (const text of texts) {
      const saved = await store.save("a", { text, expectedRevision });
      assert.equal(saved.revision, await revisionOf(text));
      const loaded = await at.open().load("a");
      assert.equal(loaded?.text === text && loaded.revision === saved.revision, true);
      expectedRevision = saved.revision;
    }
  });

  check("lone surrogates are stored as U+FFFD, as UTF-8 has them", async (at) => {
    const saved = await at.open().save("a", { text: "a\ud83d", expectedRevision: EMPTY_REVISION });
    assert.equal(saved.text, "a\ufffd");
    assert.deepEqual(await at.open().load("a"), saved);
  });

  check("any id of any length has its own artifact", async (at) => {
    const store = at.open();
    const ids = [
      "",
      ".",
      "..",
      "a/b",
      "a\\b",
      "A/B",
      "nul",
      "x".repeat(5_000),
      "ä",
      "\ud83d",
      "\0",
    ];
    for (const id of ids) {
      await store.save(id, { text: `<${id}>`, expectedRevision: EMPTY_REVISION });
    }
    for (const id of ids) {
      const loaded = await at.open().load(id);
      assert.equal(loaded?.artifactId, id);
      assert.equal(loaded?.text, `<${id}>`.toWellFormed());
    }
  });

  check("very many saves in a row keep only what the last one left", async (at) => {
    const store = at.open();
    let revision = EMPTY_REVISION;
    const saves = tries(200, 140);
    for (let i = 0; i < saves; i++) {
      const saved = await store.save("a", { text: `version ${i}`, expectedRevision: revision });
      revision = saved.revision;
      if (i % 20 === 0) assert.equal((await at.open().load("a"))?.text, `version ${i}`);
    }
    assert.equal((await at.open().load("a"))?.text, `version ${saves - 1}`);
  });

  check("of writers that race for one version exactly one wins", async (at) => {
    const stores = Array.from({ length: 8 }, () => at.open());
    let revision = EMPTY_REVISION;
    for (let round = 0; round < 10; round++) {
      const results = await Promise.allSettled(
        stores.map((store, i) =>
          store.save("a", { text: `round ${round} by ${i}`, expectedRevision: revision })
        ),
      );
      const won = results.flatMap((r) => r.status === "fulfilled" ? [r.value] : []);
      const lost = results.flatMap((r) => r.status === "rejected" ? [r.reason] : []);
      assert.equal(won.length, 1);
      for (const error of lost) {
        assert.ok(error instanceof ArtifactConflictError, String(error));
        assert.equal(error.actualRevision, won[0]!.revision);
      }
      assert.deepEqual(await at.open().load("a"), won[0]);
      revision = won[0]!.revision;
    }
  });

  check("no increment is lost when many writers retry their conflicts", async (at) => {
    const add = async (store: ArtifactStore, pad: string) => {
      while (true) {
        const now = await store.load(`n${pad.length}`);
        const value = Number(now?.text.split(" ")[0] ?? "0");
        try {
          // Two who read the same write the same.
          return await store.save(`n${pad.length}`, {
            text: `${value + 1} ${pad}`,
            expectedRevision: now?.revision ?? EMPTY_REVISION,
          });
        } catch (error) {
          if (!(error instanceof ArtifactConflictError)) throw error;
        }
      }
    };
    // One is larger than one key-value value, so that the chunked way is raced, too.
    for (const pad of ["", "x".repeat(70_000)]) {
      await Promise.all(Array.from({ length: 5 }, async () => {
        const store = at.open();
        for (let i = 0; i < 8; i++) await add(store, pad);
      }));
      assert.equal((await at.open().load(`n${pad.length}`))?.text, `40 ${pad}`);
    }
  });

  check("readers see only whole versions while another one writes", async (at) => {
    const [writer, reader] = [at.open(), at.open()];
    let revision = EMPTY_REVISION;
    let writing = true;
    const write = async () => {
      for (let i = 0; i < 40; i++) {
        const text = `${i}:`.repeat(i * 1_500 + 1);
        const meta = { title: String(i) };
        revision = (await writer.save("a", { text, expectedRevision: revision, meta })).revision;
      }
      writing = false;
    };
    const read = async () => {
      let last = -1;
      while (writing) {
        // A store in memory answers in microtasks, which alone would never let the writer on.
        await new Promise((resolve) => setTimeout(resolve, 0));
        const seen = await reader.load("a");
        if (seen === null) continue;
        const i = Number(seen.meta.title);
        assert.ok(i >= last, "a reader never goes back");
        assert.equal(seen.text === `${i}:`.repeat(i * 1_500 + 1), true);
        assert.equal(seen.revision, await revisionOf(seen.text));
        last = i;
      }
    };
    await Promise.all([write(), read(), read()]);
  });

  check("updateMeta() of many writers loses none", async (at) => {
    await Promise.all(
      Array.from(
        { length: 12 },
        (_, i) => at.open().updateMeta("a", (meta) => ({ title: `${meta.title},${i}` })),
      ),
    );
    const { title } = (await at.open().load("a"))!.meta;
    assert.deepEqual(
      title.split(",").slice(1).map(Number).sort((a, b) => a - b),
      Array.from({ length: 12 }, (_, i) => i),
    );
  });

  check("a stored artifact is not changed through what was given or returned", async (at) => {
    const store = at.open();
    const lastSave = { task: "x", threadId: null, turnId: null, previousRevision: EMPTY_REVISION };
    const saved = await store.save("a", {
      text: "x",
      expectedRevision: EMPTY_REVISION,
      meta: { lastSave },
    });
    lastSave.task = "changed";
    (saved.meta as { title: string }).title = "changed";
    const { meta } = (await store.load("a"))!;
    assert.deepEqual([meta.lastSave?.task, meta.title], ["x", "a"]);
  });

  check("an aborted signal rejects with its reason and stores nothing", async (at) => {
    const store = at.open();
    const reason = new Error("enough");
    const options = { signal: AbortSignal.abort(reason) };
    const save = { text: "x", expectedRevision: EMPTY_REVISION };
    await assert.rejects(store.save("a", save, options), reason);
    await assert.rejects(store.updateMeta("a", () => ({}), options), reason);
    await assert.rejects(store.load("a", options), reason);
    assert.equal(await store.load("a"), null);
  });
}
