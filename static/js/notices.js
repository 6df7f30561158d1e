// Notices of a turn: the safety card stands above the answer, everything else is a quiet line.

import { el, icon } from "./dom.js";
import { t } from "./texts.js";

export function noticeElement(notice) {
  if (notice.code === "safety" && notice.card) return safetyCard(notice);
  return el(
    "p",
    { class: "notice", "data-testid": "notice", "data-code": notice.code },
    icon("alert"),
    el("span", {}, notice.message ?? ""),
  );
}

function safetyCard(notice) {
  const card = notice.card;
  const [first, ...others] = byCountry(card);
  return el(
    "section",
    { class: "safety", "data-testid": "safety-card", "data-code": "safety", role: "note" },
    el("h3", { class: "safety-title" }, icon("heart"), card.title || notice.message),
    card.intro ? el("p", { class: "safety-intro" }, card.intro) : null,
    first ? lines(first) : null,
    others.length
      ? el("details", { class: "safety-more" }, el("summary", {}, icon("chevron"), t("other_countries")), ...others.map(lines))
      : null,
  );
}

/** [[country, lines], …] in the order of the card: the coachee's country comes first. */
function byCountry(card) {
  const groups = new Map();
  for (const line of card.helplines ?? []) groups.set(line.country, [...(groups.get(line.country) ?? []), line]);
  return [...groups];
}

function lines([country, helplines]) {
  return el(
    "div",
    { class: "safety-country" },
    country ? el("h4", {}, country) : null,
    el("ul", {}, ...helplines.map(helpline)),
  );
}

function helpline(line) {
  const name = /^https?:\/\//.test(line.url ?? "")
    ? el("a", { href: line.url, target: "_blank", rel: "noopener noreferrer" }, line.name)
    : line.name;
  return el(
    "li",
    {},
    el("span", { class: "safety-name" }, name, line.note ? el("span", { class: "safety-note" }, line.note) : null),
    el("span", { class: "safety-phones" }, ...phones(line)),
  );
}

/** "112 / 119" are two numbers to call. */
function phones(line) {
  return String(line.phone ?? "")
    .split("/")
    .map((phone) => phone.trim())
    .filter(Boolean)
    .map((phone) =>
      el(
        "a",
        { class: "safety-phone", href: `tel:${phone.replace(/[^\d+]/g, "")}`, "aria-label": `${t("call", { name: line.name })}: ${phone}` },
        icon("phone"),
        phone,
      ),
    );
}
