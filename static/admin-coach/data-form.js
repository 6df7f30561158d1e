// The form of an export or a data set: what its filter lets through is counted anew a moment after each change.

const WAIT = 400;
const form = document.querySelector("[data-counted]");
const place = form.querySelector("[data-funnel]");
let timer = 0;
let asked = null;

async function count() {
  asked?.abort();
  asked = new AbortController();
  const wanted = new URLSearchParams(new FormData(form));
  wanted.delete("csrfmiddlewaretoken");
  place.setAttribute("aria-busy", "true");
  try {
    const response = await fetch(`${form.dataset.counted}?${wanted}`, { signal: asked.signal, headers: { Accept: "text/html" } });
    if (!response.ok) throw new Error(String(response.status));
    const part = new DOMParser().parseFromString(await response.text(), "text/html").querySelector("[data-funnel-part]");
    if (part) place.replaceChildren(document.importNode(part, true));
    place.removeAttribute("aria-busy");
  } catch (error) {
    if (error.name !== "AbortError") place.removeAttribute("aria-busy");
  }
}

form.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(count, WAIT);
});
count();
