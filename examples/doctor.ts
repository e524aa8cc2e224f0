/**
 * Why does codex not work here? Versions, paths, permissions, login and drift, for a person or, with `--json`, for a bug
 * report. It tells nothing secret. The exit code is 1 when something stands in the way.
 *
 *     deno run --allow-run=codex --allow-read=. examples/doctor.ts --live
 */
import process from "node:process";
import { runtime } from "../mod.ts";
import { setup } from "./_setup.ts";

await using env = await setup([]);
const found = await runtime.diagnose(env.client);

if (process.argv.includes("--json")) console.log(JSON.stringify(found, null, 2));
else print(found);
process.exitCode = found.ok ? 0 : 1;

function print(
  { codex, host, library, login, drift, permissions, environment, problems }: runtime.Diagnosis,
): void {
  const paint = (code: number, text: string) =>
    process.stdout.isTTY ? `\x1b[${code}m${text}\x1b[0m` : text;
  const row = (name: string, value: string | null) =>
    console.log(`  ${paint(2, name.padEnd(12))} ${value ?? "unknown"}`);

  console.log(paint(1, "codex"));
  row(
    "version",
    codex.version === null ? null : `${codex.version} (needs ${codex.required ?? "any"})`,
  );
  row("reached by", codex.transport);
  if (codex.transport === "stdio") {
    row(
      "program",
      codex.path === null
        ? "not found"
        : `${codex.path}${codex.native === true ? " (native)" : ""}`,
    );
    if (codex.path === null) { for (const place of codex.looked) row("", place); }
  }
  row("home", codex.home);
  row("start", codex.startMs === null ? null : `${codex.startMs} ms`);
  row(
    "login",
    login === null ? null : login.type ?? (login.required ? "none" : "none, and none is needed"),
  );

  console.log(paint(1, "here"));
  row("library", library);
  row("runtime", `${host.runtime} ${host.runtimeVersion ?? ""} on ${host.os}-${host.arch}`);
  const set = Object.keys(environment).filter((name) => environment[name] === "set");
  row("variables", set.join(" ") || "none");

  console.log(paint(1, `permissions (held to by: ${permissions.enforcedBy})`));
  for (const { flag, purpose, granted } of permissions.flags) {
    console.log(`  ${granted ? paint(32, "✓") : paint(33, "–")} ${flag}  ${paint(2, purpose)}`);
  }

  if (drift !== null) {
    const { missing, unknown } = drift;
    console.log(paint(1, "protocol"));
    row("missing", missing.length === 0 ? "nothing" : `${missing.length}: ${missing.join(" ")}`);
    row("newer", unknown.length === 0 ? "nothing" : `${unknown.length}: ${unknown.join(" ")}`);
  }

  console.log();
  for (const { code, message } of problems) console.log(`${paint(31, "✗")} ${code}: ${message}`);
  if (problems.length === 0) console.log(`${paint(32, "✓")} codex is ready`);
}
