// Words and numbers in the language of the page; the words come translated from coach/texts.py.

const language = document.documentElement.lang || "en";
let texts = {};

export function setTexts(found) {
  texts = found;
}

/** t("reading_many", {n: 3}) */
export function t(key, values = {}) {
  const text = texts[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

export function seconds(value) {
  const digits = value < 10 ? 1 : 0;
  return new Intl.NumberFormat(language, {
    style: "unit",
    unit: "second",
    unitDisplay: "short",
    maximumFractionDigits: digits,
  }).format(value);
}

export function clock(date) {
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(date);
}

/** "Today", "Yesterday", the weekday within a week, else the month. */
export function dayName(date, now = new Date()) {
  const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate());
  const days = Math.floor((midnight - new Date(date.getFullYear(), date.getMonth(), date.getDate())) / 86400000 + 0.5);
  if (days <= 0) return t("today");
  if (days === 1) return t("yesterday");
  if (days < 7) return new Intl.DateTimeFormat(language, { weekday: "long" }).format(date);
  return new Intl.DateTimeFormat(language, { month: "long", year: "numeric" }).format(date);
}

export function greeting(hour = new Date().getHours()) {
  if (hour >= 5 && hour < 12) return t("morning");
  return hour >= 12 && hour < 18 ? t("afternoon") : t("evening");
}
