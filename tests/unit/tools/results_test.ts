import assert from "node:assert/strict";
import { test } from "../../_harness.ts";
import { failureNames, filesToRerun, readSuite, settle } from "../../tools/_results.ts";

const DENO = `running 3 tests from ./tests/a_test.ts
fine ... ok (3ms)
breaks: with 'x' => y ...
------- output -------
a line of the test's own
----- output end -----
breaks: with 'x' => y ... FAILED (803µs)
steps ...
  one ... ok (0ms)
  two ... FAILED (0ms)
steps ... FAILED (due to 1 failed step) (916µs)
Uncaught error from ./tests/b_test.ts FAILED
running 2 tests from ./tests/c_test.ts
leaks ...
Uncaught error from ./tests/c_test.ts FAILED
leaks ... cancelled (0ms)
left out ... ignored (0ms)

 FAILURES 

breaks: with 'x' => y => ./tests/_harness.ts:39:15
steps => ./tests/_harness.ts:39:15
./tests/b_test.ts (uncaught error)

FAILED | 1 passed (1 step) | 5 failed (1 step) | 1 ignored (400ms)
`;

const PARALLEL = `./tests/a_test.ts => fine ... ok (2ms)
./tests/a_test.ts => steps ... one ... ok (0ms)
./tests/a_test.ts => steps ... two ... FAILED (0ms)
./tests/d_test.ts => other ... ok (0ms)
./tests/a_test.ts => steps ... FAILED (32ms)

FAILED | 2 passed (1 step) | 1 failed (1 step) (277ms)
`;

const TOGETHER = `running 4 tests from ./.cache/groups/1/0-a-to-c.ts
./tests/a_test.ts => steps ...
  one ... ok (0ms)
./tests/a_test.ts => steps ... ok (32ms)
./tests/b_test.ts => x => y ...'./tests/b_test.ts => x => y' has been running for over (1m0s)
 FAILED (1m1s)
./tests/b_test.ts => leaks ...
Uncaught error from ./.cache/groups/1/0-a-to-c.ts FAILED
./tests/b_test.ts => leaks ... cancelled (0ms)

FAILED | 1 passed (1 step) | 3 failed (1m2s)
`;

const BUN = `bun test v1.4.5 (a7733435c)

tests/b_test.ts:

# Unhandled error between tests
-------------------------------

tests/a_test.ts:
(pass) fine [1.67ms]
(fail) steps [0.24ms]

2 tests failed:
(fail) steps [0.24ms]

 1 pass
 2 fail
 1 error
Ran 3 tests across 2 files. [248.00ms]
`;

const NODE = `✔ answers (3.1ms)
✖ streams (12.5ms)
ℹ tests 2
ℹ pass 1
ℹ fail 1

✖ failing tests:

✖ streams (12.5ms)
`;

const ended = (output: string, code = 1, killed = false) => ({ code, output, killed });

function told(name: string, output: string) {
  const { counts, files } = readSuite(name, ended(output));
  return { ...counts, files: files && Object.fromEntries(files) };
}

test("readSuite() tells file and name of what failed, for each program's output", () => {
  assert.deepEqual(told("deno: tests", DENO), {
    passed: 1,
    failed: 5,
    files: {
      "tests/a_test.ts": { passed: ["fine"], failed: ["breaks: with 'x' => y", "steps"] },
      "tests/b_test.ts": { passed: [], failed: ["uncaught error"] },
      "tests/c_test.ts": { passed: [], failed: ["uncaught error", "leaks"] },
    },
  });
  assert.deepEqual(told("deno: tests", PARALLEL), {
    passed: 2,
    failed: 1,
    files: {
      "tests/a_test.ts": { passed: ["fine"], failed: ["steps"] },
      "tests/d_test.ts": { passed: ["other"], failed: [] },
    },
  });
  assert.deepEqual(told("deno: tests", TOGETHER), {
    passed: 1,
    failed: 3,
    files: {
      "tests/a_test.ts": { passed: ["steps"], failed: [] },
      "tests/b_test.ts": { passed: [], failed: ["x => y", "leaks"] },
      ".cache/groups/1/0-a-to-c.ts": { passed: [], failed: ["uncaught error"] },
    },
  });
  const both = PARALLEL.replaceAll(/^(?=\.)/gm, "./.cache/groups/1/0-a-to-d.ts => ");
  assert.deepEqual(told("deno: tests", both), told("deno: tests", PARALLEL));
  assert.deepEqual(told("bun: tests", BUN), {
    passed: 1,
    failed: 2,
    files: {
      "tests/b_test.ts": { passed: [], failed: ["unhandled error"] },
      "tests/a_test.ts": { passed: ["fine"], failed: ["steps"] },
    },
  });
  assert.deepEqual(told("node: tests/node", NODE), {
    passed: 1,
    failed: 1,
    files: { "tests/node": { passed: ["answers"], failed: ["streams"] } },
  });
});

test("readSuite() names no file to run again when a suite died, was killed, or can't be read whole", () => {
  const died = readSuite("deno: tests", ended("error: Type checking failed.\n"));
  assert.deepEqual([died.counts, died.files], [{ passed: 0, failed: 1 }, null]);
  assert.deepEqual(failureNames(died, "error"), ["ended without a result"]);

  const hung = readSuite("deno: tests", ended(PARALLEL, 137, true));
  assert.deepEqual([hung.counts, hung.files], [{ passed: 2, failed: 2 }, null]);

  const unread = readSuite("deno: tests", ended(PARALLEL.replace("2 passed", "3 passed")));
  assert.deepEqual([unread.counts, unread.files], [{ passed: 3, failed: 1 }, null]);

  assert.deepEqual(filesToRerun([died, hung, unread]), []);
});

test("filesToRerun() names the files with failures, and none when they are more than five", () => {
  const deno = readSuite("deno: tests", ended(DENO));
  const bun = readSuite("bun: tests", ended(BUN));
  assert.deepEqual(filesToRerun([deno, bun]), [
    { suite: "deno: tests", file: "tests/a_test.ts" },
    { suite: "deno: tests", file: "tests/b_test.ts" },
    { suite: "deno: tests", file: "tests/c_test.ts" },
    { suite: "bun: tests", file: "tests/b_test.ts" },
    { suite: "bun: tests", file: "tests/a_test.ts" },
  ]);
  const node = readSuite("node: tests/node", ended(NODE));
  assert.deepEqual(filesToRerun([deno, bun, node]), []);
});

test("settle() counts a test once: as passed and flickered when it passes alone", () => {
  const suite = readSuite("deno: tests", ended(PARALLEL));
  const again = (output: string, code = 0, killed = false) =>
    settle(suite, "tests/a_test.ts", readSuite("deno: tests", ended(output, code, killed)));

  const passed = again(`running 2 tests from ./tests/a_test.ts
fine ... ok (2ms)
steps ... ok (32ms)

ok | 2 passed (2 steps) | 0 failed (277ms)
`);
  assert.deepEqual(passed.suite.counts, { passed: 3, failed: 0 });
  assert.deepEqual(passed.flickers, [
    { suite: "deno: tests", file: "tests/a_test.ts", test: "steps" },
  ]);
  assert.deepEqual(failureNames(passed.suite, ""), []);

  const failed = again(`running 2 tests from ./tests/a_test.ts
fine ... FAILED (2ms)
steps ... FAILED (32ms)

FAILED | 0 passed | 2 failed (277ms)
`);
  assert.deepEqual(failed.suite.counts, { passed: 1, failed: 2 });
  assert.deepEqual(failed.flickers, []);
  assert.deepEqual(failureNames(failed.suite, ""), [
    "tests/a_test.ts: fine",
    "tests/a_test.ts: steps",
  ]);

  for (
    const unsettled of [
      again("error: no such file\n", 1),
      again("fine ... ok (2ms)\n", 137, true),
      // What failed did not run again.
      again(`running 1 test from ./tests/a_test.ts
fine ... ok (2ms)

ok | 1 passed | 0 failed (7ms)
`),
      again("\nok | 0 passed | 0 failed (7ms)\n"),
    ]
  ) {
    assert.deepEqual(unsettled.suite.counts, { passed: 2, failed: 1 });
    assert.deepEqual(unsettled.flickers, []);
  }
});

test("settle() takes what each file did when a module that loads several runs again", () => {
  const suite = readSuite("deno: tests", ended(TOGETHER));
  const group = ".cache/groups/1/0-a-to-c.ts";
  const again = (output: string) =>
    settle(
      suite,
      group,
      readSuite("deno: tests", ended(`running 4 tests from ./${group}\n${output}`)),
    );
  const whole = `./tests/a_test.ts => steps ... ok (32ms)
./tests/b_test.ts => x => y ... ok (1ms)
./tests/b_test.ts => leaks ... FAILED (1ms)
./tests/c_test.ts => more ... ok (1ms)

FAILED | 3 passed (1 step) | 1 failed (40ms)
`;
  const settled = again(whole);
  assert.deepEqual(settled.suite.counts, { passed: 3, failed: 1 });
  assert.deepEqual(settled.flickers.map(({ file, test }) => [file, test]), [
    [group, "uncaught error"],
    ["tests/b_test.ts", "x => y"],
  ]);
  assert.deepEqual(failureNames(settled.suite, ""), ["tests/b_test.ts: leaks"]);

  const part = again(
    `./tests/a_test.ts => steps ... ok (32ms)\n\nok | 1 passed | 0 failed (1ms)\n`,
  );
  assert.deepEqual(part.suite.counts, suite.counts);
});

test("a test that took long enough to be told as running is read like the others", () => {
  const output = `running 2 tests from ./tests/a_test.ts
quick ... ok (3ms)
slow ...'slow' has been running for over (1m0s)
 FAILED (1m1s)
running 1 test from ./tests/b_test.ts
steps ...
  one ...'steps' has been running for over (1m0s)
 ok (1m2s)
steps ... ok (1m3s)

FAILED | 2 passed (1 step) | 1 failed (2m4s)
`;
  const read = readSuite("deno: tests", { code: 1, output, killed: false });
  assert.deepEqual(filesToRerun([read]).map(({ file }) => file), ["tests/a_test.ts"]);
});
