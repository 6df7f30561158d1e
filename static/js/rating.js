// Five stars, reasons, helpful or not, a comment. Saved at each change; quiet until it is used.

import { ApiError, rateTurn, takeRatingBack } from "./api.js";
import { el, icon } from "./dom.js";
import { reasonGroup } from "./reasons.js";
import { t } from "./texts.js";

let serial = 0;

/** The element; `turn.rating` is {rating, helpful, reasons, comment} or null and is kept up to date. rated(): called
 * when a rating was saved; what it gives, if anything, is shown below. */
export function ratingElement(turn, rated) {
  serial += 1;
  const name = `rating-${serial}`;
  const value = { rating: 0, helpful: null, reasons: [], comment: "", ...turn.rating };
  const state = el("span", { class: "rating-state", "data-testid": "rating-state", role: "status" });
  const comment = el("textarea", { rows: 2, maxlength: 2000, id: `${name}-comment`, "data-testid": "rating-comment", placeholder: t("comment_hint") });
  comment.value = value.comment;
  const more = el("div", { class: "rating-more", "data-testid": "rating-more", hidden: true });

  const save = async () => {
    if (!value.rating) return;
    state.className = "rating-state";
    state.textContent = t("saving");
    value.comment = comment.value.trim();
    try {
      turn.rating = await rateTurn(turn.id, value);
      state.classList.add("saved");
      state.textContent = t("saved");
      back.hidden = false;
      const asked = rated?.();
      if (asked) element.append(asked);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      state.classList.add("failed");
      state.textContent = error.message || t("rating_failed");
    }
  };
  let timer = 0; // arrow keys pass over stars: the last one counts
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(save, 250);
  };
  const open = () => {
    more.hidden = false;
  };
  const close = () => {
    if (!state.classList.contains("saved")) return;
    more.hidden = true;
    element.querySelector(".stars :checked")?.focus();
  };

  const reasons = reasonGroup(value, soon);
  const takeBack = async () => {
    clearTimeout(timer);
    try {
      await takeRatingBack(turn.id);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.status !== 404) {
        state.className = "rating-state failed";
        state.textContent = error.message || t("rating_failed");
        return;
      }
    }
    turn.rating = null;
    const fresh = ratingElement(turn, rated);
    element.replaceWith(fresh);
    fresh.querySelector(".rating-state").textContent = t("taken_back");
    fresh.querySelector(".stars input").focus();
  };
  const back = el("button", { type: "button", class: "button small quiet", "data-testid": "rating-take-back", hidden: !value.rating, on: { click: takeBack } }, t("take_back"));

  more.append(
    reasons,
    choice(name, value, soon),
    el("label", { class: "rating-label", for: comment.id }, t("comment")),
    comment,
    el(
      "div",
      { class: "consent-row" },
      el("button", { type: "button", class: "button small", "data-testid": "rating-save", on: { click: () => save().then(close) } }, t("save")),
      back,
    ),
  );
  if (value.rating) reasons.show(value.rating);
  const pick = (stars) => {
    value.rating = stars;
    reasons.show(stars);
    soon();
  };
  const stars = starGroup(name, value.rating, pick);
  // A click on the star that is set already changes nothing, but opens what was said with it.
  stars.addEventListener("click", open);
  stars.addEventListener("change", open);
  const element = el("div", { class: "rating", "data-testid": "rating" }, el("div", { class: "rating-row" }, stars, state), more);
  return element;
}

function starGroup(name, picked, pick) {
  const stars = [1, 2, 3, 4, 5].map((n) =>
    el(
      "label",
      { class: "star", "data-testid": `star-${n}` },
      el("input", { type: "radio", name: `${name}-stars`, value: n, checked: n === picked, on: { change: () => pick(n) } }),
      icon("star"),
      el("span", { class: "sr-only" }, n === 1 ? t("star_one") : t("star_many", { n })),
    ),
  );
  return el("fieldset", { class: "stars", "data-testid": "rating-stars" }, el("legend", { class: "sr-only" }, t("rate")), ...stars);
}

function choice(name, value, changed) {
  const option = (label, wanted, testid) =>
    el(
      "label",
      { class: "choice", "data-testid": testid },
      el("input", {
        type: "radio",
        name: `${name}-helpful`,
        checked: value.helpful === wanted,
        on: {
          change: () => {
            value.helpful = wanted;
            changed();
          },
        },
      }),
      el("span", {}, label),
    );
  return el(
    "fieldset",
    { class: "helpful" },
    el("legend", { class: "rating-label" }, t("helpful")),
    option(t("yes"), true, "helpful-yes"),
    option(t("no"), false, "helpful-no"),
  );
}
