// Passages and the text or its pages beside each other: what is chosen in one place is shown in the other.

const root = document.querySelector("[data-preview]");
const paper = root.querySelector("[data-paper]");
const list = root.querySelector("[data-list]");
const calm = matchMedia("(prefers-reduced-motion: reduce)");

function choose(chunk, from) {
  for (const one of root.querySelectorAll("[data-chunk]")) one.toggleAttribute("data-chosen", one.dataset.chunk === chunk);
  const passage = list.querySelector(`[data-chunk="${chunk}"]`);
  const page = passage?.dataset.onPage;
  for (const one of paper.querySelectorAll("[data-page]")) one.toggleAttribute("data-chosen", one.dataset.page === page);
  if (from !== paper) show(paper.querySelector(page ? `[data-page="${page}"]` : `[data-chunk="${chunk}"]`), paper);
  if (from !== list) show(passage, list);
}

/** Scrolls the column alone; the page moves only where the columns stand upon each other. */
function show(element, column) {
  if (!element) return;
  const behavior = calm.matches ? "auto" : "smooth";
  if (column.scrollHeight > column.clientHeight + 1) {
    const top = element.getBoundingClientRect().top - column.getBoundingClientRect().top + column.scrollTop;
    column.scrollTo({ top: top - 24, behavior });
  } else element.scrollIntoView({ block: "nearest", behavior });
}

for (const column of [paper, list]) {
  column.addEventListener("click", (event) => {
    const found = event.target.closest("[data-chunk]");
    if (!found || getSelection().toString()) return;
    if (event.target.closest("a")) event.preventDefault();
    choose(found.dataset.chunk, column);
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
