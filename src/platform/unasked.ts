/**
 * Files without questions: on a terminal Deno asks the user for a permission that the script lacks, and nothing goes on until
 * somebody answers. What is refused elsewhere is refused there as well.
 * @module
 */

/** Whether Deno would ask the user for what it has not granted, which it does on a terminal only. */
export function wouldPrompt(): boolean {
  return Deno.stdin.isTerminal() && Deno.stderr.isTerminal();
}

// deno-lint-ignore no-explicit-any
type Call = (...args: any[]) => Promise<unknown>;

/** What the calls need of the paths that they are given. */
export interface Needs<Name> {
  /** They read the first path. */
  read: readonly Name[];
  /** They write the first path. */
  write: readonly Name[];
  /** They write the second path. */
  to?: readonly Name[];
  /** Deno wants both permissions without a scope. */
  all?: readonly Name[];
}

/** The same calls, which reject as they do without a terminal where Deno would ask the user. */
export function unasked<T extends object>(calls: T, needs: Needs<keyof T>): T {
  if (!wouldPrompt()) return calls;
  const { read, write, to = [], all = [] } = needs;
  const guarded = Object.entries(calls as Record<string, Call>).map(([name, call]) => {
    const does = (names: readonly (keyof T)[]) => names.includes(name as keyof T);
    return [name, async (...args: [string, ...unknown[]]) => {
      if (does(read)) refuse("read", args[0]);
      if (does(write)) refuse("write", args[0]);
      if (does(to)) refuse("write", args[1] as string);
      if (does(all)) (refuse("read"), refuse("write"));
      return await call(...args);
    }];
  });
  return Object.fromEntries(guarded);
}

/** Opens for reading what may be opened without a question. */
export async function openUnasked(path: string): Promise<Deno.FsFile> {
  if (wouldPrompt()) refuse("read", path);
  return await Deno.open(path);
}

function refuse(name: "read" | "write", path?: string): void {
  // Deno keeps each answer about a path for as long as the script runs.
  if (!asks({ name }) || path !== undefined && !asks({ name, path })) return;
  const what = path === undefined ? "all paths" : `"${path}"`;
  throw new Deno.errors.NotCapable(
    `Requires ${name} access to ${what}, run again with the --allow-${name} flag`,
  );
}

function asks(descriptor: Deno.PermissionDescriptor): boolean {
  return Deno.permissions.querySync(descriptor).state === "prompt";
}
