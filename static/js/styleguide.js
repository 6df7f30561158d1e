// The staff page /styleguide/: the real parts with made-up turns. Nothing here reaches the server.

import { byId, el, startTips } from "./dom.js";
import { showPassage } from "./passage.js";
import { setReasons } from "./reasons.js";
import { setTexts } from "./texts.js";
import { Thread } from "./thread.js";

const start = JSON.parse(byId("start-data").textContent);
setTexts(start.texts);
setReasons(start.reasons);

const source = (n, title, location) => ({ n, chunk: n, document: "", title, location, text: `${title}: the passage.`, score: 0.03 });
const SOURCES = [
  source(1, "How habits form, and how to build one", "What a habit is"),
  source(2, "How habits form, and how to build one", "How to build one, step by step"),
  source(3, "If-then plans (implementation intentions)", "An example"),
];
const MARKDOWN = `A **bold** thought with *care*, a source [1], another [3], a number without a source [9] and \`code [1]\`.

1. The first step [2].
2. The second step, with a [link](https://example.org/).

> A quotation.

| when | then |
|---|---|
| after breakfast | one line |

### A heading

What would you try first?`;

const CARD = {
  title: "You are not alone with this",
  intro: "If your life or someone else's is in danger, call now.",
  helplines: [
    { country: "Sweden", name: "SOS Alarm", phone: "112", note: "immediate danger" },
    { country: "Sweden", name: "Mind Självmordslinjen", phone: "90101", note: "day and night" },
    { country: "South Korea", name: "경찰 · 소방", phone: "112 / 119", note: "긴급 상황" },
  ],
};

const BASE = { answer: "", sources: [], citations: [], unsupported: [], notices: [], model: "", place: "", timings: {}, failure: "", rating: null, edit: null, regenerates: null, language: "", created: new Date().toISOString() };
const DONE = { state: "done", searched: true, answer: MARKDOWN, sources: SOURCES, citations: [1, 3, 2], model: "llamacpp:qwen2.5-coder-1.5b", place: "local", timings: { total: 4.2 } };

const TURNS = [
  { question: "Searching", state: "pending" },
  { question: "Reading", state: "running", searched: true, sources: SOURCES },
  { question: "Writing", state: "running", searched: true, sources: SOURCES, answer: "A habit grows from **repeating the same" },
  { question: "Finished, rated", ...DONE, rating: { rating: 4, helpful: true, reasons: ["clear"], comment: "Clear and kind." } },
  { question: "Improved", ...DONE, answer: "Start small [1].", citations: [1], edit: { text: "Start with **two minutes** after breakfast [1]." } },
  { question: "A sentence without a source", ...DONE, answer: "Start small [1]. **Nobody** has ever failed with this. What is your first step?", citations: [1], unsupported: [[19, 54]] },
  { question: "Cited one, in the cloud, after a fallback", ...DONE, answer: "Start small [1].", citations: [1], model: "openai:gpt-4o-mini", place: "cloud", notices: [{ code: "fallback", message: "The first language model did not answer, so another one took over." }] },
  { question: "Guided", ...DONE, answer: "“A habit is something you do almost automatically” [1].", citations: [1], model: "guided", notices: [{ code: "guided", message: "No language model is running. You get quoted passages instead of an answer." }] },
  { question: "Safety", ...DONE, answer: "Thank you for telling me.", sources: [], citations: [], notices: [{ code: "safety", message: CARD.title, card: CARD }] },
  { question: "Stopped", ...DONE, state: "stopped", answer: "A habit grows from" },
  { question: "Failed", state: "failed", failure: "No language model could answer just now. Try again in a moment." },
  { question: "한국어", ...DONE, language: "ko", answer: "**너무 쉽다고 느껴질 만큼 작게** 시작해 보세요 [1].", citations: [1] },
];

const thread = new Thread(byId("guide-thread"), { openSource: () => {}, regenerate: () => {}, resend: () => null, rated: () => null, changed: () => {}, limits: start.limits });
TURNS.forEach((turn, position) => thread.add({ ...BASE, ...turn, id: `guide-${position}`, position }));
thread.add({ ...BASE, ...DONE, id: "guide-sibling", position: TURNS.length - 1, question: "In other words", answer: "A second answer." });

showPassage(
  byId("guide-reading"),
  "What a habit is\n\nThe paragraph before the passage.\n\n",
  "The passage the coach read, as it stands in the document.",
  " The sentence after it.\n\n- An item\n- Another one",
);

for (const swatch of document.querySelectorAll(".swatch")) {
  const name = swatch.dataset.colour;
  const patch = el("span", { class: "swatch-colour" });
  patch.style.background = `var(--${name})`;
  swatch.append(patch, name);
}

startTips();
