/**
 * A chat page on the web bridge: plain modules, no build step.
 *
 * What is shown is a model of turns and items. It begins with the session's snapshot and follows the events behind the
 * snapshot's cursor; after a gap (`lagged`, such as a restart of the server) a new snapshot is merged into what is there.
 */
import { describe, h, showItem } from "./view.js";

const API = "/codex";
const $ = (id) => document.getElementById(id);
const store = { sessionId: null, turns: [], approvals: new Map(), cursor: "", source: null };
const views = new WeakMap();
let retry = 0;

async function api(method, path, body) {
  const response = await fetch(API + path, {
    method,
    headers: { "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const result = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw Object.assign(new Error(result.message ?? `The server answered ${response.status}.`), {
      code: result.code,
    });
  }
  return result;
}

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
    toast(error instanceof TypeError ? "The server can't be reached. Try again." : error.message);
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
  store.source?.close();
  const same = store.sessionId === sessionId;
  store.sessionId = sessionId;
  if (!same) Object.assign(store, { turns: [], approvals: new Map() });
  history.replaceState(null, "", sessionId === null ? "/" : `#${sessionId}`);
  if (sessionId === null) return render();
  let snapshot;
  try {
    snapshot = await api("GET", `/sessions/${sessionId}`);
  } catch (error) {
    if (store.sessionId !== sessionId) return;
    if (error.code === "notFound") return open(null);
    return later(() => open(sessionId));
  }
  if (store.sessionId !== sessionId) return;
  store.turns = merge(store.turns, snapshot.turns);
  store.approvals = new Map(snapshot.approvals.map(({ request }) => [request.id, request]));
  store.cursor = snapshot.cursor;
  render();
  follow();
}

/** Follows the events behind the cursor. A browser reconnects by itself, unless the server answers with an error. */
function follow() {
  store.source?.close();
  const { sessionId } = store;
  const url = `${API}/sessions/${sessionId}/events?after=${encodeURIComponent(store.cursor)}`;
  const source = store.source = new EventSource(url);
  source.onopen = () => {
    retry = 0;
    link("connected");
  };
  source.onmessage = ({ data, lastEventId }) => {
    if (source !== store.source) return;
    store.cursor = lastEventId;
    apply(JSON.parse(data));
  };
  source.addEventListener("lagged", () => source === store.source && open(sessionId));
  source.addEventListener("sessionClosed", () => {
    source.close();
    if (source === store.source) open(null).then(listSessions);
  });
  source.onerror = () => {
    if (source !== store.source) return;
    link("reconnecting");
    if (source.readyState === EventSource.CLOSED) later(follow);
  };
}

function later(action) {
  link("reconnecting");
  const { sessionId } = store;
  retry = Math.min(retry + 1, 5);
  setTimeout(() => store.sessionId === sessionId && action(), 300 * 2 ** retry);
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
  const { sessions } = await api("GET", "/sessions");
  $("sessions").replaceChildren(...sessions.map(({ sessionId, title }) => {
    const current = sessionId === store.sessionId ? { "aria-current": "page" } : {};
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
  await api("DELETE", `/sessions/${sessionId}`);
  if (store.sessionId === sessionId) await open(null);
  await listSessions();
}

// Questions.

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
    return h("label", {}, question.question, input, h("datalist", { id: list }, ...options));
  });
  const answer = (body) => (event) => {
    event.preventDefault();
    attempt(() => api("POST", `/sessions/${store.sessionId}/approvals/${request.id}`, body()))
      .then(() => {
        store.approvals.delete(request.id);
        showApprovals();
        $("text").focus();
      });
  };
  const say = (label, decision, style = "") =>
    h("button", { type: "button", class: style, onclick: answer(() => ({ decision })) }, label);
  const values = () => ({ answers: Object.fromEntries(new FormData(form)) });
  const yes = fields.length > 0
    ? [h("button", { type: "button", class: "primary", onclick: answer(values) }, "Answer")]
    : [say("Accept for this session", "acceptForSession"), say("Accept", "accept", "primary")];
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
    if (store.sessionId === null) {
      const { sessionId } = await api("POST", "/sessions", {});
      await open(sessionId);
    }
    const running = store.turns.at(-1);
    const path = `/sessions/${store.sessionId}/turns`;
    if (running?.status === "inProgress") {
      await api("POST", `${path}/${running.turnId}/steer`, { text });
    } else {
      const model = $("model").value;
      const effort = $("effort").value;
      await api("POST", path, { text, ...(model && { model }), ...(effort && { effort }) });
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
$("stop").addEventListener("click", () =>
  attempt(() => {
    const { turnId } = store.turns.at(-1);
    return api("POST", `/sessions/${store.sessionId}/turns/${turnId}/interrupt`);
  }));
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
  const { models, efforts } = await api("GET", "/settings");
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
