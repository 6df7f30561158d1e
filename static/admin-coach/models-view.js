// What the page of local models shows: text only ever by textContent.

export function sizeOf(bytes) {
  if (bytes < 1e8) return `${(bytes / 1e6).toFixed(1)} MB`;
  return `${(bytes / 1e9).toFixed(bytes < 1e9 ? 2 : 1)} GB`;
}

export function filled(text, values) {
  return text.replace(/%\((\w+)\)s/g, (_match, name) => String(values[name]));
}

export function element(tag, { text, ...rest } = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(rest)) {
    if (name === "dataset") Object.assign(made.dataset, value);
    else if (name === "onclick") made.addEventListener("click", value);
    else if (value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  if (text !== undefined) made.textContent = text;
  made.append(...children.filter(Boolean));
  return made;
}

export class ModelsView {
  constructor(root, config, act) {
    this.root = root;
    this.config = config;
    this.texts = config.texts;
    this.act = act;
    this.rows = new Map();
  }

  find(name) {
    return this.root.querySelector(`[data-${name}]`);
  }

  say(text) {
    this.find("live").textContent = text;
  }

  problem(text) {
    const place = this.find("problem");
    place.textContent = text;
    place.hidden = !text;
    if (text) place.scrollIntoView({ block: "center" });
  }

  draw({ machine, installed, catalogue }) {
    const { texts } = this;
    this.find("machine").textContent = filled(texts.machine, { memory: sizeOf(machine.memory_bytes), cores: machine.cores });
    const here = installed.map((model) => this.installed(model));
    this.find("installed").replaceChildren(...(here.length ? here : [element("li", { text: texts.none })]));
    const names = new Set(installed.map((model) => model.model));
    this.find("catalogue").replaceChildren(...catalogue.map((entry) => this.entry(entry, names)));
  }

  button(text, name, act, kind = "") {
    return element("button", {
      text,
      type: "button",
      class: `ac-button ${kind}`,
      "aria-label": `${text}: ${name}`,
      onclick: (event) => act(event.currentTarget),
    });
  }

  installed(model) {
    const { texts, act } = this;
    const result = element("p", { class: "ac-note", role: "status" });
    return element(
      "li",
      { class: "ac-head" },
      element("div", {}, element("b", { text: model.title }), element("p", { class: "ac-note", text: `${model.model} · ${sizeOf(model.bytes)} ${model.detail}` }), result),
      element(
        "div",
        { class: "ac-buttons" },
        model.in_use && element("span", { class: "ac-state", text: texts.inUse, dataset: { state: "ready" } }),
        this.button(texts.test, model.title, (button) => act.test(model, button, result)),
        !model.in_use && this.button(texts.remove, model.title, () => act.remove(model), "ac-danger"),
      ),
    );
  }

  entry(entry, names) {
    const { texts, act } = this;
    const about = entry.approximate ? "≈ " : "";
    const facts = [
      [texts.size, about + sizeOf(entry.bytes)],
      [texts.memory, sizeOf(entry.memory_bytes)],
      [texts.languages, entry.languages.map((code) => this.config.languages[code] ?? code).join(", ")],
      [texts.licence, entry.licence],
      [texts.context, entry.context_tokens.toLocaleString()],
      [texts.can, entry.capabilities.join(", ") || "–"],
    ];
    const pull = entry.partial_bytes ? texts.resume : texts.pull;
    return element(
      "li",
      { class: "ac-card" },
      element("div", { class: "ac-head" }, element("h3", { text: entry.title }), this.badge(entry)),
      element("p", { class: "ac-note", text: entry.note }),
      element("dl", { class: "ac-facts" }, ...facts.map(([name, value]) => element("div", {}, element("dt", { text: name }), element("dd", { text: value })))),
      element(
        "div",
        { class: "ac-buttons" },
        !names.has(entry.model) && this.button(pull, entry.title, () => act.pull(entry.model), entry.recommended ? "ac-primary" : ""),
        entry.ollama && !names.has(entry.ollama) && this.button(texts.pullOllama, entry.title, () => act.pull(entry.ollama)),
      ),
    );
  }

  badge(entry) {
    const { texts } = this;
    const [text, state] = entry.installed
      ? [texts.installed, "ready"]
      : entry.recommended
        ? [texts.recommended, "ready"]
        : !entry.fits
          ? [texts.large, "failed"]
          : entry.quick
            ? [texts.fits, "ready"]
            : [texts.slow, "pending"];
    return element("span", { class: "ac-state", text, dataset: { state } });
  }

  // Rows stay in place, so that a button under the keyboard's focus is never replaced.
  drawPulls(pulls) {
    this.find("pulls-section").hidden = !pulls.length;
    const list = this.find("pulls");
    const ids = new Set(pulls.map((pull) => pull.id));
    for (const [id, row] of this.rows) if (!ids.has(id)) row.item.remove(), this.rows.delete(id);
    for (const pull of pulls) {
      const row = this.rows.get(pull.id) ?? this.newRow(pull, list);
      this.update(row, pull);
    }
  }

  newRow(pull, list) {
    const state = element("span", { class: "ac-state" });
    const bar = element("progress", { "aria-label": pull.model, max: "1" });
    const note = element("p", { class: "ac-note" });
    const cancel = this.button(this.texts.cancel, pull.model, () => this.act.cancel(pull));
    const head = element("div", { class: "ac-head" }, element("b", { text: pull.model }), element("div", { class: "ac-buttons" }, state, cancel));
    const item = element("li", {}, head, bar, note);
    list.append(item);
    const row = { item, state, bar, note, cancel };
    this.rows.set(pull.id, row);
    return row;
  }

  update(row, pull) {
    const unfinished = pull.state === "waiting" || pull.state === "running";
    const colours = { done: "ready", failed: "failed", running: "processing", waiting: "pending" };
    row.state.textContent = this.texts.states[pull.state] ?? pull.state;
    row.state.dataset.state = colours[pull.state] ?? "";
    row.cancel.hidden = !unfinished;
    row.cancel.disabled = pull.cancelling;
    row.bar.hidden = !unfinished;
    if (pull.bytes_total && pull.bytes_done) row.bar.value = pull.bytes_done / pull.bytes_total;
    else row.bar.removeAttribute("value");
    row.note.classList.toggle("ac-bad-text", Boolean(pull.error));
    row.note.textContent = pull.error || (pull.bytes_total ? filled(this.texts.progress, { done: sizeOf(pull.bytes_done), all: sizeOf(pull.bytes_total) }) : "");
  }
}
