/** Looks at the pipes of codex from outside the library: when the first byte goes in, and when the one that ends a turn comes out. */
import process from "node:process";

/** Told when something is written to a child's input, and when a chunk of its output arrives. */
export interface PipeWatcher {
  /** Something is about to be written. */
  sent(): void;
  /** A chunk has arrived; nobody has seen it yet. */
  received(chunk: Uint8Array): void;
}

/** Watches all children that are started from now on. */
export function watchPipes(watcher: PipeWatcher): void {
  if ("Deno" in globalThis) watchDeno(watcher);
  else watchNode(watcher);
}

function watchDeno(watcher: PipeWatcher): void {
  const { spawn } = Deno.Command.prototype;
  Deno.Command.prototype.spawn = function () {
    const child = spawn.call(this);
    const writer = child.stdin.getWriter();
    child.stdin.getWriter = () =>
      ({
        closed: writer.closed,
        close: () => writer.close(),
        write(chunk: Uint8Array) {
          watcher.sent();
          return writer.write(chunk);
        },
      }) as typeof writer;
    const reader = child.stdout.getReader();
    Object.defineProperty(child.stdout, "getReader", {
      value: () => ({
        cancel: () => reader.cancel(),
        async read() {
          const result = await reader.read();
          if (!result.done) watcher.received(result.value);
          return result;
        },
      }),
    });
    return child;
  };
}

function watchNode(watcher: PipeWatcher): void {
  const module = process.getBuiltinModule("node:child_process");
  const { spawn } = module;
  // deno-lint-ignore no-explicit-any -- one of many overloads
  (module as any).spawn = (...args: any[]) => {
    // deno-lint-ignore no-explicit-any
    const child = (spawn as any)(...args);
    const { stdin, stdout } = child;
    const { write } = stdin;
    // deno-lint-ignore no-explicit-any
    stdin.write = (...given: any[]) => {
      watcher.sent();
      return write.apply(stdin, given);
    };
    const { emit } = stdout;
    stdout.emit = (name: string, chunk: Uint8Array) => {
      if (name === "data") watcher.received(chunk);
      return emit.call(stdout, name, chunk);
    };
    return child;
  };
}
