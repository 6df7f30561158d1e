// The reading page of a document: paragraphs instead of raw lines, and the passage in view.

import { byId } from "./dom.js";
import { showPassage } from "./passage.js";

const LARGEST = 400_000; // characters; a longer text stays as the server sent it

const text = byId("document-text");
const mark = byId("passage");
if (text && text.textContent.length <= LARGEST) {
  const read = mark ? text.querySelector("[data-part=before]").textContent : text.textContent;
  const before = withoutTitle(read);
  const passage = mark ? mark.textContent : "";
  const after = mark ? text.querySelector("[data-part=after]").textContent : "";
  showPassage(text, before, passage, after);
  text.classList.add("set");
}
byId("passage")?.scrollIntoView(); // base.css leaves room above it

const from = document.referrer && new URL(document.referrer);
if (from && from.origin === location.origin && from.pathname.startsWith("/c/")) {
  document.querySelector("[data-testid=back]").href = from.pathname;
}

/** The title stands above already. */
function withoutTitle(content) {
  const title = document.querySelector("h1").textContent;
  return content.startsWith(title) ? content.slice(title.length).trimStart() : content;
}
