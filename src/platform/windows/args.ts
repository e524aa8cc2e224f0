/** Command lines for `cmd.exe`, which alone can start `.cmd` launchers on Windows. @module */

/**
 * The arguments that make `cmd.exe` start a `.cmd` file with these arguments, each of them literally.
 * To be passed verbatim: quoting is done here, once for the program and once for `cmd.exe` itself.
 */
export function windowsShellArgs(command: string, args: readonly string[]): string[] {
  // A batch file expands its arguments once more when it hands them on, hence the second escape.
  const line = [
    escapeMeta(command),
    ...args.map((arg) => escapeMeta(escapeMeta(quoteArgument(arg)))),
  ].join(" ");
  return ["/d", "/s", "/c", `"${line}"`];
}

function escapeMeta(text: string): string {
  return text.replace(/([()\][%!^"`<>&|;, *?])/g, "^$1");
}

/** Quotes one argument the way Windows programs parse their command line. */
function quoteArgument(arg: string): string {
  const escaped = arg.replace(/(\\*)"/g, '$1$1\\"').replace(/(\\+)$/, "$1$1");
  return `"${escaped}"`;
}
