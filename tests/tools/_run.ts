/** Runs programs for the tools: output is passed through as it comes and kept. */

/** How a program ended. */
export interface Outcome {
  code: number;
  /** Everything it printed, without colours. */
  output: string;
}

/** Runs a program in the checkout, without stdin. */
export async function run(
  program: string,
  args: string[],
  options: { quiet?: boolean; env?: Record<string, string>; prefix?: string } = {},
): Promise<Outcome> {
  const child = new Deno.Command(program, {
    args,
    cwd: new URL("../..", import.meta.url),
    env: { DENO_NO_UPDATE_CHECK: "1", ...options.env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let output = "";
  const follow = async (stream: ReadableStream<Uint8Array>, to: typeof Deno.stdout) => {
    const decoder = new TextDecoder();
    let line = "";
    for await (const chunk of stream) {
      const text = decoder.decode(chunk, { stream: true });
      output += text;
      if (options.quiet === true) continue;
      if (options.prefix === undefined) {
        to.writeSync(chunk);
        continue;
      }
      // Programs side by side: whole lines, each with the name of its own.
      line += text;
      const end = line.lastIndexOf("\n") + 1;
      const whole = line.slice(0, end).replaceAll(/^/gm, `${options.prefix} `).slice(
        0,
        -options.prefix.length - 1,
      );
      if (end > 0) to.writeSync(new TextEncoder().encode(whole));
      line = line.slice(end);
    }
  };
  await Promise.all([follow(child.stdout, Deno.stdout), follow(child.stderr, Deno.stderr)]);
  const { code } = await child.status;
  // deno-lint-ignore no-control-regex
  return { code, output: output.replace(/\x1b\[[0-9;]*m/g, "") };
}

/** True when a path of the checkout exists. */
export function exists(path: string): boolean {
  try {
    Deno.statSync(new URL(`../../${path}`, import.meta.url));
    return true;
  } catch {
    return false;
  }
}

/** Seconds since `started`, for people. */
export function seconds(started: number): string {
  return `${((performance.now() - started) / 1000).toFixed(1)} s`;
}
