// The map of a base: mouse, touch and keyboard, and the card of the point they mean.

import { MapView } from "./map-view.js";

const STEP = 60;
const MOVED = 4; // pixels from which a press is a move and no click
const root = document.querySelector("[data-map]");
const canvas = root.querySelector("canvas");
const card = root.querySelector("[data-card]");
const live = document.querySelector("[data-map-live]");
const { data: dataUrl, passage: passageUrl, texts } = JSON.parse(document.getElementById("ac-map-config").textContent);
const passages = new Map();
const pointers = new Map();
let view = null;
let points = [];
let questions = [];
let documents = [];
let moved = 0;
let spread = 0;
let asked = 0;

async function read(url) {
  const response = await fetch(url, { headers: { Accept: "application/json" } });
  if (!response.ok) throw new Error(response.status === 404 ? texts.gone : texts.unreachable);
  return response.json();
}

const NAMES = { asked: "--ac-asked", others: "--ac-others", strong: "--ac-strong", ground: "--ac-ground", back: "--ac-quiet" };
let colours = new Map();
function colourOf(name) {
  if (!colours.has(name)) colours.set(name, getComputedStyle(root).getPropertyValue(NAMES[name] ?? `--ac-c${name}`));
  return colours.get(name);
}

async function start() {
  const found = await read(dataUrl).catch(() => null);
  if (!found) {
    card.textContent = texts.unreachable;
    card.hidden = false;
    return;
  }
  documents = found.documents;
  const colour = (group) => found.groups[group]?.colour ?? "others";
  points = found.points.map(([chunk, number, x, y]) => {
    const { group } = documents[number];
    return { chunk, number, x, y, group, colour: colour(group) };
  });
  questions = found.questions;
  view = new MapView(canvas, points, questions, { colourOf });
  canvas.dataset.points = points.length;
  listen();
}

function element(name, text, properties = {}) {
  return Object.assign(document.createElement(name), { textContent: text, ...properties });
}

const urlOf = (point) => (point.chunk ? `${documents[point.number].url}?chunk=${point.chunk}` : point.url);

async function choose(point, { say = false } = {}) {
  if (view.chosen === point) return;
  view.chosen = point;
  view.later();
  card.hidden = !point;
  const mine = ++asked;
  if (!point) return;
  const link = element("a", point.chunk ? texts.openDocument : texts.openTurn, { href: urlOf(point), className: "ac-link" });
  if (!point.chunk) {
    card.replaceChildren(element("h3", texts.question), element("p", point.text || texts.private, { className: "ac-map-text" }), link);
  } else {
    const about = documents[point.number];
    const text = element("p", "…", { className: "ac-map-text", lang: about.language, dir: "auto" });
    const place = element("p", about.language, { className: "ac-note" });
    card.replaceChildren(element("h3", about.title, { lang: about.language }), place, text, link);
    const found = await passage(point.chunk);
    if (mine !== asked) return;
    text.textContent = found.text ?? found.problem;
    const page = found.page ? texts.page.replace("%s", found.page) : "";
    place.textContent = [about.language, found.headings, page].filter(Boolean).join(" · ");
  }
  if (say) live.textContent = card.textContent;
}

async function passage(chunk) {
  if (!passages.has(chunk)) {
    const found = await read(passageUrl.replace(/0\/$/, `${chunk}/`)).catch((error) => ({ problem: error.message }));
    if (found.problem) return found;
    passages.set(chunk, found);
  }
  return passages.get(chunk);
}

function place(event) {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

function listen() {
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, place(event));
    moved = pointers.size > 1 ? MOVED : 0;
    spread = 0;
    canvas.dataset.moving = "";
  });
  canvas.addEventListener("pointermove", onMove);
  canvas.addEventListener("pointerup", onUp);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("wheel", onWheel, { passive: false });
  canvas.addEventListener("keydown", onKey);
  for (const button of root.querySelectorAll("[data-zoom]")) {
    const factor = Number(button.dataset.zoom);
    button.addEventListener("click", () => (factor ? view.zoom(factor) : view.all()));
  }
  for (const button of document.querySelectorAll("[data-group]")) button.addEventListener("click", () => standOut(button));
  new MutationObserver(() => {
    colours = new Map();
    view.forget();
  }).observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
}

function onMove(event) {
  const [x, y] = place(event);
  const last = pointers.get(event.pointerId);
  if (!last) {
    if (event.pointerType === "mouse") choose(view.at(x, y) ?? (card.matches(":hover") ? view.chosen : null));
    return;
  }
  pointers.set(event.pointerId, [x, y]);
  moved += Math.hypot(x - last[0], y - last[1]);
  if (pointers.size === 1) {
    if (moved >= MOVED) view.move(x - last[0], y - last[1]);
    return;
  }
  const [[ax, ay], [bx, by]] = [...pointers.values()];
  const now = Math.hypot(ax - bx, ay - by);
  if (spread) view.zoom(now / spread, (ax + bx) / 2, (ay + by) / 2);
  spread = now;
}

function onUp(event) {
  const [x, y] = place(event);
  const click = pointers.has(event.pointerId) && pointers.size === 1 && moved < MOVED;
  release(event);
  if (!click) return;
  const point = view.at(x, y);
  if (point && event.pointerType === "mouse") open(point, event.ctrlKey || event.metaKey);
  else choose(point);
}

function release(event) {
  pointers.delete(event.pointerId);
  spread = 0;
  if (!pointers.size) delete canvas.dataset.moving;
}

function open(point, beside) {
  if (beside) window.open(urlOf(point), "_blank", "noopener");
  else location.assign(urlOf(point));
}

function onWheel(event) {
  event.preventDefault();
  view.zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.002)), ...place(event));
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const acts = {
    ArrowLeft: () => view.move(STEP, 0),
    ArrowRight: () => view.move(-STEP, 0),
    ArrowUp: () => view.move(0, STEP),
    ArrowDown: () => view.move(0, -STEP),
    "+": () => view.zoom(1.5),
    "=": () => view.zoom(1.5),
    "-": () => view.zoom(1 / 1.5),
    0: () => view.all(),
    n: () => step(1),
    p: () => step(-1),
    Enter: () => view.chosen && open(view.chosen, false),
    Escape: () => choose(null),
  };
  const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

// Through what can be seen: questions first, then passages in the order of their documents.
function step(by) {
  const seen = [...questions, ...points].filter((point) => view.isVisible(point));
  if (!seen.length) return;
  const at = seen.indexOf(view.chosen);
  choose(seen[at < 0 ? 0 : (at + by + seen.length) % seen.length], { say: true });
}

function standOut(button) {
  const on = button.getAttribute("aria-pressed") !== "true";
  for (const other of document.querySelectorAll("[data-group]")) other.setAttribute("aria-pressed", "false");
  button.setAttribute("aria-pressed", String(on));
  view.only = on ? Number(button.dataset.group) : null;
  view.later();
}

start();
