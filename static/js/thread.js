// The conversation as it is shown: exchanges in order, each with a question and one of its answers.

import { el } from "./dom.js";
import { clock, t } from "./texts.js";
import { TurnView, isFinished } from "./turn.js";

export class Thread {
  #box;
  #actions;
  #exchanges = new Map(); // position → {element, slot, views, shown}
  #views = new Map(); // turn id → TurnView

  /** actions: openSource(turn, n, button) · regenerate(turn) · rated() · changed() */
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
    const element = el(
      "section",
      { class: "exchange", "data-testid": "exchange" },
      el(
        "div",
        { class: "question", "data-testid": "question", lang: turn.language || null, title: clock(new Date(turn.created)) },
        el("h2", { class: "sr-only" }, t("you")),
        el("p", {}, turn.question),
      ),
      slot,
    );
    const exchange = { element, slot, views: [], shown: 0 };
    this.#exchanges.set(turn.position, exchange);
    this.#box.append(element);
    return exchange;
  }

  #show(exchange, index) {
    exchange.shown = Math.min(Math.max(index, 0), exchange.views.length - 1);
    exchange.slot.replaceChildren(exchange.views[exchange.shown].element);
    this.#place();
    this.#actions.changed();
  }

  #place() {
    const last = this.lastPosition;
    for (const [position, exchange] of this.#exchanges) {
      exchange.views.forEach((view, index) => {
        view.place = { index, count: exchange.views.length, last: position === last };
      });
    }
  }
}
