// Reviewing proposed questions by keyboard: j k a r u e x; bulk actions.

const root = document.querySelector("[data-review]");
const config = JSON.parse(document.getElementById("ac-review-config").textContent);
const csrf = root.querySelector("[name=csrfmiddlewaretoken]").value;
const articles = [...root.querySelectorAll("[data-pair]")];
const problem = root.querySelector("[data-problem]");
const live = root.querySelector("[data-live]");
const all = root.querySelector("[data-all]");
const chosenText = root.querySelector("[data-chosen]");
const KEYS = { a: "approved", r: "rejected", u: "proposed" };

const idOf = (article) => Number(article.dataset.pair);
const boxOf = (article) => article.querySelector("[data-choose]");
const current = () => document.activeElement?.closest?.("[data-pair]") ?? null;

async function send(url, body) {
  problem.hidden = true;
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "X-CSRFToken": csrf, "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify(body),
    });
    const answer = await response.json().catch(() => null);
    if (response.ok) return answer;
    problem.textContent = answer?.message ?? config.texts.unreachable;
  } catch {
    problem.textContent = config.texts.unreachable;
  }
  problem.hidden = false;
  return null;
}

function go(step) {
  const at = articles.indexOf(current());
  const next = articles[Math.min(articles.length - 1, Math.max(0, at < 0 ? 0 : at + step))];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

async function judge(some, state) {
  const ids = some.map(idOf);
  if (!ids.length) return;
  const answer = await send(config.judge, { ids, state });
  if (!answer) return;
  for (const article of some) {
    article.dataset.state = state;
    const box = boxOf(article);
    if (box) box.checked = false;
  }
  live.textContent = answer.message;
  count();
}

function count() {
  const chosen = articles.filter((article) => boxOf(article)?.checked);
  if (chosenText) chosenText.textContent = chosen.length ? config.texts.chosen.replace("%s", chosen.length) : "";
  if (all) all.checked = chosen.length === articles.length;
  return chosen;
}

function edit(article) {
  const form = article.querySelector("[data-edit]");
  form.question.value = article.querySelector("[data-question]").textContent;
  form.answer.value = article.querySelector("[data-answer]").textContent;
  form.hidden = false;
  form.question.focus();
}

function leave(article) {
  article.querySelector("[data-edit]").hidden = true;
  article.focus();
}

async function save(article) {
  const form = article.querySelector("[data-edit]");
  const body = { id: idOf(article), question: form.question.value, answer: form.answer.value };
  const answer = await send(config.edit, body);
  if (!answer) return;
  article.querySelector("[data-question]").textContent = answer.question;
  article.querySelector("[data-answer]").textContent = answer.answer;
  leave(article);
}

function act(article, what) {
  if (what === "edit") edit(article);
  else judge([article], what);
}

for (const article of articles) {
  article.addEventListener("click", (event) => {
    const button = event.target.closest("[data-act]");
    if (button) act(article, button.dataset.act);
    if (event.target.closest("[data-leave]")) leave(article);
  });
  article.querySelector("[data-edit]")?.addEventListener("submit", (event) => {
    event.preventDefault();
    save(article);
  });
  boxOf(article)?.addEventListener("change", count);
}

all?.addEventListener("change", () => {
  for (const article of articles) boxOf(article).checked = all.checked;
  count();
});
for (const button of root.querySelectorAll("[data-bulk]")) {
  button.addEventListener("click", () => judge(count(), button.dataset.bulk));
}

document.addEventListener("keydown", (event) => {
  const article = current();
  const form = event.target.closest?.("[data-edit]");
  if (form) {
    if (event.key === "Escape") leave(article);
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    return;
  }
  const typing = event.target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable]");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "j" || event.key === "k") go(event.key === "j" ? 1 : -1);
  else if (article && all && KEYS[event.key]) judge([article], KEYS[event.key]).then(() => go(1));
  else if (article && all && event.key === "e") edit(article);
  else if (article && all && event.key === "x") boxOf(article).click();
  else return;
  event.preventDefault();
});
