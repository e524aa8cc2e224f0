/** Taking apart what the writer has joined. @module */

/** The messages in newline-terminated text. JSON escapes newlines, so none is within a message. */
export function splitMessages(text: string): string[] {
  const messages: string[] = [];
  for (let from = 0; from < text.length;) {
    const newline = text.indexOf("\n", from);
    const to = newline < 0 ? text.length : newline;
    if (to > from) messages.push(text.slice(from, to));
    from = to + 1;
  }
  return messages;
}
