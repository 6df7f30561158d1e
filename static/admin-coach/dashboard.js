// Asks /readyz which servers answer and says so in words.

const list = document.querySelector("[data-ready-url]");

async function ask() {
  let checks = {};
  try {
    const response = await fetch(list.dataset.readyUrl, { headers: { Accept: "application/json" } });
    checks = (await response.json()).checks;
  } catch {
    checks = {};
  }
  for (const item of list.querySelectorAll("[data-check]")) {
    const good = checks[item.dataset.check] === "ok";
    item.dataset.state = good ? "good" : "bad";
    item.querySelector("span").textContent = good ? list.dataset.yes : list.dataset.no;
  }
}

if (list) {
  ask();
  setInterval(() => document.hidden || ask(), 15000);
}
