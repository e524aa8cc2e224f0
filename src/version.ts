/**
 * Versions of codex: where they are told and how they compare.
 * @module
 */

/** The oldest codex this library speaks with by default. */
export const MIN_CODEX_VERSION: string = "0.104.0";

/** Version of this library, as told to the server. */
export const LIBRARY_VERSION: string = "0.2.0";

/**
 * The server's version in `userAgent`, which is `<client name>/<version> (<os>) …`. The name is taken off first: it may
 * itself hold slashes and spaces.
 */
export function versionInUserAgent(userAgent: string, clientName: string): string | null {
  const rest = userAgent.startsWith(`${clientName}/`)
    ? userAgent.slice(clientName.length + 1)
    : userAgent;
  const own = /^(\d+\.\d+\.\d+[^\s(]*)/.exec(rest)?.[1];
  // A server that rewrites our name still tells its version before the parenthesis with the system.
  return own ?? /\/(\d+\.\d+\.\d+[^\s(]*) \(/.exec(rest)?.[1] ?? null;
}

/** Negative when `a` is older than `b`, positive when newer. A pre-release counts as its release. */
export function compareVersions(a: string, b: string): number {
  const left = numbers(a);
  const right = numbers(b);
  for (let i = 0; i < 3; i++) {
    const difference = left[i]! - right[i]!;
    if (difference !== 0) return difference;
  }
  return 0;
}

function numbers(version: string): [number, number, number] {
  const [major = "0", minor = "0", patch = "0"] = version.split(/[.+-]/);
  return [Number(major) || 0, Number(minor) || 0, Number(patch) || 0];
}
