// A document that waits or is being read: its progress, then the page anew.

const place = document.querySelector("[data-document]");
const { states, id } = place.dataset;
const csrf = document.querySelector("[name=csrfmiddlewaretoken]").value;
const bar = place.querySelector("progress");

async function poll() {
  try {
    const response = await fetch(states, {
      method: "POST",
      headers: { "X-CSRFToken": csrf, "Content-Type": "application/json" },
      body: JSON.stringify({ ids: [id] }),
    });
    const [state] = (await response.json()).documents;
    if (!state || state.state !== place.dataset.state) {
      location.reload();
      return;
    }
    if (state.progress > 0) bar.value = state.progress;
  } catch {
    // The next look may find the server again.
  }
  setTimeout(poll, document.hidden ? 5000 : 1500);
}

setTimeout(poll, 1500);
