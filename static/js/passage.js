// A passage within its document: paragraphs from plain text, the passage in <mark>. Text nodes only.

import { el } from "./dom.js";

// A line without a full stop that stands alone is a heading of the document.
const HEADING = /^[^\n]{1,90}[^\n.!?。:;,…]$/;
const ITEM = /^\s*(?:[-•*]|\d{1,2}[.)])\s/;

/** Fills `target`. The first <mark> has the id `passage`. */
export function showPassage(target, before, passage, after) {
  const text = before + passage + after;
  const start = before.length;
  const end = start + passage.length;
  const nodes = [];
  let first = true;
  for (const [from, to] of blocks(text)) {
    const block = paragraph(text.slice(from, to));
    const low = Math.max(from, start);
    const high = Math.min(to, end);
    if (low < high) {
      const mark = el("mark", first ? { id: "passage" } : {}, text.slice(low, high));
      first = false;
      block.append(text.slice(from, low), mark, text.slice(high, to));
    } else {
      block.append(text.slice(from, to));
    }
    nodes.push(block);
  }
  target.replaceChildren(...nodes);
}

/** [from, to] of each paragraph, and of each item of a list. */
function* blocks(text) {
  for (const match of text.matchAll(/[^\n](?:[^\n]|\n(?!\s*\n))*/g)) {
    let from = match.index;
    if (ITEM.test(match[0])) {
      for (const next of match[0].matchAll(/\n(?=\s*(?:[-•*]|\d{1,2}[.)])\s)/g)) {
        yield [from, match.index + next.index];
        from = match.index + next.index + 1;
      }
    }
    yield [from, match.index + match[0].length];
  }
}

function paragraph(text) {
  if (ITEM.test(text)) return el("p", { class: "reading-list" });
  return HEADING.test(text.trim()) ? el("p", { class: "reading-heading" }) : el("p");
}

/** Cuts a context that begins or ends inside a sentence at the next blank and says so with an ellipsis. */
export function shorten(before, after, limit) {
  const head = before.length >= limit ? `…${before.slice(Math.max(0, before.search(/\s/)))}` : before;
  const tail = after.length >= limit ? `${after.slice(0, after.search(/\s\S*$/))} …` : after;
  return [head, tail];
}
