/**
 * A chat page on the web bridge: plain modules, no build step.
 *
 * What is shown is a model of turns and items. The client tells a snapshot of the session and then its events; after a gap,
 * such as a restart of the server, it tells a new snapshot, which is merged into what is there.
 */
import { connect } from "../../src/web/browser.ts";
import { describe, h, showItem, visible } from "./view.js";

const bridge = connect("/codex");
const $ = (id) => document.getElementById(id);
const store = { session: null, turns: [], approvals: new Map(), stop: new AbortController() };
const views = new WeakMap();

function toast(message) {
  $("toast").textContent = message;
  $("toast").hidden = message === "";
}

/** Runs an action of the user; what goes wrong is shown. */
async function attempt(action) {
  try {
    toast("");
    return await action();
  } catch (error) {
    toast(error.message);
  }
}

// The model: turns with items, in the server's own words.

function turnOf(turnId) {
  let turn = store.turns.find((each) => each.turnId === turnId);
  if (turn === undefined) {
    turn = { turnId, status: "inProgress", items: [], usage: null, error: null, notice: null };
    store.turns.push(turn);
  }
  return turn;
}

function itemOf(turn, id, type) {
  let item = turn.items.find((each) => each.id === id);
  if (item === undefined) turn.items.push(item = { id, type });
  return item;
}

function apply(event) {
  if (event.type === "approvalRequested") store.approvals.set(event.request.id, event.request);
  if (event.type === "approvalResolved") store.approvals.delete(event.audit.id);
  if (event.type.startsWith("approval")) return showApprovals();
  if (!event.turnId) return;
  const turn = turnOf(event.turnId);
  switch (event.type) {
    case "itemStarted":
    case "itemCompleted":
    case "commandFinished":
      return touch(Object.assign(itemOf(turn, event.item.id), event.item), turn);
    case "assistantMessageDelta": {
      const item = itemOf(turn, event.itemId, "agentMessage");
      item.text = (item.text ?? "") + event.delta;
      return touch(item, turn);
    }
    case "reasoningDelta": {
      const item = itemOf(turn, event.itemId, "reasoning");
      item.summary = [(item.summary ?? []).join("\n") + event.delta];
      return touch(item, turn);
    }
    case "commandOutputDelta": {
      const item = itemOf(turn, event.itemId, "commandExecution");
      item.aggregatedOutput = (item.aggregatedOutput ?? "") + event.delta;
      return touch(item, turn);
    }
    case "tokenUsage":
      turn.usage = event.usage;
      break;
    case "warning":
    case "retrying":
      turn.notice = event.message;
      break;
    case "turnCompleted":
      Object.assign(turn, { status: event.status, error: event.error, notice: null });
      for (const [id, request] of store.approvals) {
        if (request.turnId === turn.turnId) store.approvals.delete(id);
      }
      showApprovals();
      $("said").textContent = `The turn is ${event.status}.`;
      break;
  }
  touch(turn, turn);
}

const textLength = (turn) => turn.items.reduce((sum, { text }) => sum + (text ?? "").length, 0);

/**
 * What was shown and what a snapshot knows. The server's word counts; but text of a turn that died with an earlier server
 * is nowhere else, and stays.
 */
function merge(shown, known) {
  const result = known.map((turn) => {
    const before = shown.find(({ turnId }) => turnId === turn.turnId);
    if (before === undefined) return turn;
    const cut = turn.status !== "completed" && textLength(before) > textLength(turn);
    return { ...turn, items: cut ? before.items : turn.items, usage: turn.usage ?? before.usage };
  });
  for (const [i, turn] of shown.entries()) {
    if (result.some(({ turnId }) => turnId === turn.turnId)) continue;
    const status = turn.status === "inProgress" ? "interrupted" : turn.status;
    const at = result.findIndex(({ turnId }) => turnId === shown[i - 1]?.turnId);
    result.splice(at + 1, 0, { ...turn, status });
  }
  return result;
}

// The connection.

async function open(sessionId) {
  store.stop.abort();
  const stop = new AbortController();
  const session = sessionId === null ? null : bridge.session(sessionId);
  Object.assign(store, { session, stop, turns: [], approvals: new Map() });
  history.replaceState(null, "", sessionId === null ? "/" : `#${sessionId}`);
  render();
  if (session === null) return;
  await new Promise((shown) => follow(session, stop.signal, shown));
}

/** Shows what happens in a session, until another is opened. `shown` is called with the first that is. */
async function follow(session, signal, shown) {
  try {
    for await (const event of session.events({ signal, onLink: link })) {
      if (event.type === "snapshot") take(event.snapshot);
      else apply(event);
      shown();
    }
  } catch (error) {
    if (error.reason !== "notFound") toast(error.message);
  }
  shown();
  if (!signal.aborted) await attempt(() => open(null).then(listSessions));
}

function take(snapshot) {
  store.turns = merge(store.turns, snapshot.turns);
  store.approvals = new Map(snapshot.approvals.map(({ request }) => [request.id, request]));
  render();
}

function link(state) {
  $("link").dataset.state = state;
  $("link").textContent = state;
}

// The page.

const dirty = new Set();

/** Shows what changed with the next frame. */
function touch(thing, turn) {
  if (dirty.size === 0) requestAnimationFrame(() => paint());
  dirty.add(thing).add(turn);
}

function paint() {
  const log = $("log");
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  for (const thing of dirty) if (thing.items === undefined) refresh(thing);
  for (const thing of dirty) if (thing.items !== undefined) showTurn(thing);
  dirty.clear();
  showHead();
  if (atEnd) log.scrollTo({ top: log.scrollHeight, behavior: "instant" });
}

function render() {
  $("turns").replaceChildren();
  for (const turn of store.turns) showTurn(turn);
  showHead();
  showApprovals();
  $("log").scrollTo({ top: $("log").scrollHeight, behavior: "instant" });
}

function showTurn(turn) {
  let view = views.get(turn);
  if (view === undefined) {
    view = h("section", { "aria-label": "Turn" });
    views.set(turn, view);
  }
  if (!view.isConnected) $("turns").append(view);
  const running = turn.status === "inProgress";
  view.className = running ? "turn running" : "turn";
  view.dataset.status = turn.status;
  const notes = [];
  if (running && turn.notice !== null) notes.push(h("p", { class: "note" }, turn.notice));
  if (running && turn.items.length < 2) notes.push(h("p", { class: "note" }, "Working…"));
  if (turn.status === "interrupted") notes.push(h("p", { class: "note" }, "Stopped."));
  else if (!running && turn.status !== "completed") {
    notes.push(h("p", { class: "note bad" }, turn.error?.message ?? `The turn ${turn.status}.`));
  }
  view.replaceChildren(...turn.items.map((item) => views.get(item) ?? refresh(item)), ...notes);
}

/** Makes an item's element anew, in its place. */
function refresh(item) {
  const old = views.get(item);
  const view = showItem(item);
  // What the reader has opened or closed stays so.
  if (old?.dataset.touched) Object.assign(view, { open: old.open }).dataset.touched = "1";
  views.set(item, view);
  old?.replaceWith(view);
  return view;
}

function showHead() {
  const running = store.turns.at(-1)?.status === "inProgress";
  $("empty").hidden = store.turns.length > 0;
  $("stop").hidden = !running;
  $("send").textContent = running ? "Steer" : "Send";
  const first = store.turns[0]?.items.find(({ type }) => type === "userMessage");
  const title = first?.content?.[0]?.text?.split("\n")[0] ?? "New chat";
  $("title").textContent = title;
  document.title = `${title} · Codex chat`;
  const usage = store.turns.findLast((turn) => turn.usage !== null)?.usage;
  const count = (n) => n.toLocaleString("en");
  $("usage").replaceChildren(...(usage ? [`${count(usage.thread.totalTokens)} tokens`] : []));
  if (!usage) return;
  const detail = ` · ${count(usage.inputTokens)} in, ${count(usage.outputTokens)} out`;
  $("usage").append(h("span", { class: "wide" }, detail));
}

async function listSessions() {
  const sessions = await bridge.sessions();
  $("sessions").replaceChildren(...sessions.map(({ sessionId, title }) => {
    const current = sessionId === store.session?.sessionId ? { "aria-current": "page" } : {};
    const choose = () => {
      menu(false);
      open(sessionId).then(listSessions);
    };
    return h(
      "li",
      {},
      h("button", { type: "button", ...current, onclick: choose }, title ?? "New chat"),
      h("button", {
        type: "button",
        class: "close",
        "aria-label": `Close ${title ?? "New chat"}`,
        onclick: () => attempt(() => closeChat(sessionId)),
      }, "×"),
    );
  }));
  return sessions;
}

async function closeChat(sessionId) {
  await bridge.session(sessionId).close();
  if (store.session?.sessionId === sessionId) await open(null);
  await listSessions();
}

// Questions.

/** Milliseconds before what a question asks can be accepted. */
const READING_MS = 700;

function showApprovals() {
  const [request] = store.approvals.values();
  const waiting = store.approvals.size;
  $("waiting").hidden = waiting === 0;
  $("waiting").firstElementChild.textContent = waiting === 1
    ? "1 question waits for you"
    : `${waiting} questions wait for you`;
  const dialog = $("ask");
  if (dialog.dataset.id === request?.id) return;
  dialog.close();
  dialog.firstElementChild.replaceChildren();
  delete dialog.dataset.id;
  if (request !== undefined) askFor(request);
}

function askFor(request) {
  const dialog = $("ask");
  dialog.dataset.id = request.id;
  const form = dialog.firstElementChild;
  const [title, ...details] = describe(request);
  const fields = (request.questions ?? []).map((question) => {
    const list = `options-${question.id}`;
    const options = (question.options ?? []).map(({ label }) => h("option", { value: label }));
    const type = question.isSecret ? "password" : "text";
    const input = h("input", { name: question.id, type, list, autocomplete: "off" });
    return h(
      "label",
      {},
      visible(question.question),
      input,
      h("datalist", { id: list }, ...options),
    );
  });
  const answered = () => {
    store.approvals.delete(request.id);
    showApprovals();
    $("text").focus();
  };
  const answer = (body) => (event) => {
    event.preventDefault();
    attempt(async () => {
      try {
        await store.session.answer(request.id, body());
      } catch (error) {
        // One that still waits stays to be answered.
        if (["alreadyAnswered", "notFound"].includes(error.reason)) answered();
        throw error;
      }
      answered();
    });
  };
  const say = (label, decision, props = {}) =>
    h("button", { type: "button", ...props, onclick: answer(() => ({ decision })) }, label);
  const values = () => ({ answers: Object.fromEntries(new FormData(form)) });
  const yes = fields.length > 0
    ? [h("button", { type: "button", class: "primary", onclick: answer(values) }, "Answer")]
    : [
      say("Accept for this session", "acceptForSession", { disabled: true }),
      say("Accept", "accept", { class: "primary", disabled: true }),
    ];
  // The second click of two was meant for what stood here before, and consents to nothing.
  setTimeout(() => yes.forEach((button) => button.disabled = false), READING_MS);
  // Enter in a field answers; without this it would close the dialog, and the answer be gone.
  form.onsubmit = (event) => fields.length > 0 ? answer(values)(event) : event.preventDefault();
  form.replaceChildren(
    h("h2", { id: "ask-title" }, title),
    ...details,
    ...fields,
    h("div", { class: "actions" }, say("Decline", "decline"), ...yes),
  );
  dialog.showModal();
  // The harmless answer is the one that a careless Enter gives.
  form.querySelector("input, .actions button").focus();
}

// What people do.

async function send() {
  const text = $("text").value.trim();
  if (text === "") return;
  await attempt(async () => {
    if (store.session === null) await open((await bridge.createSession()).sessionId);
    const { session, turns } = store;
    const running = turns.at(-1);
    if (running?.status === "inProgress") await session.steer(running.turnId, text);
    else {
      const model = $("model").value;
      const effort = $("effort").value;
      await session.ask({ text, ...(model && { model }), ...(effort && { effort }) });
    }
    $("text").value = "";
    grow();
    await listSessions();
  });
}

function grow() {
  const text = $("text");
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight}px`;
}

function menu(open) {
  $("side").classList.toggle("open", open);
  $("menu").setAttribute("aria-expanded", String(open));
}

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
$("text").addEventListener("input", grow);
$("text").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
});
$("stop").addEventListener(
  "click",
  () => attempt(() => store.session.interrupt(store.turns.at(-1).turnId)),
);
$("new").addEventListener("click", () => {
  menu(false);
  open(null).then(listSessions);
  $("text").focus();
});
$("menu").addEventListener("click", () => menu(!$("side").classList.contains("open")));
$("log").addEventListener("click", () => menu(false));
$("waiting").firstElementChild.addEventListener("click", () => {
  const [request] = store.approvals.values();
  if (request !== undefined) askFor(request);
});
for (const idea of $("ideas").children) {
  idea.addEventListener("click", () => {
    $("text").value = idea.textContent;
    send();
  });
}

attempt(async () => {
  const { models, efforts } = await bridge.settings();
  $("model").hidden = models.length < 2;
  $("model").append(...models.map((model) => h("option", {}, model)));
  $("effort").append(
    h("option", { value: "" }, "effort"),
    ...efforts.map((e) => h("option", {}, e)),
  );
  const wanted = location.hash.slice(1);
  const sessions = await listSessions();
  const found = sessions.find(({ sessionId }) => sessionId === wanted);
  if (found !== undefined) await open(found.sessionId).then(listSessions);
});
