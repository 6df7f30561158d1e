// The message field: grows with its text, Enter sends, Shift+Enter makes a new line.

import { byId } from "./dom.js";
import { t } from "./texts.js";

const NEAR_LIMIT = 0.85;

/** As the server counts: an emoji is one, not two. */
const characters = (text) => [...text].length;

export class Composer {
  #field = byId("question");
  #send = byId("send");
  #stop = byId("stop");
  #hint = byId("composer-hint");
  #limit;
  #busy = false;
  #endsSyllable = false;
  // On phones Enter makes a new line, as people expect there; the button sends.
  #touch = matchMedia("(hover: none) and (pointer: coarse)");

  /** onSend(text) · onStop() · onInput(text) */
  constructor({ limit, onSend, onStop, onInput }) {
    this.#limit = limit;
    this.onSend = onSend;
    this.onInput = onInput;
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#stop.addEventListener("click", onStop);
    this.#field.addEventListener("input", () => {
      this.#changed();
      this.onInput(this.#field.value);
    });
    this.#field.addEventListener("keydown", (event) => this.#key(event));
    this.#field.addEventListener("keyup", (event) => {
      if (event.code === "Enter" || event.key === "Enter") this.#endsSyllable = false;
    });
    this.#field.addEventListener("blur", () => {
      this.#endsSyllable = false;
    });
    this.#changed();
  }

  get text() {
    return this.#field.value;
  }

  set text(value) {
    this.#field.value = value;
    this.#changed();
  }

  set busy(value) {
    this.#busy = value;
    const had = document.activeElement;
    this.#stop.hidden = !value;
    this.#send.hidden = value;
    if (had === this.#stop || had === this.#send) this.focus();
    this.#changed();
  }

  focus() {
    this.#field.focus({ preventScroll: true });
  }

  say(text, wrong = false) {
    this.#hint.textContent = text;
    this.#hint.classList.toggle("wrong", wrong);
  }

  // An input method (Korean, Japanese) ends a syllable with Enter: that press has isComposing, or in Safari
  // keyCode 229 after compositionend. Some systems report it once more as a plain Enter; it is ignored until
  // the key is let go. The next real Enter sends, however soon it comes.
  #key(event) {
    if (event.isComposing || event.keyCode === 229) {
      this.#endsSyllable = event.code === "Enter" || event.key === "Enter";
      return;
    }
    if (event.key !== "Enter" || event.shiftKey || event.altKey) return;
    if (this.#touch.matches && !event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    if (this.#endsSyllable || event.repeat) return;
    this.#submit();
  }

  #submit() {
    const text = this.#field.value.trim();
    if (!text || characters(text) > this.#limit) return;
    if (this.#busy) {
      this.say(t("wait"));
      return;
    }
    this.onSend(text);
  }

  #changed() {
    const length = characters(this.#field.value.trim());
    this.#field.style.height = "auto";
    this.#field.style.height = `${this.#field.scrollHeight}px`;
    this.#send.disabled = length === 0 || length > this.#limit;
    if (length > this.#limit) this.say(t("too_many", { n: length - this.#limit }), true);
    else if (length > this.#limit * NEAR_LIMIT) this.say(t("left", { n: this.#limit - length }));
    else this.say("");
  }
}
