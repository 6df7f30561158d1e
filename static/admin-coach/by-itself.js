// The index has changed since the map was drawn: ask for a new one.

document.querySelector("[data-by-itself]")?.requestSubmit();
