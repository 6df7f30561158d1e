// The reasons one can give with a rating: chips, those that fit the stars.

import { el } from "./dom.js";
import { t } from "./texts.js";

let offered = [];

/** found: [{slug, text, shown_for}] of coach/selectors.py */
export function setReasons(found) {
  offered = found ?? [];
}

const fits = (reason, stars) =>
  reason.shown_for === "any" || stars === 3 || reason.shown_for === (stars < 3 ? "low" : "high");

/** The group, with `show(stars)`; `value.reasons` is kept up to date and `changed()` called. */
export function reasonGroup(value, changed) {
  const group = el("fieldset", { class: "reasons", "data-testid": "rating-reasons", hidden: true });
  const chip = (reason) =>
    el(
      "label",
      { class: "choice", "data-testid": `reason-${reason.slug}` },
      el("input", {
        type: "checkbox",
        checked: value.reasons.includes(reason.slug),
        on: {
          change: (event) => {
            const others = value.reasons.filter((slug) => slug !== reason.slug);
            value.reasons = event.currentTarget.checked ? [...others, reason.slug] : others;
            changed();
          },
        },
      }),
      el("span", {}, reason.text),
    );
  group.show = (stars) => {
    const now = offered.filter((reason) => fits(reason, stars));
    const key = now.map((reason) => reason.slug).join();
    // What no longer fits the stars is no longer said.
    value.reasons = value.reasons.filter((slug) => !offered.some((reason) => reason.slug === slug) || now.some((reason) => reason.slug === slug));
    group.hidden = !now.length;
    if (group.dataset.key === key) return;
    group.dataset.key = key;
    group.replaceChildren(el("legend", { class: "rating-label" }, t("reasons")), ...now.map(chip));
  };
  return group;
}
