/** What other ecosystems expect is what the adapters give, without a cast; `deno check` is the test. */
import type { LanguageModelV4, LanguageModelV4StreamPart } from "npm:@ai-sdk/provider@4.0.38";
import { generateText, type UIMessageChunk, wrapLanguageModel } from "npm:ai@7.0.173";
import { agUi, aiSdk, type Client, type Session } from "../../mod.ts";

export async function models(client: Client, cwd: string): Promise<void> {
  const model: LanguageModelV4 = aiSdk.codexModel(client, { cwd, effort: "low" });
  await generateText({ model: aiSdk.codexModel(client, { cwd }), prompt: "x" });
  wrapLanguageModel({ model: aiSdk.codexModel(client, { cwd }), middleware: {} });
  const { stream } = await model.doStream({ prompt: [] });
  const parts: ReadableStream<LanguageModelV4StreamPart> = stream;
  // @ts-expect-error: a call's signal is given to the call
  aiSdk.codexModel(client, { cwd, signal: AbortSignal.abort() });
  return void parts;
}

export async function streams(session: Session): Promise<void> {
  const chunks: ReadableStream<UIMessageChunk> = aiSdk.toUIMessageStream(
    await session.askStream("x"),
  );
  for await (const event of agUi.toEvents(await session.askStream("x"))) {
    if (event.type === "TEXT_MESSAGE_CONTENT") console.log(event.delta.length);
  }
  return void chunks;
}
