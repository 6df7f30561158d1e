// The upload page: drop area, queue, live states.

import { chosenFiles, droppedFiles, sift } from "./files.js";
import { UploadQueue } from "./upload-queue.js";
import { UploadView } from "./upload-view.js";

const QUICK = 1000;
const SLOW = 5000;
const SAY_EACH = 8000;
const MANY = 200; // open files; then a look every two seconds is enough

const root = document.querySelector("[data-upload]");
const config = JSON.parse(document.getElementById("ac-upload-config").textContent);
const texts = { ...config.texts, documentUrl: config.pages.document };
const csrf = root.querySelector("[name=csrfmiddlewaretoken]").value;
const language = () => root.querySelector("[data-language]").value;

const queue = new UploadQueue({ ...config.api, maxBytes: config.maxBytes, csrf, texts, language }, (row) => {
  view.changed(row);
  schedule(QUICK);
});
const view = new UploadView(root, texts, queue, { retry: (row) => queue.retry(row), cancel: (row) => queue.cancel(row) });

function take(files) {
  const { wanted, left } = sift(files, config.suffixes);
  view.notice(left ? texts.leftOut.replace("%s", left) : "");
  if (wanted.length) view.say(texts.added.replace("%s", wanted.length));
  queue.addFiles(wanted);
}

// --- drop area ---------------------------------------------------------------------------------
const area = root.querySelector("[data-drop]");
let depth = 0;
const over = (inside) => area.toggleAttribute("data-over", inside);
area.addEventListener("dragenter", () => over(++depth > 0));
area.addEventListener("dragleave", () => over(--depth > 0));
area.addEventListener("drop", async (event) => {
  depth = 0;
  over(false);
  view.notice(texts.reading);
  take(await droppedFiles(event.dataTransfer));
});
// A file that misses the area must not replace the page.
for (const name of ["dragover", "drop"]) {
  window.addEventListener(name, (event) => {
    if ([...(event.dataTransfer?.types ?? [])].includes("Files")) event.preventDefault();
  });
}
for (const input of root.querySelectorAll("input[type=file]")) {
  // Unfold looks for a text field beside every file input that does not carry this mark.
  input.hasChangeListener = true;
  input.addEventListener("change", () => {
    take(chosenFiles(input));
    input.value = "";
  });
}
for (const button of root.querySelectorAll("[data-choose]")) {
  button.addEventListener("click", () => root.querySelector(button.dataset.choose).click());
}
root.querySelector("[data-address]")?.addEventListener("submit", (event) => {
  event.preventDefault();
  const field = event.target.elements.url;
  queue.addAddress(field.value.trim());
  field.value = "";
});
root.querySelector("[data-cancel-all]").addEventListener("click", async (event) => {
  event.target.disabled = true;
  await queue.cancelAll();
  event.target.disabled = false;
});
root.querySelector("[data-retry-all]").addEventListener("click", () => queue.retryFailed());
window.addEventListener("beforeunload", (event) => {
  // What is on the server goes on without this page; what is still here would be lost.
  if (queue.leaving) event.preventDefault();
});

// --- live states -------------------------------------------------------------------------------
let timer = 0;
let said = 0;

function schedule(delay) {
  if (!timer && queue.waiting.size) timer = setTimeout(poll, document.hidden ? SLOW : delay);
}

async function poll() {
  let delay = queue.waiting.size > MANY ? 2 * QUICK : QUICK;
  try {
    await queue.look();
    root.toggleAttribute("data-offline", false);
  } catch {
    root.toggleAttribute("data-offline", true);
    delay = SLOW;
  }
  timer = 0;
  view.later();
  announce();
  schedule(delay);
}

function announce() {
  if (!queue.counts.open || Date.now() - said > SAY_EACH) {
    said = Date.now();
    view.say(view.summary ?? "");
  }
}

queue.addStored(config.documents);
