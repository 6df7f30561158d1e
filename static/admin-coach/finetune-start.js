// The form of a fine-tune: shows the options of the chosen place, its base models, and what empty fields stand for.

const form = document.querySelector("[data-start]");
const { defaults, bases } = JSON.parse(document.getElementById("ac-suggestions").textContent);
const where = form.elements.where;
const dataset = form.elements.dataset;
const base = form.elements.base;

function showPlace(changed) {
  for (const group of form.querySelectorAll("[data-place]")) group.hidden = group.dataset.place !== where.value;
  const names = bases[where.value] ?? [];
  const list = document.getElementById("ac-bases");
  list.replaceChildren(...names.map((name) => Object.assign(document.createElement("option"), { value: name })));
  const fromElsewhere = Object.entries(bases).some(([place, some]) => place !== where.value && some.includes(base.value));
  if (changed && (!base.value || fromElsewhere)) base.value = names[0] ?? "";
}

function showDefaults() {
  const places = defaults[dataset.value] ?? {};
  for (const [place, options] of Object.entries(places)) {
    for (const [name, value] of Object.entries(options)) {
      const field = form.elements[`${place}_${name}`];
      if (field && field.type !== "checkbox") field.placeholder = value;
    }
  }
}

function outdate() {
  form.querySelector("[data-estimate]")?.setAttribute("hidden", "");
}

where.addEventListener("change", () => showPlace(true));
dataset.addEventListener("change", showDefaults);
form.addEventListener("input", outdate);
showPlace(false);
showDefaults();
