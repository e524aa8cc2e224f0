/** On a terminal nobody is asked for a permission that the script lacks: nothing would go on until somebody answers. Linux. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { test } from "../_harness.ts";
import { tempDir } from "../_temp.ts";

const SCRIPT = fileURLToPath(new URL("./_terminal_script.ts", import.meta.url));

if (Deno.build.os === "linux") {
  for (const revoked of ["", "read,write,sys"]) {
    const when = revoked === "" ? "were never given" : "were revoked";
    test(`no terminal is asked for permissions that ${when}`, async () => {
      await using place = await tempDir("terminal-");
      const flags = revoked === "" ? "--allow-read=/nowhere" : "-A";
      const command =
        `'${Deno.execPath()}' run --no-check ${flags} '${SCRIPT}' '${place.path}' ${revoked}`;
      const { stdout } = await new Deno.Command("script", {
        args: ["-qec", command, "/dev/null"],
        env: { NO_COLOR: "1" },
        // A question is waited for without end.
        signal: AbortSignal.timeout(100_000),
        stdin: "null",
        stderr: "null",
      }).output();
      const said = new TextDecoder().decode(stdout);
      assert.doesNotMatch(said, /requests|Allow\?/);
      assert.match(said, /on a terminal: true/);
      assert.match(said, /asked nobody/, said);
    });
  }
}
