// Draws the rows and the summary; every text from a file or the server goes through textContent.

import { canRetry, FINISHED } from "./upload-queue.js";

const GROUPS = {
  all: () => true,
  open: (row) => !FINISHED.has(row.state),
  failed: (row) => row.state === "failed" || row.state === "refused",
  ready: (row) => row.state === "ready" || row.state === "known",
};

export class UploadView {
  constructor(root, texts, act) {
    this.root = root;
    this.texts = texts;
    this.act = act;
    this.list = root.querySelector("[data-rows]");
    this.items = new Map();
    this.group = "all";
    this.pending = null;
    for (const button of root.querySelectorAll("[data-group]")) {
      button.addEventListener("click", () => this.show(button.dataset.group));
    }
  }

  /** Draws one row; the summary follows once per frame. */
  draw(row, rows) {
    const item = this.items.get(row) ?? this._create(row);
    const parts = item.parts;
    const focused = item.element.contains(document.activeElement) ? document.activeElement : null;
    item.element.dataset.state = row.state;
    item.element.hidden = !GROUPS[this.group](row);
    parts.state.dataset.state = row.state;
    parts.state.textContent = this._state(row);
    parts.bar.hidden = row.state !== "uploading" && !(row.state === "processing" && row.progress > 0);
    parts.bar.value = row.progress;
    parts.error.hidden = !row.error;
    parts.error.textContent = row.error;
    parts.retry.hidden = !canRetry(row);
    parts.cancel.hidden = FINISHED.has(row.state);
    parts.open.hidden = !row.id;
    if (row.id) parts.open.href = this.texts.documentUrl.replace("ID", row.id);
    // A button that vanished with the state leaves the focus in its row.
    if (focused?.hidden) {
      (item.element.querySelector(".ac-row-buttons > :not([hidden])") ?? item.element).focus();
    }
    this.pending ??= requestAnimationFrame(() => {
      this.pending = null;
      this._summary(rows);
    });
  }

  show(group) {
    this.group = group;
    for (const button of this.root.querySelectorAll("[data-group]")) {
      button.setAttribute("aria-pressed", String(button.dataset.group === group));
    }
    for (const [row, item] of this.items) item.element.hidden = !GROUPS[group](row);
  }

  say(text) {
    this.root.querySelector("[data-live]").textContent = text;
  }

  notice(text) {
    const place = this.root.querySelector("[data-notice]");
    place.textContent = text;
    place.hidden = !text;
  }

  _create(row) {
    const element = document.createElement("li");
    element.tabIndex = -1;
    const make = (tag, name, parent = element) => {
      const part = document.createElement(tag);
      part.className = "ac-row-" + name;
      parent.append(part);
      return part;
    };
    const name = make("span", "name");
    name.textContent = row.name;
    name.title = row.name;
    name.dir = "auto";
    const size = make("span", "size");
    size.textContent = fileSize(row.size);
    const state = make("span", "state");
    const buttons = make("span", "buttons");
    const bar = make("progress", "bar");
    bar.max = 1;
    bar.setAttribute("aria-label", row.name);
    const error = make("p", "error");
    const parts = { state, bar, error };
    parts.retry = this._button(buttons, this.texts.retry, row, () => this.act.retry(row));
    parts.cancel = this._button(buttons, this.texts.cancel, row, () => this.act.cancel(row));
    parts.open = make("a", "open", buttons);
    parts.open.textContent = this.texts.open;
    parts.open.setAttribute("aria-label", `${this.texts.open}: ${row.name}`);
    const item = { element, parts };
    this.items.set(row, item);
    this.list.append(element);
    return item;
  }

  _button(parent, label, row, act) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.setAttribute("aria-label", `${label}: ${row.name}`);
    button.addEventListener("click", act);
    parent.append(button);
    return button;
  }

  _state(row) {
    const text = this.texts.states[row.state] ?? row.state;
    if (row.state === "uploading") return `${text} ${Math.round(row.progress * 100)} %`;
    if (!row.chunks || (row.state !== "processing" && row.state !== "ready")) return text;
    return `${text} · ${row.chunks === 1 ? this.texts.passage : this.texts.passages.replace("%s", row.chunks)}`;
  }

  _summary(rows) {
    const count = (name) => rows.filter(GROUPS[name]).length;
    const open = count("open");
    const done = rows.length - open;
    const failed = count("failed");
    this.root.querySelector("[data-table]").hidden = rows.length === 0;
    for (const place of this.root.querySelectorAll("[data-count]")) place.textContent = count(place.dataset.count);
    const overall = this.root.querySelector("[data-overall]");
    overall.value = rows.length ? rows.reduce((sum, row) => sum + share(row), 0) / rows.length : 0;
    const words = this.texts.summary.replace("%(done)s", done).replace("%(all)s", rows.length);
    const text = failed ? `${words} · ${this.texts.failures.replace("%s", failed)}` : words;
    this.root.querySelector("[data-summary]").textContent = text;
    this.root.querySelector("[data-cancel-all]").disabled = open === 0;
    this.root.querySelector("[data-retry-all]").hidden = !rows.some((row) => GROUPS.failed(row) && canRetry(row));
    this.root.querySelector("[data-finished]").hidden = open > 0 || rows.length === 0;
    this.summary = text;
  }
}

/** How far a file is: the way to the server is half of it, being read the other. */
function share(row) {
  if (FINISHED.has(row.state)) return 1;
  if (row.state === "uploading") return row.progress / 2;
  return row.state === "queued" ? 0 : 0.5 + row.progress / 2;
}

function fileSize(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  const kilo = bytes / 1024;
  return kilo < 1024 ? `${Math.round(kilo)} kB` : `${(kilo / 1024).toFixed(1)} MB`;
}
