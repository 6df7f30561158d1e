// Sliders say their percent.

document.addEventListener("input", (event) => {
  const slider = event.target.closest("[data-share]");
  if (slider) slider.closest("form").querySelector("output").textContent = `${slider.value} %`;
});
