// The chat page: joins the parts; only this file knows them all.

import { ApiError, freshenForms, newId, startConversation } from "./api.js";
import { Composer } from "./composer.js";
import { Consent } from "./consent.js";
import { announce, byId, el, startTips } from "./dom.js";
import { dropUnsent, keepChoice, keepDraft, keepUnsent, readChoice, readDraft, unsentOf } from "./drafts.js";
import { SourcePanel } from "./panel.js";
import { setReasons } from "./reasons.js";
import { loadRenderer } from "./render.js";
import { Follower } from "./scroll.js";
import { Sidebar } from "./sidebar.js";
import { ChatSocket } from "./socket.js";
import { greeting, setTexts, t } from "./texts.js";
import { Thread } from "./thread.js";
import { isFinished } from "./turn.js";

const start = JSON.parse(byId("start-data").textContent);
setTexts(start.texts);
setReasons(start.reasons);

let conversation = start.conversation?.id ?? null;
const draftKey = () => conversation ?? "new";

const follower = new Follower(byId("scroll"), byId("jump"), () => byId("start")?.hidden ?? true);
const panel = new SourcePanel(() => conversation);
const sidebar = new Sidebar(() => conversation);
const consent = new Consent(start.consent, start.conversation?.kept_out, () => conversation);
const socket = new ChatSocket({ onEvent, onRefused, onStatus, onError: (_code, message) => banner(message, "wrong") });
const thread = new Thread(byId("thread"), {
  openSource: (turn, n, button) => panel.open(turn, n, button),
  regenerate,
  resend,
  limits: start.limits,
  rated: () => consent.question(),
  changed: () => {
    follower.grown();
    composer.busy = thread.unfinished !== null;
  },
});
const composer = new Composer({
  limit: start.limits.question,
  onSend: send,
  onStop: stop,
  onInput: (text) => keepDraft(draftKey(), text),
});

function newTurn(values) {
  return {
    id: newId(),
    regenerates: null,
    answer: "",
    state: "pending",
    language: "",
    sources: [],
    citations: [],
    unsupported: [],
    notices: [],
    model: "",
    place: "",
    timings: {},
    failure: "",
    rating: null,
    edit: null,
    created: new Date().toISOString(),
    ...values,
  };
}

async function send(text) {
  const turn = newTurn({ question: text, position: thread.lastPosition + 1 });
  byId("start")?.setAttribute("hidden", "");
  thread.add(turn);
  composer.text = "";
  follower.toEnd();
  if (!conversation && !(await begin(turn))) return;
  keepUnsent(turn.id, conversation, text);
  keepDraft(conversation, "");
  keepDraft("new", "");
  socket.ask(turn.id, conversation, text);
}

/** Makes the conversation; a guest gets a session with it. False when it could not be made. */
async function begin(turn) {
  const coach = document.querySelector("input[name=coach]:checked");
  const isPrivate = byId("keep-here")?.checked ?? false;
  try {
    const made = await startConversation(coach?.value ?? "", document.documentElement.lang, isPrivate);
    conversation = made.id;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    takeBack(turn, error.message || t("not_started"));
    return false;
  }
  history.pushState({}, "", `/c/${conversation}/`);
  byId("download").href = `/api/v1/conversations/${conversation}/markdown`;
  byId("download").hidden = false;
  byId("coach-name").textContent = coach?.dataset.name ?? "";
  const title = turn.question.length > 60 ? `${turn.question.slice(0, 59)}…` : turn.question;
  document.title = `${title} · ${document.title}`;
  sidebar.add(conversation, title);
  return true;
}

/** The server did not take the question: it goes back into the field, with the reason. */
function takeBack(turn, reason) {
  thread.remove(turn.id);
  dropUnsent(turn.id);
  if (thread.lastPosition < 0) byId("start")?.removeAttribute("hidden");
  if (!composer.text) composer.text = turn.question;
  keepDraft(draftKey(), composer.text);
  composer.busy = thread.unfinished !== null;
  composer.say(reason, true);
  announce(reason);
  composer.focus();
}

function stop() {
  const turn = thread.unfinished;
  turn.stopping = true;
  socket.stop(turn.id);
  thread.view(turn.id).later();
}

function regenerate(old) {
  if (thread.unfinished) {
    composer.say(t("wait"));
    return;
  }
  const turn = newTurn({ question: old.question, position: old.position, regenerates: old.id, language: old.language });
  thread.add(turn);
  follower.toEnd();
  socket.regenerate(old.id, turn.id);
}

/** The last question in other words, as a sibling of what it was; what is wrong, or nothing. */
function resend(old, text) {
  if (thread.unfinished) return t("wait");
  const turn = newTurn({ question: text, position: old.position, regenerates: old.id });
  thread.add(turn);
  follower.toEnd();
  socket.regenerate(old.id, turn.id, text);
  if (matchMedia("(hover: hover)").matches) composer.focus();
  return null;
}

function onEvent(id, event) {
  if (event.type === "accepted") {
    dropUnsent(id);
    return;
  }
  const view = thread.view(id);
  if (!view) return;
  view.apply(event);
  composer.busy = thread.unfinished !== null;
}

function onRefused(id, code, message) {
  const view = thread.view(id);
  if (!view) return;
  if (view.turn.state !== "pending") view.apply({ type: "failed", message });
  else if (view.turn.regenerates) {
    const old = thread.view(view.turn.regenerates)?.turn;
    thread.remove(id);
    composer.busy = thread.unfinished !== null;
    if (old && old.question !== view.turn.question) thread.editAgain(view.turn, message);
    else composer.say(message, true);
  } else takeBack(view.turn, message);
}

let lost = 0;
let bannerTimer = 0;

function onStatus(status) {
  clearTimeout(lost);
  if (status === "lost") {
    // A restart takes a second: say nothing before that.
    lost = setTimeout(() => banner(t("offline"), "lost"), 1200);
  } else if (status === "open") {
    if (byId("banner").dataset.kind === "lost") banner(t("online"), "ok");
  } else {
    banner(t("signed_out"), "wrong", el("a", { class: "button small", href: location.pathname }, t("reload")));
  }
}

function banner(text, kind, ...more) {
  const box = byId("banner");
  clearTimeout(bannerTimer);
  box.dataset.kind = kind;
  box.replaceChildren(el("span", {}, text), ...more);
  box.hidden = false;
  if (kind === "ok") {
    bannerTimer = setTimeout(() => {
      box.hidden = true;
      box.dataset.kind = "";
    }, 2000);
  }
}

function showStart() {
  byId("greeting").textContent = greeting();
  const radios = [...document.querySelectorAll("input[name=coach]")];
  const choose = (radio) => {
    radio.checked = true;
    for (const list of document.querySelectorAll("[data-firsts]")) list.hidden = list.dataset.firsts !== radio.value;
  };
  for (const radio of radios) {
    radio.addEventListener("change", () => {
      choose(radio);
      keepChoice("coach", radio.value);
    });
  }
  const before = radios.find((radio) => radio.value === readChoice("coach")) ?? radios.find((radio) => radio.checked);
  if (before) choose(before);
  for (const button of document.querySelectorAll(".first")) {
    button.addEventListener("click", () => send(button.textContent.trim()));
  }
}

/** The turns of the loaded page, unfinished ones included, and questions never accepted. */
function restore() {
  for (const turn of start.conversation?.turns ?? []) {
    thread.add({ ...turn, searched: turn.sources.length > 0 });
    if (!isFinished(turn)) socket.resume(turn.id, 0);
    dropUnsent(turn.id);
  }
  for (const { turn, text } of conversation ? unsentOf(conversation) : []) {
    if (thread.has(turn)) continue;
    thread.add(newTurn({ id: turn, question: text, position: thread.lastPosition + 1 }));
    socket.ask(turn, conversation, text);
  }
  composer.text = readDraft(draftKey());
  composer.busy = thread.unfinished !== null;
  follower.grown();
}

if (start.signed_in) socket.connect(); // first: it opens while the rest is done
startTips();
freshenForms();
if (byId("start")) showStart();
restore();
if ("requestIdleCallback" in window) requestIdleCallback(() => loadRenderer());
else setTimeout(loadRenderer, 200);
if (matchMedia("(hover: hover)").matches) composer.focus();
addEventListener("popstate", () => location.reload());
