/**
 * Generates `src/protocol/generated/` from the schema of the pinned codex.
 *
 *     deno task protocol                      writes the files
 *     deno task protocol --check              exits 1 when they differ from what would be written
 *     deno task protocol --baseline VERSION   keeps what an older codex sends, to be listed in `OLDER`
 *
 * @module
 */
import { writeBaseline } from "./baseline.ts";
import { readBundle } from "./codex.ts";
import { emitInventory, emitMethods } from "./emit_methods.ts";
import { emitSchema } from "./emit_schema.ts";
import { emitTypes } from "./emit_types.ts";
import { methodsOf } from "./methods.ts";
import { buildProtocol, PINNED } from "./protocol.ts";

const TARGET = new URL("../generated/", import.meta.url);

async function main(args: string[]): Promise<number> {
  const [mode, version] = args;
  if (mode === "--baseline" && version !== undefined) {
    const methods = methodsOf(await readBundle(PINNED, true), null);
    await writeBaseline(version, new Set(methods.map((method) => method.name)));
    return 0;
  }
  if (mode !== undefined && mode !== "--check") {
    console.error(`unknown option ${mode}: use --check or --baseline VERSION`);
    return 2;
  }
  const { protocol, differences } = await buildProtocol();
  const files: Record<string, string> = {
    "types.ts": emitTypes(protocol),
    "schema.ts": emitSchema(protocol),
    "methods.ts": emitMethods(protocol),
    "inventory.ts": emitInventory(protocol),
  };
  if (mode === "--check") return await check(files);
  await Deno.mkdir(TARGET, { recursive: true });
  for (const [name, text] of Object.entries(files)) {
    await Deno.writeTextFile(new URL(name, TARGET), text);
  }
  for (const difference of differences) console.log(`differs: ${difference}`);
  for (const kind of new Set(protocol.methods.map((method) => method.kind))) {
    const all = protocol.methods.filter((method) => method.kind === kind);
    const stable = all.filter((method) => !method.experimental);
    console.log(`${kind}: ${stable.length} stable, ${all.length} in all`);
  }
  console.log(`${protocol.definitions.size} definitions of codex ${protocol.version}`);
  return 0;
}

async function check(files: Record<string, string>): Promise<number> {
  let stale = 0;
  for (const [name, text] of Object.entries(files)) {
    const found = await Deno.readTextFile(new URL(name, TARGET)).catch(() => null);
    if (found === text) continue;
    console.error(`src/protocol/generated/${name} is stale: run \`deno task protocol\``);
    stale++;
  }
  return stale === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
