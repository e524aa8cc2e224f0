/**
 * One test function for Deno and for Bun/Node: `Deno.test` with sanitizers where it exists, else `node:test`.
 */

/** What a test body gets: named steps. */
export interface TestContext {
  /** Runs a named part of the test; a failing part fails the test. */
  step(name: string, fn: () => void | Promise<void>): Promise<void>;
}

/** How a test runs. */
export interface TestOptions {
  /** Milliseconds until the test fails, where two minutes are too few: a limit is for what hangs, not for what is slow. */
  timeoutMs?: number;
  /** Deno permissions of the test; the test is registered on Deno only. */
  // deno-lint-ignore no-explicit-any
  permissions?: any;
  /** Runs on Deno only, with the reason why. */
  denoOnly?: string;
}

/** Longer than any test takes beside a busy machine's other work. */
const LIMIT_MS = 120_000;

type Body = (t: TestContext) => void | Promise<void>;

/** The file that registers tests now, where one module loads several files; else null. */
let file: string | null = null;

/** Has the file stand before the names of the tests that are registered from now on, as `deno test --parallel` writes it. */
export function testsOf(path: string): void {
  file = path;
}

// deno-lint-ignore no-explicit-any
const host = globalThis as any;

/** True when the suite runs on Deno. */
export const onDeno: boolean = host.Deno?.test !== undefined;

/** Registers a test under the name of the behaviour that it shows. */
export function test(name: string, fn: Body): void;
/** Registers a test with options. */
export function test(name: string, options: TestOptions, fn: Body): void;
export function test(name: string, a: TestOptions | Body, b?: Body): void {
  const options: TestOptions = typeof a === "function" ? {} : a;
  const fn = typeof a === "function" ? a : b!;
  const timeout = options.timeoutMs ?? LIMIT_MS;
  if (onDeno) {
    host.Deno.test({
      name: file === null ? name : `./${file} => ${name}`,
      timeout,
      ...(options.permissions === undefined ? {} : { permissions: options.permissions }),
      // deno-lint-ignore no-explicit-any
      fn: (t: any) =>
        fn({
          step: async (step, run) => {
            // Deno reports a failed step only when the whole test ends; stopping here keeps the cause first.
            if (!await t.step(step, run)) throw new Error(`step failed: ${step}`);
          },
        }),
    });
    return;
  }
  if (options.permissions !== undefined || options.denoOnly !== undefined) return;
  const nodeTest = host.process.getBuiltinModule("node:test");
  nodeTest.test(name, { timeout }, () =>
    fn({
      step: async (step, run) => {
        try {
          await run();
        } catch (error) {
          throw new Error(`step failed: ${step}`, { cause: error });
        }
      },
    }));
}
