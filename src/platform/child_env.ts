/** The environment of a child. @module */

/**
 * What is inherited, and what is set on top. Windows knows one variable by any letter case: the inherited one goes, or
 * the system takes whichever comes first.
 */
export function mergeEnv(
  platform: string,
  inherited: Readonly<Record<string, string | undefined>>,
  set: Readonly<Record<string, string>> = {},
): Record<string, string | undefined> {
  if (platform !== "win32") return { ...inherited, ...set };
  const names = new Set(Object.keys(set).map((name) => name.toUpperCase()));
  const kept = Object.entries(inherited).filter(([name]) => !names.has(name.toUpperCase()));
  return { ...Object.fromEntries(kept), ...set };
}

/** A variable by its name, in any letter case on Windows; `undefined` when there is none. */
export function nameInEnv(
  platform: string,
  env: Readonly<Record<string, string | undefined>>,
  name: string,
): string | undefined {
  if (platform !== "win32") return name in env ? name : undefined;
  return Object.keys(env).findLast((each) => each.toUpperCase() === name.toUpperCase());
}
