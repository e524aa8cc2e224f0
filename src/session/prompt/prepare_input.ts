/**
 * What a prompt becomes on the wire. Most are text alone: the rest is loaded with the first attachment.
 * @module
 */
import type { JsonObject } from "../../json.ts";
import { hostProbe, unrestrictedProbe } from "../../permissions/mod.ts";
import type { Attachment } from "../../prompt.ts";
import { isRemote, type RuntimeCore } from "../../runtime/mod.ts";
import { refuseNothing, textItem } from "./input_text.ts";

/** Turns a prompt into input items for a session in this directory and this model; rejects when a file is missing. */
export async function prepareInput(
  core: RuntimeCore,
  cwd: string,
  text: string,
  attachments: readonly Attachment[],
  model: string | null,
  signal?: AbortSignal,
): Promise<JsonObject[]> {
  if (attachments.length === 0) {
    refuseNothing(text, attachments);
    return [textItem(text, [])!];
  }
  const { buildInput, filesOf, withSkills } = await import("./attachments.ts");
  const { checkMedia } = await import("./media.ts");
  const remote = isRemote(core.config);
  const files = filesOf(remote);
  const input = await buildInput({ text, attachments: [...attachments] }, {
    cwd,
    serverVersion: core.server.version,
    probe: remote ? unrestrictedProbe : hostProbe(),
    files,
  });
  await checkMedia(input, core, model, signal);
  return await withSkills(input, core, cwd, files, signal);
}
