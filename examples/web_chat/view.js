/** What things look like: elements from the server's own words, never HTML. */

/** Makes an element. */
export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (typeof value === "boolean") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** One item of a turn. */
export function showItem(item) {
  switch (item.type) {
    case "userMessage": {
      const texts = (item.content ?? []).map(({ text, type }) => text ?? `[${type}]`);
      return h("div", { class: "user" }, texts.join("\n"));
    }
    case "agentMessage":
      return h("div", { class: "agent" }, ...markdown(item.text ?? ""));
    case "reasoning":
      return card("Thinking", null, [
        h("p", { class: "think" }, (item.summary ?? []).join("\n") || "…"),
      ]);
    case "commandExecution": {
      const output = item.aggregatedOutput ?? "";
      const title = h("code", {}, script(item.command ?? ""));
      const open = item.status !== "completed" || output.length < 2000;
      return card(title, badge(item), output === "" ? [] : [h("pre", {}, output)], open);
    }
    case "fileChange": {
      const changes = item.changes ?? [];
      const names = changes.map(({ path }) => path.split(/[\\/]/).pop()).join(", ");
      return card(h("code", {}, `edit ${names}`), badge(item), changes.map(showDiff), true);
    }
    default:
      return h("p", { class: "note" }, item.type.replace(/[A-Z]/g, (c) => ` ${c.toLowerCase()}`));
  }
}

function card(title, extra, children, open = false) {
  const touched = (event) => event.currentTarget.parentElement.dataset.touched = "1";
  const summary = h("summary", { onclick: touched }, title, extra);
  return h("details", { class: "card", open }, summary, ...children);
}

function badge({ status, exitCode }) {
  if (status === "inProgress") return h("span", { class: "badge" }, "running");
  if (status === "completed") return h("span", { class: "badge good" }, "✓ done");
  const why = status === "failed" && typeof exitCode === "number"
    ? `failed, exit ${exitCode}`
    : status;
  return h("span", { class: "badge bad" }, `✕ ${why}`);
}

function showDiff({ kind, diff }) {
  const type = kind?.type ?? kind;
  const sign = type === "add" ? "+" : type === "delete" ? "-" : "";
  const lines = diff.replace(/\n$/, "").split("\n").map((line) => sign + line);
  const style = (line) =>
    line.startsWith("@@") ? "hunk" : { "+": "add", "-": "del" }[line[0]] ?? "same";
  return h(
    "pre",
    { class: "diff" },
    ...lines.map((line) => h("span", { class: style(line) }, line || " ")),
  );
}

/** The script inside `bash -lc '…'`, which is what a person wants to read. */
function script(command) {
  const inner = /^\S*sh -l?c (?:'([\s\S]*)'|"([\s\S]*)"|([^'"][\s\S]*))$/.exec(command);
  return inner === null ? command : inner[1] ?? inner[2] ?? inner[3];
}

/** The Markdown that answers use most, as elements: no answer can bring its own HTML. */
function markdown(source) {
  return source.split(/(^```[\s\S]*?(?:^```$|$(?![\s\S])))/m).flatMap((part) => {
    if (part.startsWith("```")) {
      const code = part.replace(/^```.*\n?/, "").replace(/\n?```$/, "");
      return [h("pre", {}, h("code", {}, code))];
    }
    return part.split(/\n{2,}/).filter((text) => text.trim() !== "").map(block);
  });
}

function block(text) {
  const lines = text.replace(/^\n+|\n+$/g, "").split("\n");
  const heading = /^(#{1,4}) (.*)$/.exec(lines[0]);
  if (heading !== null && lines.length === 1) return h("h3", {}, ...inline(heading[2]));
  const bullet = /^\s*(?:[-*]|\d+\.) /;
  if (lines.every((line) => bullet.test(line))) {
    const items = lines.map((line) => h("li", {}, ...inline(line.replace(bullet, ""))));
    return h(/^\s*\d/.test(lines[0]) ? "ol" : "ul", {}, ...items);
  }
  return h("p", {}, ...lines.flatMap((line, i) => [i > 0 ? h("br") : null, ...inline(line)]));
}

function inline(text) {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part) => {
    if (/^`.+`$/.test(part)) return h("code", {}, part.slice(1, -1));
    return /^\*\*.+\*\*$/.test(part) ? h("strong", {}, part.slice(2, -2)) : part;
  });
}

/**
 * A text as what it is: control characters, characters that turn the direction of writing, and long blanks are shown, since
 * whoever wrote the text decides what a person sees of it.
 */
export function visible(text) {
  return text
    .replace(/(?:[ \t]*\n){4,}/g, (run) => `\n⟨${run.split("\n").length - 1} line breaks⟩\n`)
    .replace(
      /[ \t]{8,}|\t{4,}/g,
      (run) => `⟨${run.length} ${BLANKS[run.replace(/(.)\1+/g, "$1")] ?? "blanks"}⟩`,
    )
    .replace(UNSEEN, (char) => `⟨U+${char.codePointAt(0).toString(16).toUpperCase()}⟩`);
}

const BLANKS = { " ": "spaces", "\t": "tabs" };

/** Control and format characters, blanks of other widths, and letters that look like none. */
const UNSEEN = /(?![\n\t ])[\p{Cc}\p{Cf}\p{Z}\u2800\p{Default_Ignorable_Code_Point}]/gu;

/** What a question asks: a title, and all that a consent would allow. */
export function describe(request) {
  const line = (...texts) => h("p", {}, texts.map((text) => visible(`${text}`)).join(" "));
  const block = (value) =>
    h("pre", {}, visible(typeof value === "string" ? value : JSON.stringify(value, null, 1)));
  const why = request.reason ? [line(request.reason)] : [];
  switch (request.type) {
    case "command": {
      const { action, network, additionalPermissions: more } = request;
      return [
        network !== null
          ? `Let it reach ${visible(network.host)}?`
          : action === "writeStdin"
          ? "Type this into a running command?"
          : "Run this command?",
        block(request.script ?? request.command ?? "(unknown command)"),
        ...why,
        line("in", request.cwd ?? "an unknown directory"),
        ...(more === null ? [] : [line("with these permissions:"), block(more)]),
      ];
    }
    case "fileChange":
      return [
        "Change these files?",
        ...why,
        ...(request.changes ?? []).flatMap((change) => [
          line(change.kind, change.path, ...(change.movePath ? ["→", change.movePath] : [])),
          showDiff({ ...change, diff: visible(change.diff) }),
        ]),
        ...(request.changes === null ? [line("Codex does not tell which.")] : []),
        ...(request.grantRoot ? [line("and write anywhere in", request.grantRoot)] : []),
      ];
    case "permissions":
      return ["Grant these permissions?", block(request.permissions), ...why];
    case "userInput":
      return ["The agent has a question"];
    default: {
      const { server, message, url, mcpTool, toolArguments } = request;
      return [
        `${visible(server ?? "The agent")} asks`,
        line(message ?? request.type),
        ...(url ? [line(url)] : []),
        ...(mcpTool ? [line("runs", mcpTool)] : []),
        ...(toolArguments === null ? [] : [block(toolArguments)]),
      ];
    }
  }
}
