// The search in one's conversations: what it finds stands in place of the list.

import { findConversations } from "./api.js";
import { announce, byId, el } from "./dom.js";
import { t } from "./texts.js";

const PAUSE = 200; // ms without a key before the server is asked

export class Finder {
  #form = byId("find");
  #words = byId("find").elements.q;
  #found = byId("found");
  #timer = 0;
  #asked = null;

  /** shown(searching): the list makes room for what was found, or comes back */
  constructor(shown) {
    this.shown = shown;
    this.#words.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#find(), PAUSE);
    });
    this.#words.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.isComposing || !this.#words.value) return;
      event.preventDefault();
      event.stopPropagation(); // on a phone it would close the menu, too
      this.#words.value = "";
      this.#find();
    });
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#find();
    });
    if (this.#words.value) this.#find(); // the browser brought them back
  }

  /** There is a first conversation now. */
  offer() {
    this.#form.hidden = false;
  }

  async #find() {
    clearTimeout(this.#timer);
    this.#asked?.abort();
    this.#asked = new AbortController();
    const words = this.#words.value.trim();
    this.shown(words !== "");
    this.#found.hidden = words === "";
    if (!words) {
      this.#found.replaceChildren();
      return;
    }
    try {
      const found = await findConversations(words, this.#asked.signal);
      this.#show(found, words.normalize("NFC").split(/\s+/));
    } catch (error) {
      if (error.name === "AbortError") return;
      this.#say(error.message || t("find_failed"), true);
    }
  }

  #show(found, words) {
    if (!found.length) {
      this.#say(t("found_none"));
      return;
    }
    announce(found.length === 1 ? t("found_one") : t("found_many", { n: found.length }));
    this.#found.replaceChildren(
      ...found.map(({ id, title, excerpt }) =>
        el(
          "li",
          { "data-testid": "found-conversation" },
          el(
            "a",
            { href: `/c/${id}/`, "aria-current": location.pathname === `/c/${id}/` ? "page" : null },
            el("span", { class: "found-title" }, ...marked(title || t("new_conversation"), words)),
            excerpt && el("span", { class: "found-excerpt" }, ...marked(excerpt, words)),
          ),
        ),
      ),
    );
  }

  #say(text, wrong = false) {
    announce(text);
    this.#found.replaceChildren(el("li", { class: wrong ? "item-error" : "found-none", "data-testid": "found-none" }, text));
  }
}

/** The text in pieces, with the words in it marked. */
function marked(text, words) {
  const escaped = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).sort((a, b) => b.length - a.length);
  return text
    .split(new RegExp(`(${escaped.join("|")})`, "iu"))
    .map((piece, at) => (at % 2 ? el("mark", {}, piece) : piece))
    .filter((piece) => piece !== "");
}
