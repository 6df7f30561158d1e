// "Your version" of an answer: written beside it, changed and removed again. The answer itself stays as it is.

import { ApiError, improveAnswer, removeImprovement } from "./api.js";
import { announce, el } from "./dom.js";
import { editor } from "./editor.js";
import { showMarkdown } from "./render.js";
import { t } from "./texts.js";

/** Whether it is offered: for a whole answer, and not to somebody who was shown the helplines. */
export const canImprove = (turn) =>
  turn.state === "done" && turn.answer !== "" && !turn.notices.some((notice) => notice.code === "safety");

export class Improvement {
  #turn;
  #actions;
  #editing = false;
  #state = el("span", { class: "editor-state wrong", role: "status", "data-testid": "edit-state" });

  /** `turn.edit` is {text} or null and is kept up to date. actions: those of the turn, and
   * leave(): the button that opens it gets the focus · changed(): something else is shown now */
  constructor(turn, actions) {
    this.#turn = turn;
    this.#actions = actions;
    this.element = el("div", { class: "improvement" });
    this.#show();
  }

  get isOpen() {
    return this.#editing;
  }

  open() {
    if (this.#editing) {
      this.element.querySelector("textarea").focus();
      return;
    }
    const turn = this.#turn;
    this.#editing = true;
    const form = editor({
      text: turn.edit?.text ?? turn.answer,
      label: t("your_version"),
      save: t("save"),
      limit: this.#actions.limits.answer,
      testid: "improve-editor",
      onSave: (text) => this.#save(text),
      onCancel: () => this.#leave(),
    });
    this.element.replaceChildren(el("h4", { class: "sources-title" }, t("your_version")), el("p", { class: "legend" }, t("improve_hint")), form.element);
    this.#actions.changed();
    form.begin();
  }

  async #save(text) {
    try {
      this.#turn.edit = await improveAnswer(this.#turn.id, text);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return error.message || t("consent_failed");
    }
    this.#leave();
    announce(t("saved"));
    const asked = this.#actions.rated();
    if (asked) this.element.append(asked);
    return null;
  }

  #leave() {
    const here = document.activeElement === document.body || this.element.contains(document.activeElement);
    this.#editing = false;
    this.#show();
    this.#actions.changed();
    if (!here) return; // the server took a while, and somebody is elsewhere by now
    const change = this.element.querySelector("[data-testid=edit-change]");
    if (change) change.focus();
    else this.#actions.leave();
  }

  async #remove() {
    try {
      await removeImprovement(this.#turn.id);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status !== 404) {
        this.#state.textContent = error.message || t("consent_failed");
        return;
      }
    }
    this.#turn.edit = null;
    this.#leave();
    announce(t("version_removed"));
  }

  #show() {
    const { edit, sources, language } = this.#turn;
    if (!edit) {
      this.element.replaceChildren();
      return;
    }
    const prose = el("div", { class: "prose", "data-testid": "edit-text", lang: language || null });
    showMarkdown(prose, edit.text, sources);
    prose.addEventListener("click", (event) => {
      const button = event.target.closest(".cite");
      if (button) this.#actions.openSource(this.#turn, Number(button.dataset.cite), button);
    });
    this.#state.textContent = "";
    const button = (testid, click, words) =>
      el("button", { type: "button", class: "button small quiet", "data-testid": testid, on: { click } }, words);
    this.element.replaceChildren(
      el(
        "section",
        { class: "version", "aria-label": t("your_version"), "data-testid": "edit" },
        el("h4", { class: "sources-title" }, t("your_version")),
        prose,
        el(
          "div",
          { class: "editor-row" },
          button("edit-change", () => this.open(), t("change")),
          button("edit-remove", () => this.#remove(), t("remove")),
          this.#state,
        ),
      ),
    );
  }
}
