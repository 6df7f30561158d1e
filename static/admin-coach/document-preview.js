// Passages and the text beside each other: the one that is chosen in one place is shown in the other.

const root = document.querySelector("[data-preview]");
const paper = root.querySelector("[data-paper]");
const list = root.querySelector("[data-list]");
const calm = matchMedia("(prefers-reduced-motion: reduce)");

function choose(chunk, from) {
  for (const one of root.querySelectorAll("[data-chunk]")) one.toggleAttribute("data-chosen", one.dataset.chunk === chunk);
  if (from !== paper) show(paper.querySelector(`[data-chunk="${chunk}"]`), paper);
  if (from !== list) show(list.querySelector(`[data-chunk="${chunk}"]`), list);
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
const first = root.dataset.chosen || location.hash.match(/^#(?:passage|text)-(\d+)$/)?.[1];
if (first) choose(first, null);
