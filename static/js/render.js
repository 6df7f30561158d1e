// The one way text from a model or a document becomes elements. Everywhere else: textContent.
//
// Markdown → HTML (html off, no images) → DOMPurify (an allow-list) → citations as buttons, sentences without a
// source underlined → patched into the page.

const TAGS = ["p", "br", "strong", "em", "s", "ul", "ol", "li", "blockquote", "code", "pre", "a", "hr"].concat(
  ["h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"],
);
const ATTRIBUTES = ["href", "start"];
const LINKS = /^(?:https?:\/\/|mailto:)/i;
const CITATION = /\[(\d{1,4})\]/g;
// Around sentences without a source while Markdown is read: punctuation, so that bold beside it stays bold.
const [FROM, TO] = ["\u2e28", "\u2e29"];

let markdown = null;
let purify = null;
let loading = null;

/** Loads the two vendored libraries; call early, they are not needed for the first paint. */
export function loadRenderer() {
  loading ??= Promise.all([import("../vendor/markdown-it.min.js"), import("../vendor/purify.min.js")]).then(() => {
    markdown = configuredMarkdown(globalThis.markdownit);
    purify = configuredPurify(globalThis.DOMPurify);
  });
  return loading;
}

function configuredMarkdown(markdownit) {
  const md = markdownit({ html: false, linkify: false, breaks: true });
  md.disable(["image", "reference", "html_inline", "html_block"], true);
  md.validateLink = (url) => LINKS.test(url);
  // The page has its own first two levels of headings.
  md.core.ruler.push("lower_headings", (state) => {
    for (const token of state.tokens) {
      if (token.type.startsWith("heading_")) token.tag = `h${Math.min(6, Number(token.tag[1]) + 2)}`;
    }
  });
  return md;
}

function configuredPurify(purifier) {
  purifier.addHook("afterSanitizeAttributes", (node) => {
    if (node.tagName !== "A") return;
    if (!LINKS.test(node.getAttribute("href") ?? "")) {
      node.removeAttribute("href");
      return;
    }
    node.setAttribute("target", "_blank");
    node.setAttribute("rel", "noopener noreferrer nofollow");
  });
  return purifier;
}

/**
 * Shows Markdown in `target`. Only blocks that changed are replaced, so that a selection or the focus in
 * the part already written survives while the answer streams.
 * `sources`: the sources of the turn; [n] becomes a button for these numbers only and stays text for others.
 * `writing`: the text is not finished; bold that has begun is shown as bold.
 * `unsupported`: [[start, end], …] in characters (code points): sentences that no source supports; `tip` says so.
 */
export function showMarkdown(target, text, sources = [], writing = false, { unsupported = [], tip = "" } = {}) {
  if (!markdown) {
    target.textContent = text;
    loadRenderer().then(() => {
      if (target.textContent === text) showMarkdown(target, text, sources, writing, { unsupported, tip });
    });
    return;
  }
  const plain = unsupported.length ? fenced(text, unsupported) : text;
  const fragment = purify.sanitize(markdown.render(writing ? closed(plain) : plain), {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
  });
  if (unsupported.length) underline(fragment, tip);
  addCitations(fragment, new Map(sources.map((source) => [source.n, source])));
  for (const table of fragment.querySelectorAll("table")) {
    const frame = document.createElement("div");
    frame.className = "table-frame";
    frame.tabIndex = 0;
    table.replaceWith(frame);
    frame.append(table);
  }
  patch(target, fragment);
}

/** Ends what the last line has opened, so that no asterisks flash up while it is being written. */
function closed(text) {
  const from = text.lastIndexOf("\n") + 1;
  const line = text.slice(from).replace(/(?:\*|_)+$/, "");
  const open = (line.match(/\*\*/g)?.length ?? 0) % 2 === 1;
  return text.slice(0, from) + (open ? `${line.trimEnd()}**` : line);
}

function fenced(text, spans) {
  const points = [...text].map((point) => (point === FROM || point === TO ? "" : point));
  for (const [start, end] of spans) {
    if (!(start < end && end <= points.length)) continue;
    points[start] = FROM + points[start];
    points[end - 1] += TO;
  }
  return points.join("");
}

/** What stands between the two marks, piece by piece: a sentence may go on behind bold words. */
function underline(root, tip) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const nodes = [];
  while (walker.nextNode()) nodes.push(walker.currentNode);
  let inside = false;
  for (const node of nodes) {
    const pieces = node.data.split(/([\u2e28\u2e29])/);
    if (!inside && pieces.length === 1) continue;
    const parts = [];
    for (const piece of pieces) {
      if (piece === FROM || piece === TO) inside = piece === FROM;
      else if (piece && inside) parts.push(unsupportedPiece(piece, tip));
      else if (piece) parts.push(piece);
    }
    node.replaceWith(...parts);
  }
}

function unsupportedPiece(text, tip) {
  const span = document.createElement("span");
  span.className = "unsupported";
  span.title = tip;
  span.textContent = text;
  return span;
}

function patch(target, fragment) {
  const fresh = [...fragment.childNodes].filter((node) => node.nodeType === Node.ELEMENT_NODE || node.textContent.trim());
  const old = [...target.childNodes];
  for (let index = 0; index < fresh.length; index += 1) {
    if (index >= old.length) target.append(fresh[index]);
    else if (!old[index].isEqualNode(fresh[index])) old[index].replaceWith(fresh[index]);
  }
  for (const extra of old.slice(fresh.length)) extra.remove();
}

function addCitations(root, sources) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (!node.parentElement?.closest("code, pre, a") && node.data.includes("[")) found.push(node);
  }
  for (const node of found) node.replaceWith(...withButtons(node.data, sources));
}

function withButtons(text, sources) {
  const parts = [];
  let from = 0;
  for (const match of text.matchAll(CITATION)) {
    const source = sources.get(Number(match[1]));
    if (!source) continue;
    // A citation belongs to the word before it: no blank, no line break between them.
    parts.push(text.slice(from, match.index).replace(/ +$/, ""), citation(source));
    from = match.index + match[0].length;
  }
  parts.push(text.slice(from));
  return glued(parts);
}

/** The last word before a citation and the full stop after it stay on its line. */
function glued(parts) {
  const nodes = [];
  let span = null;
  for (let part of parts) {
    if (typeof part !== "string") {
      if (!span) {
        const before = nodes.pop() ?? "";
        const word = before.match(/\S{0,24}$/)[0];
        span = document.createElement("span");
        span.className = "glued";
        span.append(word);
        nodes.push(before.slice(0, before.length - word.length), span);
      }
      span.append(part);
    } else if (part !== "" || !span) {
      const mark = span ? part.match(/^[.,;:!?…)”’"]*/)[0] : "";
      span?.append(mark);
      span = null;
      nodes.push(part.slice(mark.length));
    }
  }
  return nodes.filter((node) => node !== "");
}

function citation(source) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "cite";
  button.dataset.testid = "citation";
  button.dataset.cite = String(source.n);
  button.dataset.tip = source.location ? `${source.title} · ${source.location}` : source.title;
  button.setAttribute("aria-label", `${source.n}: ${source.title}`);
  button.textContent = String(source.n);
  return button;
}
