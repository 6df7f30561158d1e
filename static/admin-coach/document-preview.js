// Passages and the text or its pages beside each other: what is chosen in one place is shown in the other.

const root = document.querySelector("[data-preview]");
const paper = root.querySelector("[data-paper]");
const list = root.querySelector("[data-list]");
const calm = matchMedia("(prefers-reduced-motion: reduce)");

/**
 * from: the column that was clicked in, null for none
 * wanted: the number of the page to show, of those the passage stands on; the first one unless said
 * follow: a link was used, so the other column comes into sight where the columns stand upon each other
 */
function choose(chunk, from, wanted = "", follow = false) {
  for (const one of root.querySelectorAll("[data-chunk]")) one.toggleAttribute("data-chosen", one.dataset.chunk === chunk);
  const passage = list.querySelector(`[data-chunk="${chunk}"]`);
  const pages = passage?.dataset.onPages?.trim().split(" ") ?? [];
  for (const one of paper.querySelectorAll("[data-page]")) one.toggleAttribute("data-chosen", pages.includes(one.dataset.page));
  const page = wanted || pages[0];
  if (from !== paper) show(paper.querySelector(page ? `[data-page="${page}"]` : `[data-chunk="${chunk}"]`), paper, follow);
  if (from !== list) show(passage, list, follow);
}

/** Scrolls the column alone; the page moves only where the columns stand upon each other. */
function show(element, column, follow) {
  if (!element) return;
  const behavior = calm.matches ? "auto" : "smooth";
  if (column.scrollHeight > column.clientHeight + 1) {
    const top = element.getBoundingClientRect().top - column.getBoundingClientRect().top + column.scrollTop;
    column.scrollTo({ top: top - 24, behavior });
    const { top: from, bottom: to } = column.getBoundingClientRect();
    if (follow && (to < 80 || from > innerHeight - 80)) column.scrollIntoView({ block: "center", behavior });
  } else element.scrollIntoView({ block: "nearest", behavior });
}

for (const column of [paper, list]) {
  column.addEventListener("click", (event) => {
    const found = event.target.closest("[data-chunk]");
    if (!found || getSelection().toString()) return;
    const link = event.target.closest("a");
    if (link) event.preventDefault();
    choose(found.dataset.chunk, column, link?.dataset.goto, Boolean(link));
  });
}
/** A picture that did not come leaves its sentence. */
function missing(image) {
  image.hidden = true;
  image.nextElementSibling.hidden = false;
}
for (const image of paper.querySelectorAll("img")) {
  if (image.complete && !image.naturalWidth) missing(image);
  else image.addEventListener("error", () => missing(image));
}
const first = root.dataset.chosen || location.hash.match(/^#(?:passage|text)-(\d+)$/)?.[1];
if (first) choose(first, null);
