/** A way to a port of this machine that can be cut, as a network may be: nothing comes through, and nobody is told. */
import { fileURLToPath } from "node:url";
import { limited } from "../_limit.ts";

/** The link runs in a process of its own, which prints its port. */
export class Link {
  readonly port: number;
  readonly #child: Deno.ChildProcess;
  readonly #told: ReadableStreamDefaultReader<Uint8Array>;

  private constructor(
    child: Deno.ChildProcess,
    told: ReadableStreamDefaultReader<Uint8Array>,
    port: number,
  ) {
    this.#child = child;
    this.#told = told;
    this.port = port;
  }

  static async to(port: number): Promise<Link> {
    const script = fileURLToPath(import.meta.url);
    const args = ["run", "-A", "--no-check", script, `${port}`];
    const child = new Deno.Command(Deno.execPath(), { args, stdout: "piped" }).spawn();
    const told = child.stdout.getReader();
    const { value } = await limited("the port of a link", told.read());
    return new Link(child, told, Number(new TextDecoder().decode(value)));
  }

  /** Nothing comes through, and nobody is told. */
  cut(): void {
    this.#child.kill("SIGSTOP");
  }

  heal(): void {
    this.#child.kill("SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#told.cancel();
    await limited("the end of a link", this.#child.status);
  }
}

if (import.meta.main) {
  const target = Number(Deno.args[0]);
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  console.log((listener.addr as Deno.NetAddr).port);
  for await (const near of listener) {
    const far = await Deno.connect({ hostname: "127.0.0.1", port: target }).catch(() => null);
    // Whoever was there has ended.
    if (far === null) {
      near.close();
      continue;
    }
    near.readable.pipeTo(far.writable).catch(() => {});
    far.readable.pipeTo(near.writable).catch(() => {});
  }
}
