/** The lines that the benchmarks read: what codex 0.169 writes while a model talks. */

/** Ids in the server's form. */
export const TURN_ID = "01a20000-0000-7000-8000-0000000000ff";
/** The message that grows. */
export const ITEM_ID = "msg_0f3a9c1e77d24b5c";

const encoder = new TextEncoder();

/** The id of the nth thread. */
export function threadId(n = 0): string {
  return `01a20000-0000-7000-8000-${String(n).padStart(12, "0")}`;
}

/** The nth piece of text: words of a model; 1 in 50 holds characters beyond ASCII, 1 in 16 an escape. */
export function piece(n: number): string {
  if (n % 50 === 7) return " naïve café — ok";
  if (n % 16 === 3) return ' "it"\n';
  return [" the", " model", " says", " something", " of", " interest", " here", "."][n % 8]!;
}

/** One delta line, about 233 bytes long, without its newline. */
export function deltaLine(n: number, thread: string = threadId(), turn: string = TURN_ID): string {
  return `{"method":"item/agentMessage/delta","params":{"threadId":"${thread}",` +
    `"turnId":"${turn}","itemId":"${ITEM_ID}","delta":${JSON.stringify(piece(n))}},` +
    `"emittedAtMs":1795367082387}`;
}

/** A line of the method, any size: a command's output as it is completed. */
export function longLine(bytes: number): string {
  const head =
    `{"method":"item/completed","params":{"item":{"type":"commandExecution","id":"call_1",` +
    `"command":"cat big","status":"completed","aggregatedOutput":"`;
  const tail = `","exitCode":0},"threadId":"${threadId()}","turnId":"${TURN_ID}"},"emittedAtMs":1}`;
  const word = "0123456789 some output of a command, with a few escapes\\n";
  const room = Math.max(0, bytes - head.length - tail.length);
  return head + word.repeat(Math.floor(room / word.length)) + tail;
}

/** Lines as one block of bytes. */
export function block(lines: Iterable<string>): Uint8Array {
  return encoder.encode([...lines].join("\n") + "\n");
}

/** The chunks a pipe delivers. */
export function chunks(bytes: Uint8Array, size = 65_536): Uint8Array[] {
  const all: Uint8Array[] = [];
  // Copies, as a pipe's chunks are: views of one buffer would be cheaper to look at.
  for (let at = 0; at < bytes.length; at += size) all.push(bytes.slice(at, at + size));
  return all;
}
