// Choosing blind between two answers: a, b, t; the models are named afterwards; n or Enter goes on.

import { showMarkdown } from "../js/render.js";

const root = document.querySelector("[data-choose]");
const config = JSON.parse(document.getElementById("ac-choose-config").textContent);
const csrf = root.querySelector("[name=csrfmiddlewaretoken]").value;
const state = root.querySelector("[data-told]");
const following = root.querySelector("[data-following]");
const KEYS = { a: "left", b: "right", t: "tie" };

let chosen = false;

for (const side of ["left", "right"]) showMarkdown(root.querySelector(`[data-text="${side}"]`), config[side]);

function reveal(told) {
  for (const side of ["left", "right"]) {
    const card = root.querySelector(`[data-side="${side}"]`);
    const name = card.querySelector("[data-name]");
    name.textContent = told[side];
    name.hidden = false;
    card.toggleAttribute("data-won", told.chosen === side);
  }
  state.textContent = told.chosen === "tie" ? config.texts.tie : config.texts.chosen;
  state.dataset.kind = "saved";
  root.querySelector("[data-buttons]").hidden = true;
  following.hidden = false;
  following.focus();
}

async function choose(side) {
  if (chosen) return;
  chosen = true;
  try {
    const response = await fetch(config.save, {
      method: "POST",
      headers: { "X-CSRFToken": csrf, "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify({ pair: config.pair, side }),
    });
    const answer = await response.json().catch(() => null);
    if (response.ok && answer) {
      reveal(answer);
      return;
    }
    state.textContent = answer?.message ?? config.texts.unreachable;
  } catch {
    state.textContent = config.texts.unreachable;
  }
  state.dataset.kind = "failed";
  chosen = false;
}

root.addEventListener("click", (event) => {
  const button = event.target.closest("[data-choice]");
  if (button) choose(button.dataset.choice);
});

document.addEventListener("keydown", (event) => {
  if (event.target.closest?.("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (!chosen && KEYS[event.key]) choose(KEYS[event.key]);
  else if (!following.hidden && event.key === "n") following.click();
  else return;
  event.preventDefault();
});
