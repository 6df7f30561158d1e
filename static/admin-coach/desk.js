// The review desk: keys, saving, and a draft in this browser, so that nothing is lost.

import { showMarkdown } from "../js/render.js";

const root = document.querySelector("[data-desk]");
const form = root.querySelector("[data-form]");
const state = root.querySelector("[data-told]");
const keys = root.querySelector("[data-keys]");
const csrf = root.querySelector("[name=csrfmiddlewaretoken]").value;
const config = JSON.parse(document.getElementById("ac-desk-config").textContent);
const EMPTY = { rating: null, reasons: [], ideal_answer: "", comment: "" };

let saving = false;

// --- what is shown --------------------------------------------------------------------------------

showMarkdown(root.querySelector("[data-answer]"), config.answer, config.sources);
for (const place of root.querySelectorAll("[data-before]")) {
  showMarkdown(place, config.before[Number(place.dataset.before)].answer);
}

root.querySelector("[data-answer]").addEventListener("click", (event) => {
  const button = event.target.closest(".cite");
  const source = button && root.querySelector(`[data-source="${button.dataset.cite}"]`);
  if (!source) return;
  source.open = true;
  source.scrollIntoView({ block: "nearest" });
  source.querySelector("summary").focus({ preventScroll: true });
});

// --- the form and its draft -----------------------------------------------------------------------

function read() {
  const given = new FormData(form);
  return {
    rating: given.get("rating") ? Number(given.get("rating")) : null,
    reasons: given.getAll("reasons"),
    ideal_answer: given.get("ideal_answer") ?? "",
    comment: given.get("comment") ?? "",
  };
}

function write(review) {
  for (const radio of form.querySelectorAll("[name=rating]")) radio.checked = Number(radio.value) === review.rating;
  for (const box of form.querySelectorAll("[name=reasons]")) box.checked = review.reasons.includes(box.value);
  form.ideal_answer.value = review.ideal_answer;
  form.comment.value = review.comment;
}

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);
const shape = (review) => ({
  rating: review.rating,
  reasons: [...review.reasons].sort(),
  ideal_answer: review.ideal_answer.trim(),
  comment: review.comment.trim(),
});
const saved = () => shape(config.saved ?? EMPTY);
const changed = () => !same(shape(read()), saved());

function tell(text, kind = "") {
  state.textContent = text;
  state.dataset.kind = kind;
}

/** Reasons that are switched off now have no chip; they stay with the review that has them. */
function whole() {
  const review = read();
  const shown = new Set([...form.querySelectorAll("[name=reasons]")].map((box) => box.value));
  const kept = (config.saved?.reasons ?? []).filter((slug) => !shown.has(slug));
  return { ...review, reasons: [...review.reasons, ...kept] };
}

function keepDraft() {
  try {
    if (changed()) localStorage.setItem(config.draft, JSON.stringify(read()));
    else localStorage.removeItem(config.draft);
  } catch {
    // A browser that stores nothing: what is written is still on the page.
  }
  tell(changed() ? config.texts.unsaved : config.saved ? config.texts.saved : "", changed() ? "unsaved" : "saved");
}

function draft() {
  try {
    return JSON.parse(localStorage.getItem(config.draft));
  } catch {
    return null;
  }
}

const kept = draft();
write({ ...EMPTY, ...(kept ?? config.saved ?? {}) });
keepDraft();
form.addEventListener("input", keepDraft);

async function save() {
  if (saving) return;
  const review = whole();
  if (!changed() && config.saved) {
    go("next");
    return;
  }
  if (review.rating === null && !review.ideal_answer.trim() && !review.comment.trim()) {
    tell(config.texts.nothing, "unsaved");
    return;
  }
  saving = true;
  tell(config.texts.saving);
  try {
    const response = await fetch(config.save, {
      method: "PUT",
      headers: { "X-CSRFToken": csrf, "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify(review),
    });
    const answer = await response.json().catch(() => null);
    if (!response.ok) {
      tell(answer?.message ?? config.texts.unreachable, "failed");
      return;
    }
    config.saved = answer;
    keepDraft();
    if (!go("next")) location.reload(); // the last one: now with what other raters said
  } catch {
    tell(config.texts.unreachable, "failed");
  } finally {
    saving = false;
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  save();
});

// --- going on -------------------------------------------------------------------------------------

function go(where) {
  const link = root.querySelector(`[data-go="${where}"]`);
  if (!link?.hasAttribute("href")) return false;
  location.assign(link.getAttribute("href"));
  return true;
}

// --- keys -----------------------------------------------------------------------------------------

function rate(value) {
  const radio = form.querySelector(`[name=rating][value="${value}"]`);
  if (radio.disabled) return;
  radio.checked = !radio.checked;
  keepDraft();
}

function toggle(box) {
  if (box.disabled || box.closest("fieldset").disabled) return;
  box.checked = !box.checked;
  keepDraft();
}

const ACTIONS = {
  j: () => go("next"),
  k: () => go("last"),
  e: () => form.ideal_answer.focus(),
  c: () => form.comment.focus(),
  s: () => save(),
  b: () => root.querySelector(".ac-before")?.toggleAttribute("open"),
  "?": () => keys.showModal(),
};

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("textarea, select, input:not([type=radio], [type=checkbox]), [contenteditable]");
  if (typing) {
    if (event.key === "Escape" && form.contains(typing)) typing.blur();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && form.contains(typing)) save();
    return;
  }
  if (keys.open || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const chip = form.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (/^[1-5]$/.test(event.key)) rate(event.key);
  else if (chip) toggle(chip);
  else if (ACTIONS[event.key]) ACTIONS[event.key]();
  else return;
  event.preventDefault();
});

root.querySelector("[data-help]").addEventListener("click", () => keys.showModal());
root.querySelector("[data-clear]").addEventListener("click", () => {
  for (const radio of form.querySelectorAll("[name=rating]")) radio.checked = false;
  keepDraft();
});
root.querySelector("[data-copy]").addEventListener("click", () => {
  if (!form.ideal_answer.value.trim()) form.ideal_answer.value = config.answer;
  form.ideal_answer.focus();
  keepDraft();
});
