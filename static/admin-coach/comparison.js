// A comparison that runs: its progress, and the page anew when it begins and when it is over.

const QUICK = 2000;
const SLOW = 10000;

const root = document.querySelector("[data-comparison]");

async function poll() {
  try {
    const response = await fetch(root.dataset.comparison, { headers: { Accept: "application/json" } });
    if (!response.ok) throw new Error(String(response.status));
    const now = await response.json();
    // Not while somebody is about to answer a question.
    if (now.state !== root.dataset.state && !document.querySelector("dialog[open]")) {
      location.reload();
      return;
    }
    if (now.total) root.querySelector("progress").value = now.percent;
    root.querySelector("[data-done]").textContent = now.done;
    root.querySelector("[data-total]").textContent = now.total;
    root.querySelector("[data-left]").textContent = now.left && `· ${now.left}`;
  } catch {
    // The next look may find the server again.
  }
  setTimeout(poll, document.hidden ? SLOW : QUICK);
}

if (root) setTimeout(poll, QUICK);
