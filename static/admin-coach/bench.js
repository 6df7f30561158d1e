// While the search runs, its button says so; a search that was left by "back" can be asked again.

const form = document.querySelector("[data-ask]");
const button = form.querySelector("button");

form.addEventListener("submit", () => {
  button.setAttribute("aria-busy", "true");
  button.disabled = true;
});
window.addEventListener("pageshow", () => {
  button.removeAttribute("aria-busy");
  button.disabled = false;
});
