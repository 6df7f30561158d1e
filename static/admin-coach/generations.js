// The generations of an index: progress of those that are built, and the page anew when a state changes.

const QUICK = 2000;
const SLOW = 10000;

const root = document.querySelector("[data-generations]");
const cards = [...root.querySelectorAll("[data-generation]")];

async function poll() {
  let building = false;
  try {
    const response = await fetch(root.dataset.generations, { headers: { Accept: "application/json" } });
    if (!response.ok) throw new Error(String(response.status));
    const { generations } = await response.json();
    const now = new Map(generations.map((one) => [String(one.id), one]));
    const moved = generations.length !== cards.length || cards.some((card) => now.get(card.dataset.generation)?.state !== card.dataset.state);
    // Not while somebody is about to answer a question.
    if (moved && !document.querySelector("dialog[open]")) {
      location.reload();
      return;
    }
    for (const card of cards) building = show(card, now.get(card.dataset.generation)) || building;
  } catch {
    // The next look may find the server again.
  }
  setTimeout(poll, building && !document.hidden ? QUICK : SLOW);
}

function show(card, one) {
  const bar = card.querySelector("progress");
  if (!bar || !one) return false;
  if (one.total) bar.value = one.percent;
  card.querySelector("[data-done]").textContent = one.done;
  card.querySelector("[data-total]").textContent = one.total;
  card.querySelector("[data-left]").textContent = one.left ? ` · ${one.left}` : "";
  return true;
}

setTimeout(poll, QUICK);
