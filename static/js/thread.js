// The conversation as it is shown: exchanges in order, each with a question and one of its answers.

import { el, iconButton } from "./dom.js";
import { editor } from "./editor.js";
import { clock, t } from "./texts.js";
import { TurnView, isFinished } from "./turn.js";

export class Thread {
  #box;
  #actions;
  #exchanges = new Map(); // position → {element, asked, slot, views, shown, editing}
  #views = new Map(); // turn id → TurnView

  /** actions: openSource(turn, n, button) · regenerate(turn) · resend(turn, text), which gives what is wrong or
   * nothing · rated() · changed() · limits: {question, answer} in characters */
  constructor(box, actions) {
    this.#box = box;
    this.#actions = actions;
  }

  get lastPosition() {
    return Math.max(-1, ...this.#exchanges.keys());
  }

  /** The turn that is being answered, or null. */
  get unfinished() {
    return [...this.#views.values()].map((view) => view.turn).find((turn) => !isFinished(turn)) ?? null;
  }

  has(id) {
    return this.#views.has(id);
  }

  view(id) {
    return this.#views.get(id);
  }

  /** `turn` as the API gives it; a turn at a known position is a sibling and is shown in place of the others. */
  add(turn) {
    const exchange = this.#exchanges.get(turn.position) ?? this.#newExchange(turn);
    const view = new TurnView(turn, {
      ...this.#actions,
      move: (step) => this.#show(exchange, exchange.shown + step),
    });
    exchange.views.push(view);
    this.#views.set(turn.id, view);
    this.#show(exchange, exchange.views.length - 1);
    this.#place();
    return view;
  }

  /** Takes a turn back that the server did not accept. */
  remove(id) {
    const view = this.#views.get(id);
    if (!view) return;
    this.#views.delete(id);
    const exchange = this.#exchanges.get(view.turn.position);
    exchange.views = exchange.views.filter((other) => other !== view);
    if (exchange.views.length) {
      this.#show(exchange, exchange.views.length - 1);
    } else {
      exchange.element.remove();
      this.#exchanges.delete(view.turn.position);
    }
    this.#place();
  }

  #newExchange(turn) {
    const slot = el("div", { class: "slot" });
    const asked = el("div", { class: "asked" });
    const element = el("section", { class: "exchange", "data-testid": "exchange" }, asked, slot);
    const exchange = { element, asked, slot, views: [], shown: 0, editing: false };
    this.#exchanges.set(turn.position, exchange);
    this.#box.append(element);
    return exchange;
  }

  #show(exchange, index) {
    exchange.shown = Math.min(Math.max(index, 0), exchange.views.length - 1);
    exchange.slot.replaceChildren(exchange.views[exchange.shown].element);
    exchange.editing = false;
    this.#place();
    this.#actions.changed();
  }

  /** The question of the shown answer: answers beside it may be to another one. */
  #showQuestion(exchange, last) {
    const { turn } = exchange.views[exchange.shown];
    const key = JSON.stringify([turn.id, last]);
    if (exchange.editing || exchange.asked.dataset.key === key) return;
    exchange.asked.dataset.key = key;
    const change = last && iconButton("pencil", t("change_question"), { "data-testid": "change-question", on: { click: () => this.#edit(exchange) } });
    exchange.asked.replaceChildren(
      ...[change].filter(Boolean),
      el(
        "div",
        { class: "question", "data-testid": "question", lang: turn.language || null, title: clock(new Date(turn.created)) },
        el("h2", { class: "sr-only" }, t("you")),
        el("p", {}, turn.question),
      ),
    );
  }

  #edit(exchange, text = exchange.views[exchange.shown].turn.question, say = "") {
    const { turn } = exchange.views[exchange.shown];
    const leave = () => {
      exchange.editing = false;
      this.#place();
      exchange.asked.querySelector("[data-testid=change-question]")?.focus();
    };
    const form = editor({
      text,
      say,
      label: t("change_question"),
      save: t("send"),
      limit: this.#actions.limits.question,
      testid: "question-editor",
      onSave: (changed) => (changed === turn.question ? leave() : this.#actions.resend(turn, changed)),
      onCancel: leave,
    });
    exchange.editing = true;
    exchange.asked.dataset.key = "";
    exchange.asked.replaceChildren(form.element);
    form.begin();
  }

  /** A changed question was not accepted: it is there again, with the reason. */
  editAgain(turn, reason) {
    const exchange = this.#exchanges.get(turn.position);
    if (exchange) this.#edit(exchange, turn.question, reason);
  }

  #place() {
    const last = this.lastPosition;
    for (const [position, exchange] of this.#exchanges) {
      if (exchange.views.length) this.#showQuestion(exchange, position === last);
      exchange.views.forEach((view, index) => {
        view.place = { index, count: exchange.views.length, last: position === last };
      });
    }
  }
}
