// A field to change a text in its place: Ctrl+Enter or the button saves, Esc or the other button leaves it.

import { el } from "./dom.js";
import { t } from "./texts.js";

/** As the server counts: an emoji is one, not two. */
const characters = (text) => [...text].length;

/**
 * text: what stands in it · label, save: words · limit: characters · say: what is wrong already
 * onSave(text): what is wrong, or nothing when it was saved · onCancel()
 * Call `begin()` of what comes back once its `element` is on the page.
 */
export function editor({ text, label, save, limit, testid, say = "", onSave, onCancel }) {
  const state = el("span", { class: "editor-state", role: "status", "data-testid": `${testid}-state` });
  const field = el("textarea", { rows: 2, "aria-label": label, "data-testid": `${testid}-field` });
  field.value = text;
  const saveButton = el("button", { type: "submit", class: "button small", "data-testid": `${testid}-save` }, save);
  const cancelButton = el(
    "button",
    { type: "button", class: "button small quiet", "data-testid": `${testid}-cancel`, on: { click: onCancel } },
    t("cancel"),
  );
  const tell = (words, wrong = false) => {
    state.textContent = words;
    state.classList.toggle("wrong", wrong);
  };
  const changed = () => {
    field.style.height = "auto";
    field.style.height = `${field.scrollHeight + 2}px`;
    if (element.isConnected) row.scrollIntoView({ block: "nearest" });
    const length = characters(field.value.trim());
    saveButton.disabled = length === 0 || length > limit;
    tell(length > limit ? t("too_many", { n: length - limit }) : "", true);
  };
  const submit = async () => {
    if (saveButton.disabled) return;
    saveButton.disabled = true;
    tell(t("saving"));
    const wrong = await onSave(field.value.trim());
    saveButton.disabled = false;
    tell(wrong ?? "", true);
    if (wrong) field.focus();
  };
  const key = (event) => {
    if (event.isComposing || event.keyCode === 229) return; // the key belongs to the input method
    if (event.key === "Escape") {
      event.stopPropagation(); // what else is open stays open
      onCancel();
    } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      submit();
    }
  };
  field.addEventListener("input", changed);
  const row = el("div", { class: "editor-row" }, saveButton, cancelButton, state);
  const element = el(
    "form",
    {
      class: "editor",
      "data-testid": testid,
      on: {
        keydown: key,
        submit: (event) => {
          event.preventDefault();
          submit();
        },
      },
    },
    field,
    row,
  );
  const begin = () => {
    changed();
    tell(say, true);
    field.focus({ preventScroll: true });
    field.setSelectionRange(field.value.length, field.value.length);
  };
  return { element, begin };
}
