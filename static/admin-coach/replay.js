// A replay that is being written: its text as it grows, then the page anew.

const place = document.querySelector("[data-replay]");
const answer = place.querySelector("[data-answer]");

async function poll() {
  try {
    const response = await fetch(place.dataset.replay, { headers: { Accept: "application/json" } });
    if (response.ok) {
      const replay = await response.json();
      if (replay.over) {
        location.reload();
        return;
      }
      answer.textContent = replay.answer;
    }
  } catch {
    // The next look may find the server again.
  }
  setTimeout(poll, document.hidden ? 5000 : 1000);
}

setTimeout(poll, 500);
