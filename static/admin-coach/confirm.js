// A button with data-confirm asks first; its own words stand on the button that says yes.

const dialog = document.querySelector("[data-dialog]");
const yes = dialog.querySelector("[data-yes]");
let asked = null;

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-confirm]");
  if (!button || button === asked) return;
  event.preventDefault();
  dialog.querySelector("p").textContent = button.dataset.confirm;
  yes.textContent = button.textContent;
  yes.classList.toggle("ac-danger", button.classList.contains("ac-danger"));
  yes.classList.toggle("ac-primary", !button.classList.contains("ac-danger"));
  yes.onclick = () => {
    asked = button;
    dialog.close();
    button.click();
    asked = null;
  };
  dialog.showModal();
});
dialog.querySelector("[data-no]").addEventListener("click", () => dialog.close());
