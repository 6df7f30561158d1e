// Runs before the first paint, so that a stored choice never flashes: the one classic script of the pages.
(() => {
  const key = "coach.theme";
  const root = document.documentElement;
  const stored = () => {
    try {
      const value = localStorage.getItem(key);
      return value === "light" || value === "dark" ? value : "auto";
    } catch {
      return "auto";
    }
  };
  const apply = (value) => {
    if (value === "auto") root.removeAttribute("data-theme");
    else root.setAttribute("data-theme", value);
  };
  apply(stored());
  document.addEventListener("DOMContentLoaded", () => {
    for (const input of document.querySelectorAll("#theme input")) {
      input.checked = input.value === stored();
      input.addEventListener("change", () => {
        apply(input.value);
        try {
          localStorage.setItem(key, input.value);
        } catch {
          // Storage is off: the choice holds for this page.
        }
      });
    }
  });
})();
