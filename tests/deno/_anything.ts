/** Values of every kind, and things that bite when they are touched. */
import fc from "npm:fast-check@4.10.2";

/** Things that bite when they are touched. */
const HOSTILE: readonly (() => unknown)[] = [
  () => new Proxy({}, traps()),
  () => new Proxy([], traps()),
  () => Proxy.revocable({}, {}).proxy,
  () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  },
  () => {
    const circle: Record<string, unknown> = {};
    circle["self"] = circle;
    return circle;
  },
  () => ({
    get type() {
      throw new RangeError("bites");
    },
    get text() {
      throw new RangeError("bites");
    },
  }),
  () => ({
    toJSON() {
      throw new RangeError("bites");
    },
  }),
  () => () => 1,
  () => Symbol("s"),
  () => class {},
  () => new Error("x"),
  () => /x/,
  () => new AbortController().signal,
  () => globalThis,
  () => Object.freeze({ __proto__: null, then: 1 }),
  () => "\ud800",
  () => "\0",
  () => "x".repeat(70_000),
];

function traps(): ProxyHandler<object> {
  const bite = () => {
    throw new RangeError("bites");
  };
  return Object.fromEntries(
    Object.getOwnPropertyNames(Reflect).map((trap) => [trap, bite]),
  ) as ProxyHandler<object>;
}

/** Made when it is used: whoever generates and prints cases touches them. */
export const anything: fc.Arbitrary<() => unknown> = fc.oneof(
  fc.anything({
    withBigInt: true,
    withBoxedValues: true,
    withDate: true,
    withMap: true,
    withNullPrototype: true,
    withSet: true,
    withSparseArray: true,
    withTypedArray: true,
    withUnicodeString: true,
    maxDepth: 3,
  }).map((value) => () => value),
  fc.constantFrom(...HOSTILE),
);
