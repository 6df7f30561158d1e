// The page of local models: reads and changes go through the REST API.

import { ModelsView, filled } from "./models-view.js";

const QUICK = 1000;
const root = document.querySelector("[data-models]");
const config = JSON.parse(document.getElementById("ac-models-config").textContent);
const csrf = root.querySelector("[name=csrfmiddlewaretoken]").value;
const { texts } = config;
let timer = 0;
let open = new Set();

async function ask(method, url, body) {
  let response;
  try {
    response = await fetch(url, {
      method,
      headers: { "X-CSRFToken": csrf, "Content-Type": "application/json", Accept: "application/json" },
      body: body && JSON.stringify(body),
    });
  } catch {
    throw new Error(texts.unreachable);
  }
  const answer = response.status === 204 ? null : await response.json().catch(() => null);
  if (!response.ok) throw new Error(answer?.message ?? texts.unreachable);
  return answer;
}

async function attempt(work) {
  view.problem("");
  try {
    await work();
  } catch (error) {
    view.problem(error.message);
  }
}

const addressOf = (model) => `${config.url}/${model.split("/").map(encodeURIComponent).join("/")}`;

const view = new ModelsView(root, config, {
  pull: (model) => attempt(() => pull(model)),
  cancel: (pull) =>
    attempt(async () => {
      await ask("DELETE", `${config.pulls}/${pull.id}`);
      await poll();
    }),
  remove: (model) => {
    if (!window.confirm(texts.sure.replace("%s", model.title))) return;
    attempt(async () => {
      await ask("DELETE", addressOf(model.model));
      await refresh();
    });
  },
  test: (model, button, place) =>
    attempt(async () => {
      button.disabled = true;
      place.textContent = texts.testing;
      try {
        const found = await ask("POST", `${addressOf(model.model)}/test`);
        const figures = filled(texts.tested, { first: found.first_token_seconds, speed: found.tokens_per_second });
        place.textContent = `${figures} “${found.answer}”`;
      } catch (error) {
        place.textContent = "";
        throw error;
      } finally {
        button.disabled = false;
      }
    }),
});

async function pull(model) {
  const row = await ask("POST", config.pulls, { model });
  view.say(`${row.model}: ${texts.states[row.state]}`);
  await poll();
  view.find("pulls-section").scrollIntoView({ block: "nearest" });
}

async function refresh() {
  const found = await ask("GET", config.url);
  view.draw(found);
  show(found.pulls);
}

function show(pulls) {
  view.drawPulls(pulls);
  const now = new Set(pulls.filter((pull) => pull.state === "waiting" || pull.state === "running").map((pull) => pull.id));
  const over = pulls.filter((pull) => open.has(pull.id) && !now.has(pull.id));
  open = now;
  for (const pull of over) view.say(`${pull.model}: ${texts.states[pull.state]}`);
  if (over.length) attempt(refresh);
  clearTimeout(timer);
  if (now.size) timer = setTimeout(poll, document.hidden ? QUICK * 5 : QUICK);
}

async function poll() {
  try {
    show(await ask("GET", config.pulls));
  } catch {
    // The next look may find the server again.
    clearTimeout(timer);
    timer = setTimeout(poll, QUICK * 5);
  }
}

view.find("other").addEventListener("submit", (event) => {
  event.preventDefault();
  const field = event.target.elements.model;
  attempt(async () => {
    await pull(field.value.trim());
    field.value = "";
  });
});

show(config.started);
attempt(refresh);
