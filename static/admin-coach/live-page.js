// A page of something that is under way: the part that changes is fetched anew. Without this script, reload the page.

const QUICK = 2000;
const SLOW = 10000;
const page = document.querySelector("[data-live-page]");
let known = "";

async function poll() {
  try {
    const response = await fetch(page.dataset.livePage, { headers: { Accept: "text/html" } });
    if (response.ok) show(await response.text());
  } catch {
    // The next look may find the server again.
  }
  again();
}

function show(text) {
  const part = new DOMParser().parseFromString(text, "text/html").querySelector("[data-live]");
  const here = page.querySelector("[data-live]");
  // Each answer carries another token for the form; that alone is no news.
  const seen = part?.textContent + [...(part?.querySelectorAll("polyline, progress") ?? [])].map((one) => one.outerHTML).join("");
  if (!part || seen === known || document.querySelector("dialog[open]")) return;
  const focused = stops(here).indexOf(document.activeElement);
  const open = [...here.querySelectorAll("details")].map((one) => one.open);
  const fresh = document.importNode(part, true);
  fresh.querySelectorAll("details").forEach((one, number) => { one.open = open[number] ?? false; });
  here.replaceWith(fresh);
  stops(fresh)[focused]?.focus({ preventScroll: true });
  known = seen;
}

function stops(part) {
  return [...part.querySelectorAll("a, button, summary, [tabindex]")];
}

function again() {
  if (page.querySelector("[data-live][data-over]")) return;
  setTimeout(poll, document.hidden ? SLOW : QUICK);
}

again();
