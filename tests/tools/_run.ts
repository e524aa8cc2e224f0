/** Runs programs for the tools: output is passed through as it comes and kept. */

/** How a program ended. */
export interface Outcome {
  code: number;
  /** Every line it printed, without colours. */
  output: string;
  /** It printed nothing for too long and was killed. */
  killed: boolean;
}

/** Runs a program in the checkout, without stdin; kills it when it prints nothing for `silenceMs`. */
export async function run(
  program: string,
  args: string[],
  options: {
    quiet?: boolean;
    env?: Record<string, string>;
    prefix?: string;
    silenceMs?: number;
  } = {},
): Promise<Outcome> {
  const child = new Deno.Command(program, {
    args,
    cwd: new URL("../..", import.meta.url),
    env: { DENO_NO_UPDATE_CHECK: "1", ...options.env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const silence = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const heard = () => {
    clearTimeout(timer);
    if (options.silenceMs === undefined || silence.signal.aborted) return;
    timer = setTimeout(() => {
      silence.abort();
      child.kill("SIGKILL");
    }, options.silenceMs);
  };
  heard();
  let output = "";
  const follow = async (stream: ReadableStream<Uint8Array>, to: typeof Deno.stdout) => {
    const decoder = new TextDecoder();
    let rest = "";
    // Two streams side by side, and with a prefix two programs: whole lines only.
    const show = (lines: string) => {
      output += lines;
      if (options.quiet === true || lines === "") return;
      const shown = options.prefix === undefined
        ? lines
        : lines.replaceAll(/^(?=[^])/gm, `${options.prefix} `);
      to.writeSync(new TextEncoder().encode(shown));
    };
    const reader = stream.getReader();
    // Its own children may keep the pipe open.
    silence.signal.addEventListener("abort", () => void reader.cancel().catch(() => {}));
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      heard();
      rest += decoder.decode(value, { stream: true });
      const end = rest.lastIndexOf("\n") + 1;
      show(rest.slice(0, end));
      rest = rest.slice(end);
    }
    if (rest !== "") show(`${rest}\n`);
  };
  await Promise.all([follow(child.stdout, Deno.stdout), follow(child.stderr, Deno.stderr)]);
  const { code } = await child.status;
  clearTimeout(timer);
  // deno-lint-ignore no-control-regex
  const plain = output.replace(/\x1b\[[0-9;]*m/g, "");
  return { code, output: plain, killed: silence.signal.aborted };
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
