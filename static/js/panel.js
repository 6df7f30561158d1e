// The source panel: a drawer at the side, on phones a sheet from below.

import { readSource } from "./api.js";
import { byId, el } from "./dom.js";
import { shorten, showPassage } from "./passage.js";
import { t } from "./texts.js";

const AROUND = 1200; // characters before and after a passage, as the server cuts them

export class SourcePanel {
  #panel = byId("panel");
  #veil = byId("panel-veil");
  #opener = null;
  #shown = null;
  #narrow = matchMedia("(max-width: 1099px)");
  #cache = new Map();

  /** conversation(): the id of the open conversation */
  constructor(conversation) {
    this.conversation = conversation;
    byId("panel-close").addEventListener("click", () => this.close());
    this.#veil.addEventListener("click", () => this.close());
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !this.#panel.hidden && !document.querySelector("dialog[open]")) this.close();
    });
    this.#narrow.addEventListener("change", () => this.#cover());
  }

  open(turn, n, opener) {
    if (opener && !this.#panel.contains(opener)) this.#opener = opener;
    const source = turn.sources.find((one) => one.n === n);
    if (!source) return;
    const wasHidden = this.#panel.hidden;
    this.#panel.hidden = false;
    document.body.classList.add("with-panel");
    this.#cover();
    this.#numbers(turn, n);
    this.#show(source);
    if (wasHidden) this.#panel.focus({ preventScroll: true });
  }

  close() {
    this.#panel.hidden = true;
    document.body.classList.remove("with-panel");
    this.#cover();
    this.#shown = null;
    if (this.#opener?.isConnected) this.#opener.focus({ preventScroll: true });
    this.#opener = null;
  }

  /** On narrow screens the panel lies over the page: nothing behind it can be reached. */
  #cover() {
    const covers = !this.#panel.hidden && this.#narrow.matches;
    this.#veil.hidden = !covers;
    byId("main").inert = covers;
    byId("side").inert = covers;
  }

  #numbers(turn, current) {
    const sorted = [...turn.sources].sort((a, b) => a.n - b.n);
    byId("panel-numbers").replaceChildren(
      ...sorted.map((source) =>
        el(
          "button",
          {
            type: "button",
            class: "number",
            "aria-current": source.n === current ? "true" : null,
            "aria-label": t("source", { n: source.n, title: source.title }),
            "data-tip": source.title,
            on: {
              click: () => {
                this.open(turn, source.n, null);
                byId("panel-numbers").querySelector("[aria-current]")?.focus();
              },
            },
          },
          String(source.n),
        ),
      ),
    );
  }

  async #show(source) {
    this.#shown = source;
    byId("panel-title").textContent = source.title;
    byId("panel-place").textContent = source.location ?? "";
    const link = byId("panel-link");
    link.hidden = !source.document;
    if (source.document) link.href = `/documents/${source.document}/${source.chunk ? `?chunk=${source.chunk}` : ""}#passage`;
    this.#note("");
    this.#fill("", source.text, "");
    const key = `${this.conversation()}/${source.n}`;
    try {
      const found = this.#cache.get(key) ?? (await readSource(this.conversation(), source.n));
      this.#cache.set(key, found);
      if (this.#shown !== source) return;
      this.#fill(...shortened(found));
      if (!found.document) {
        this.#note(t("document_gone"));
        link.hidden = true;
      }
    } catch (error) {
      // While the answer is being written its new sources are not stored yet: the passage alone is right then.
      if (this.#shown === source && error.status !== 404) this.#note(t("source_failed"));
    }
  }

  #fill(before, passage, after) {
    const box = byId("panel-text");
    showPassage(box, before, passage, after);
    const scroll = byId("panel-scroll");
    const mark = box.querySelector("mark");
    const height = scroll.clientHeight;
    scroll.scrollTop = mark && mark.offsetTop + Math.min(mark.offsetHeight, height / 2) > height * 0.75 ? mark.offsetTop - height / 4 : 0;
  }

  #note(text) {
    byId("panel-note").textContent = text;
    byId("panel-note").hidden = !text;
  }
}

function shortened(found) {
  // The title stands above already.
  const context = found.before.startsWith(found.title) ? found.before.slice(found.title.length).trimStart() : found.before;
  const [before, after] = shorten(context, found.after, AROUND);
  return [before, found.text, after];
}
