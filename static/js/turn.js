// One answer on the page: its states, its text, its sources and what can be done with it.
//
//   pending → running → done | stopped | failed     `apply(event)` moves it, `render` shows it once a frame

import { announce, el, icon, iconButton } from "./dom.js";
import { Improvement, canImprove } from "./improve.js";
import { noticeElement } from "./notices.js";
import { ratingElement } from "./rating.js";
import { showMarkdown } from "./render.js";
import { seconds, t } from "./texts.js";

const SLOW = 9000; // ms without a word before the page says that this is normal
const FINISHED = new Set(["done", "stopped", "failed"]);

export const isFinished = (turn) => FINISHED.has(turn.state);

export class TurnView {
  #frame = 0;
  #slow = 0;
  #place = { index: 0, count: 1, last: true };
  #shownSources = "";

  /** actions: openSource(turn, n, button) · regenerate(turn) · rated() · move(step) · changed() · limits */
  constructor(turn, actions) {
    this.turn = turn;
    this.actions = actions;
    this.top = el("div", { class: "answer-top" });
    this.prose = el("div", { class: "prose", "data-testid": "answer-text" });
    this.status = el("p", { class: "status", "data-testid": "status" }, el("span", { class: "breath", "aria-hidden": "true" }), el("span"));
    this.notes = el("div", { class: "notes" });
    this.sources = el("div", { class: "sources", "data-testid": "sources" });
    this.foot = el("div", { class: "foot" });
    this.improve = iconButton("pencil", t("improve"), { "data-testid": "improve", on: { click: () => this.improvement.open() } });
    this.improvement = new Improvement(turn, {
      ...actions,
      changed: () => this.later(),
      leave: () => this.improve.focus(),
    });
    this.element = el(
      "div",
      { class: "answer", "data-testid": "answer", "data-turn": turn.id },
      el("h3", { class: "sr-only" }, t("coach")),
      el("span", { class: "avatar", "aria-hidden": "true" }, icon("logo", "logo")),
      el("div", { class: "answer-body" }, this.top, this.prose, this.status, this.notes, this.sources, this.foot, this.improvement.element),
    );
    this.prose.addEventListener("click", (event) => {
      const button = event.target.closest(".cite");
      if (button) actions.openSource(this.turn, Number(button.dataset.cite), button);
    });
    this.#wait();
    this.render();
  }

  apply(event) {
    const { type, turn: _turn, seq: _seq, ...data } = event;
    const turn = this.turn;
    if (type === "token") {
      turn.answer += data.text;
    } else if (type === "reset") {
      turn.answer = "";
    } else if (type === "sources") {
      turn.sources = data.sources;
      turn.searched = true;
    } else if (type === "notice") {
      turn.notices = [...turn.notices.filter((notice) => notice.code !== data.code), data];
    } else if (type === "failed") {
      Object.assign(turn, { state: "failed", failure: data.message });
    } else if (type === "done" || type === "stopped") {
      Object.assign(turn, data, { state: type });
    }
    if (isFinished(turn)) this.#finished();
    else if (turn.state === "pending") turn.state = "running";
    this.#wait();
    this.later();
  }

  /** index and count among the siblings; `last`: nothing was asked after it. */
  set place(value) {
    this.#place = value;
    this.later();
  }

  later() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.render();
      this.actions.changed();
    });
  }

  #wait() {
    clearTimeout(this.#slow);
    if (isFinished(this.turn) || this.turn.answer) return;
    this.#slow = setTimeout(() => {
      this.turn.slow = true;
      this.later();
    }, SLOW);
  }

  #finished() {
    clearTimeout(this.#slow);
    const text = this.turn.state === "failed" ? this.turn.failure : this.turn.answer.replace(/\[\d+\]/g, "");
    announce(`${t("answer_finished")} ${text}`);
  }

  render() {
    const turn = this.turn;
    const finished = isFinished(turn);
    this.element.dataset.state = turn.state;
    this.element.lang = turn.language || "";
    this.prose.setAttribute("aria-busy", String(!finished));
    this.prose.classList.toggle("writing", !finished && turn.answer !== "");
    const unsupported = finished ? (turn.unsupported ?? []) : [];
    showMarkdown(this.prose, turn.answer, turn.sources, !finished, { unsupported, tip: t("unsupported") });
    this.status.hidden = finished || (turn.answer !== "" && !turn.stopping);
    this.status.lastElementChild.textContent = statusText(turn);
    this.#renderNotices();
    this.#renderSources(finished);
    if (finished) this.#renderFoot();
    else this.foot.replaceChildren();
  }

  #renderNotices() {
    const key = JSON.stringify([this.turn.notices, this.turn.state]);
    if (this.notes.dataset.key === key) return;
    this.notes.dataset.key = key;
    const isCard = (notice) => notice.code === "safety" && notice.card;
    this.top.replaceChildren(...this.turn.notices.filter(isCard).map(noticeElement));
    const quiet = this.turn.notices.filter((notice) => !isCard(notice)).map(noticeElement);
    if (this.turn.state === "stopped") quiet.push(noticeElement({ code: "stopped", message: t("stopped") }));
    if (this.turn.state === "failed") quiet.push(this.#failure());
    this.notes.replaceChildren(...quiet);
  }

  #failure() {
    return el(
      "div",
      { class: "failure", "data-testid": "failure", role: "alert" },
      el("span", {}, this.turn.failure || t("failed")),
      el(
        "button",
        { type: "button", class: "button small", "data-testid": "retry", on: { click: () => this.actions.regenerate(this.turn) } },
        icon("again"),
        t("try_again"),
      ),
    );
  }

  #renderSources(finished) {
    const turn = this.turn;
    const key = JSON.stringify([finished, turn.sources.map((source) => source.n), finished && [turn.citations, turn.unsupported]]);
    if (this.#shownSources === key) return;
    this.#shownSources = key;
    const chip = (source) => this.#chip(source);
    const cited = turn.citations.map((n) => turn.sources.find((source) => source.n === n)).filter(Boolean);
    const rest = turn.sources.filter((source) => !turn.citations.includes(source.n));
    this.sources.classList.toggle("waiting", !finished);
    if (!finished) {
      this.sources.replaceChildren(el("ul", { class: "chips" }, ...turn.sources.map(chip)));
      return;
    }
    const parts = [];
    if (cited.length) {
      parts.push(el("h4", { class: "sources-title" }, t("sources")), el("ul", { class: "chips", "data-testid": "cited" }, ...cited.map(chip)));
    }
    if (turn.unsupported?.length) parts.push(el("p", { class: "legend", "data-testid": "unsupported-legend" }, t("unsupported_legend")));
    if (rest.length) {
      const summary = el("summary", {}, icon("chevron"), t("also_read", { n: rest.length }));
      parts.push(el("details", { class: "also", "data-testid": "also-read" }, summary, el("ul", { class: "chips" }, ...rest.map(chip))));
    }
    this.sources.replaceChildren(...parts);
  }

  #chip(source) {
    const open = (event) => this.actions.openSource(this.turn, source.n, event.currentTarget);
    return el(
      "li",
      {},
      el(
        "button",
        { type: "button", class: "chip", "data-testid": "source", "data-n": source.n, "data-tip": source.location || null, on: { click: open } },
        el("span", { class: "chip-n" }, String(source.n)),
        el("span", { class: "chip-title" }, ...this.#chipText(source)),
      ),
    );
  }

  /** Two passages of one document are told apart by where they stand in it. */
  #chipText(source) {
    const same = this.turn.sources.filter((other) => other.title === source.title).length > 1;
    if (!same || !source.location) return [source.title];
    return [source.location.split(" › ").at(-1), el("span", { class: "chip-more" }, ` · ${source.title}`)];
  }

  #renderFoot() {
    const { turn } = this;
    const { index, count, last } = this.#place;
    const key = JSON.stringify([turn.state, index, count, last, turn.model]);
    this.#offer();
    if (this.foot.dataset.key === key && this.foot.childElementCount) return;
    this.foot.dataset.key = key;
    const actions = el("div", { class: "actions" });
    if (count > 1) actions.append(this.#siblings(index, count));
    if (turn.answer) {
      actions.append(iconButton("copy", t("copy"), { "data-testid": "copy", on: { click: (event) => copy(turn.answer, event.currentTarget) } }));
    }
    if (last && turn.state !== "failed") {
      actions.append(iconButton("again", t("regenerate"), { "data-testid": "regenerate", on: { click: () => this.actions.regenerate(turn) } }));
    }
    actions.append(this.improve);
    this.foot.replaceChildren(actions);
    if (turn.answer && turn.state !== "failed") this.foot.append(ratingElement(turn, this.actions.rated));
    if (turn.model) this.foot.append(el("p", { class: "made", "data-testid": "model" }, modelText(turn)));
  }

  /** It stays where it is while one writes: nothing slides under the pointer. Not a part of the foot's key, so that
   * what is being written about the rating stays as it is. */
  #offer() {
    this.improve.hidden = !canImprove(this.turn);
    this.improve.setAttribute("aria-expanded", String(this.improvement.isOpen));
  }

  #siblings(index, count) {
    const step = (by, name, label, testid, end) =>
      iconButton(name, t(label), { disabled: index === end, "data-testid": testid, on: { click: () => this.actions.move(by) } });
    return el(
      "div",
      { class: "siblings", "data-testid": "siblings" },
      step(-1, "left", "previous_answer", "previous-answer", 0),
      el("span", { "aria-label": t("answer_of", { n: index + 1, all: count }) }, `${index + 1}/${count}`),
      step(1, "right", "next_answer", "next-answer", count - 1),
    );
  }
}

function statusText(turn) {
  if (turn.stopping) return t("stopping");
  if (turn.slow && turn.searched) return t("still_working");
  const urgent = turn.notices.some((notice) => notice.code === "safety");
  if (!turn.searched) return urgent ? t("thinking") : t("searching");
  if (turn.sources.length === 0) return t("thinking");
  return turn.sources.length === 1 ? t("reading_one") : t("reading_many", { n: turn.sources.length });
}

/** "qwen2.5-coder-1.5b · on this machine · 4.2 s" */
function modelText(turn) {
  const name = turn.model === "guided" ? t("guided_mode") : turn.model.replace(/^[a-z-]+:/, "");
  const place = turn.place === "cloud" ? t("in_the_cloud") : t("on_this_machine");
  const total = turn.timings?.total;
  return [name, place, total ? seconds(Math.max(total, 0.1)) : ""].filter(Boolean).join(" · ");
}

async function copy(text, button) {
  const done = (await copyText(text)) ? "copied" : "copy_failed";
  announce(t(done));
  button.dataset.tip = t(done);
  button.replaceChildren(icon(done === "copied" ? "check" : "alert"));
  setTimeout(() => button.replaceChildren(icon("copy")), 1600);
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // No clipboard on plain http: the old way.
    const area = el("textarea", { class: "sr-only", readonly: true });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
