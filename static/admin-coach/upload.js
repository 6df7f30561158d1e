// The upload page: drop area, queue, live states.

import { chosenFiles, droppedFiles, sift } from "./files.js";
import { UploadQueue } from "./upload-queue.js";
import { UploadView } from "./upload-view.js";

const QUICK = 1000;
const SLOW = 5000;
const SAY_EACH = 8000;

const root = document.querySelector("[data-upload]");
const config = JSON.parse(document.getElementById("ac-upload-config").textContent);
const texts = { ...config.texts, documentUrl: config.pages.document };
const csrf = root.querySelector("[name=csrfmiddlewaretoken]").value;

const queue = new UploadQueue({ ...config.api, maxBytes: config.maxBytes, csrf, texts }, (row) => {
  view.draw(row, queue.rows);
  schedule(QUICK);
});
const view = new UploadView(root, texts, { retry: (row) => queue.retry(row), cancel: (row) => queue.cancel(row) });

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
root.querySelector("[data-cancel-all]").addEventListener("click", () => queue.cancelAll());
root.querySelector("[data-retry-all]").addEventListener("click", () => queue.retryFailed());
window.addEventListener("beforeunload", (event) => {
  // What is on the server goes on without this page; what is still here would be lost.
  if (queue.rows.some((row) => row.state === "queued" || row.state === "uploading")) event.preventDefault();
});

// --- live states -------------------------------------------------------------------------------
let timer = 0;
let said = 0;

function schedule(delay) {
  if (!timer && queue.waitingIds().length) timer = setTimeout(poll, document.hidden ? SLOW : delay);
}

async function poll() {
  let delay = QUICK;
  try {
    const ids = queue.waitingIds();
    const response = await fetch(config.api.states, {
      method: "POST",
      headers: { "X-CSRFToken": csrf, "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify({ ids }),
    });
    if (!response.ok) throw new Error(String(response.status));
    const { documents } = await response.json();
    const found = new Set(documents.map((state) => state.id));
    for (const state of documents) queue.update(state);
    for (const id of ids) if (!found.has(id)) queue.gone(id);
    root.toggleAttribute("data-offline", false);
  } catch {
    root.toggleAttribute("data-offline", true);
    delay = SLOW;
  }
  timer = 0;
  announce();
  schedule(delay);
}

function announce() {
  const finished = !queue.waitingIds().length;
  if (finished || Date.now() - said > SAY_EACH) {
    said = Date.now();
    view.say(view.summary ?? "");
  }
}

queue.addStored(config.documents);
