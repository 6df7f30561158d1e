// Draws the rows, the summary and the failures; every text from a file or the server goes through textContent.
//
// Of thousands of rows only those in sight are elements: all have the same height, so their places are known.
// While hundreds change each second, the page is drawn some times a second, not sixty times.

import { BAD, canRetry, FINISHED } from "./upload-queue.js";

const GROUPS = {
  all: () => true,
  open: (row) => !FINISHED.has(row.state),
  failed: (row) => BAD.has(row.state),
  ready: (row) => row.state === "ready" || row.state === "known" || row.state === "unpacked",
};
const SPARE = 6;
const NAMES = 5;
const SPEED_MS = 60000;
const DRAW_MS = 150;

export class UploadView {
  /** act: {retry(row), cancel(row)} */
  constructor(root, texts, queue, act) {
    Object.assign(this, { root, texts, queue, act });
    this.list = root.querySelector("[data-window]");
    this.space = root.querySelector("[data-rows]");
    this.items = new Map();
    this.shown = [];
    this.group = "all";
    this.timer = 0;
    this.drawn = 0;
    this.height = 52;
    this.finished = []; // times at which files were finished by the worker
    this.seen = new WeakSet();
    for (const button of root.querySelectorAll("[data-group]")) {
      button.addEventListener("click", () => this.show(button.dataset.group));
    }
    this.list.addEventListener("scroll", () => this._rows(), { passive: true });
    new ResizeObserver(() => {
      this.height = parseFloat(getComputedStyle(this.list).getPropertyValue("--row"));
      this.later();
    }).observe(this.list);
  }

  /** A row has changed. */
  changed(row) {
    if (row.isNew && FINISHED.has(row.state) && row.state !== "cancelled" && !this.seen.has(row)) {
      this.seen.add(row);
      this.finished.push(performance.now());
    }
    this.later();
  }

  later() {
    if (this.timer) return;
    const wait = Math.max(0, this.drawn + DRAW_MS - performance.now());
    this.timer = setTimeout(() => {
      this.timer = 0;
      this.drawn = performance.now();
      this._rows();
      this._summary();
    }, wait);
  }

  show(group) {
    this.group = group;
    for (const button of this.root.querySelectorAll("[data-group]")) {
      button.setAttribute("aria-pressed", String(button.dataset.group === group));
    }
    this.list.scrollTop = 0;
    this.later();
  }

  say(text) {
    this.root.querySelector("[data-live]").textContent = text;
  }

  notice(text) {
    const place = this.root.querySelector("[data-notice]");
    place.textContent = text;
    place.hidden = !text;
  }

  // --- rows --------------------------------------------------------------------------------------

  _rows() {
    const rows = this.queue.rows.filter(GROUPS[this.group]);
    this.root.querySelector("[data-table]").hidden = !this.queue.rows.length;
    const { height } = this;
    this.space.style.blockSize = `${rows.length * height}px`;
    const first = Math.max(0, Math.floor(this.list.scrollTop / height) - SPARE);
    const last = Math.min(rows.length, Math.ceil((this.list.scrollTop + this.list.clientHeight) / height) + SPARE);
    const wanted = new Set(rows.slice(first, last));
    for (const [row, item] of this.items) {
      if (wanted.has(row)) continue;
      // The row with the focus stays until the focus goes.
      if (item.element.contains(document.activeElement) && GROUPS[this.group](row)) continue;
      item.element.remove();
      this.items.delete(row);
    }
    for (let at = first; at < last; at++) {
      const item = this.items.get(rows[at]) ?? this._create(rows[at]);
      item.element.style.insetBlockStart = `${at * height}px`;
      item.element.setAttribute("aria-posinset", at + 1);
      item.element.setAttribute("aria-setsize", rows.length);
      this._draw(rows[at], item);
    }
  }

  _draw(row, { element, parts }) {
    const focused = element.contains(document.activeElement) ? document.activeElement : null;
    element.dataset.state = row.state;
    parts.state.dataset.state = row.state;
    put(parts.state, this._state(row));
    parts.bar.hidden = row.state !== "uploading" && !(row.state === "processing" && row.progress > 0);
    parts.bar.value = row.progress;
    put(parts.error, row.error);
    parts.error.title = row.error;
    parts.retry.hidden = !canRetry(row);
    parts.cancel.hidden = FINISHED.has(row.state) || row.state === "fetching" || Boolean(row.stop);
    parts.open.hidden = !row.id;
    if (row.id) parts.open.href = this.texts.documentUrl.replace("ID", row.id);
    // A button that vanished with the state leaves the focus in its row.
    if (focused?.hidden) (element.querySelector(".ac-row-buttons > :not([hidden])") ?? this.list).focus();
  }

  _create(row) {
    const element = document.createElement("li");
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
    size.textContent = row.size ? fileSize(row.size) : "";
    const state = make("span", "state");
    const buttons = make("span", "buttons");
    const error = make("span", "error");
    const bar = make("progress", "bar");
    bar.max = 1;
    bar.setAttribute("aria-label", row.name);
    const parts = { state, bar, error };
    parts.retry = this._button(buttons, this.texts.retry, row, () => this.act.retry(row));
    parts.cancel = this._button(buttons, this.texts.cancel, row, () => this.act.cancel(row));
    parts.open = make("a", "open", buttons);
    parts.open.textContent = this.texts.open;
    parts.open.setAttribute("aria-label", `${this.texts.open}: ${row.name}`);
    const item = { element, parts };
    this.items.set(row, item);
    this.space.append(element);
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
    const state = this.texts.states[row.state] ?? row.state;
    const text = row.version ? `${state} · ${this.texts.version}` : state;
    if (row.state === "unpacked") return `${text} · ${this.texts.files.replace("%s", row.chunks)}`;
    if (row.state === "uploading") return `${text} ${Math.round(row.progress * 100)} %`;
    if (!row.chunks || (row.state !== "processing" && row.state !== "ready")) return text;
    return `${text} · ${row.chunks === 1 ? this.texts.passage : this.texts.passages.replace("%s", row.chunks)}`;
  }

  // --- all together ------------------------------------------------------------------------------

  _summary() {
    const { counts, rows } = this.queue;
    const part = (name) => this.root.querySelector(`[data-${name}]`);
    for (const place of this.root.querySelectorAll("[data-count]")) put(place, String(counts[place.dataset.count]));
    part("overall").value = rows.length ? rows.reduce((sum, row) => sum + share(row), 0) / rows.length : 0;
    const words = this.texts.summary.replace("%(done)s", counts.all - counts.open).replace("%(all)s", counts.all);
    this.summary = counts.failed ? `${words} · ${this.texts.failures.replace("%s", counts.failed)}` : words;
    put(part("summary"), this.summary);
    put(part("pace"), this._pace());
    part("cancel-all").hidden = counts.open === 0;
    part("retry-all").hidden = !rows.some((row) => BAD.has(row.state) && canRetry(row));
    part("finished").hidden = counts.open > 0 || rows.length === 0;
    this._failures();
  }

  /** How fast, from the files that were finished in the last minute, and how long it will take. */
  _pace() {
    const now = performance.now();
    while (this.finished.length && this.finished[0] < now - SPEED_MS) this.finished.shift();
    const { counts, left, waiting } = this.queue;
    const over = now - (this.finished[0] ?? now);
    const known = this.finished.length > 2 && over > 2000;
    const each = known ? over / (this.finished.length - 1) : 0;
    const parts = [];
    if (counts.open && known) parts.push(this.texts.rate.replace("%s", Math.max(1, Math.round(60000 / each))));
    // What the worker measured counts what others have uploaded, too.
    const seconds = waiting.size && left !== null ? left : (counts.open * each) / 1000;
    if (counts.open && seconds) parts.push(this.texts.left.replace("%s", duration(seconds, this.texts)));
    return parts.join(" · ");
  }

  /** One entry for each reason, with the names of its files. */
  _failures() {
    const reasons = new Map();
    for (const row of this.queue.counts.failed ? this.queue.rows : []) {
      if (BAD.has(row.state)) reasons.set(row.error, [...(reasons.get(row.error) ?? []), row.name]);
    }
    const place = this.root.querySelector("[data-reasons]");
    place.hidden = !reasons.size;
    const entries = [...reasons].map(([reason, names]) => {
      const entry = document.createElement("li");
      const sentence = document.createElement("b");
      sentence.textContent = reason;
      const files = document.createElement("span");
      const rest = names.length - NAMES;
      files.textContent = names.slice(0, NAMES).join(", ") + (rest > 0 ? ` ${this.texts.more.replace("%s", rest)}` : "");
      files.dir = "auto";
      entry.append(sentence, files);
      return entry;
    });
    const told = entries.map((entry) => entry.textContent).join("\n");
    if (told !== this.told) place.querySelector("ul").replaceChildren(...entries);
    this.told = told;
  }
}

/** The same text again would be laid out again. */
function put(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

/** How far a file is: the way to the server is half of it, being read the other. */
function share(row) {
  if (FINISHED.has(row.state)) return 1;
  if (row.state === "uploading") return row.progress / 2;
  return row.state === "queued" || row.state === "fetching" ? 0 : 0.5 + row.progress / 2;
}

function fileSize(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  const kilo = bytes / 1024;
  return kilo < 1024 ? `${Math.round(kilo)} kB` : `${(kilo / 1024).toFixed(1)} MB`;
}

function duration(seconds, texts) {
  if (seconds < 90) return texts.seconds.replace("%s", Math.max(5, Math.round(seconds / 5) * 5));
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return texts.minutes.replace("%s", minutes);
  return texts.hours.replace("%(h)s", Math.floor(minutes / 60)).replace("%(m)s", minutes % 60);
}
