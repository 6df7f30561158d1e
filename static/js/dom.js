// Elements without markup strings: text only ever goes in through textContent.

const SVG = "http://www.w3.org/2000/svg";

/** el("button", {class: "x", type: "button", "aria-label": "…", on: {click}}, child, "text", …) */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") {
      for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler);
    } else if (value === true) {
      node.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      node.setAttribute(name, String(value));
    }
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** An icon of the sprite in templates/coach/_icons.html. */
export function icon(name, className = "") {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("aria-hidden", "true");
  if (className) svg.setAttribute("class", className);
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

export function iconButton(name, label, attributes = {}) {
  return el("button", { type: "button", class: "icon-button", "aria-label": label, "data-tip": label, ...attributes }, icon(name));
}

export const byId = (id) => document.getElementById(id);

/** Read aloud by screen readers: finished answers and short confirmations, never single tokens. */
export function announce(text) {
  const live = byId("live");
  if (!live) return;
  live.textContent = "";
  requestAnimationFrame(() => {
    live.textContent = text;
  });
}

/** One tooltip for everything with data-tip; placed by script because it must never leave the window. */
export function startTips() {
  const tip = el("div", { class: "tip", role: "tooltip", id: "tip", hidden: true });
  document.body.append(tip);
  let owner = null;
  const hide = () => {
    tip.hidden = true;
    owner = null;
  };
  const show = (target) => {
    if (target === owner) return;
    owner = target;
    tip.textContent = target.dataset.tip;
    tip.hidden = false;
    const box = target.getBoundingClientRect();
    const size = tip.getBoundingClientRect();
    const left = Math.min(Math.max(8, box.left + box.width / 2 - size.width / 2), innerWidth - size.width - 8);
    const above = box.top - size.height - 8;
    tip.style.left = `${left}px`;
    tip.style.top = `${above > 8 ? above : box.bottom + 8}px`;
  };
  const enter = (event) => {
    if (event.type === "pointerover" && event.pointerType === "touch") return;
    const target = event.target instanceof Element ? event.target.closest("[data-tip]") : null;
    if (!target) hide();
    else if (event.type === "pointerover" || target.matches(":focus-visible")) show(target);
  };
  document.addEventListener("pointerover", enter);
  document.addEventListener("focusin", enter);
  document.addEventListener("focusout", hide);
  document.addEventListener("click", hide);
  document.addEventListener("scroll", hide, { capture: true, passive: true });
}
