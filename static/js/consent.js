// Consent to training: off by default, asked once after the first rating, always found in the menu.

import { ApiError, keepOut, saveConsent } from "./api.js";
import { announce, byId, el } from "./dom.js";
import { t } from "./texts.js";

const ASKED = "consent-asked";

export class Consent {
  #state;
  #dialog = byId("consent");
  #said = byId("consent-said");

  /** state: consent_state of coach/texts.py, or null without a session; current(): the open conversation or null */
  constructor(state, keptOut, current) {
    this.#state = state;
    this.current = current;
    byId("consent-open")?.addEventListener("click", () => this.open());
    byId("consent-close").addEventListener("click", () => this.#dialog.close());
    const given = byId("consent-given");
    const kept = byId("consent-kept-out");
    const cloud = byId("consent-cloud");
    if (given) {
      given.checked = Boolean(state?.training);
      given.addEventListener("change", () => this.#change(given, () => this.#save(given.checked, Boolean(cloud?.checked)), given.checked ? "consent_on" : "consent_off"));
    }
    if (cloud) {
      cloud.checked = Boolean(state?.cloud);
      cloud.addEventListener("change", () => this.#change(cloud, () => this.#save(cloud.checked || given.checked, cloud.checked), "consent_on"));
    }
    kept.checked = Boolean(keptOut);
    kept.addEventListener("change", () => this.#change(kept, () => keepOut(this.current(), kept.checked), kept.checked ? "kept_out_on" : "kept_out_off"));
  }

  open() {
    this.#say("", "");
    byId("consent-one").hidden = !this.current();
    this.#dialog.showModal();
  }

  /** One calm line under the first rating, never again. Null when there is nothing to ask. */
  question() {
    const state = this.#state;
    if (!state?.may || state.training || state.asked || wasAsked()) return null;
    rememberAsked();
    const line = el("div", { class: "consent-ask", role: "group", "aria-label": t("consent_ask"), "data-testid": "consent-ask" });
    const no = async () => {
      line.remove();
      await this.#save(false).catch(() => {}); // asked again on another machine at worst
    };
    const read = () => {
      line.remove();
      this.open();
    };
    line.append(
      el("p", {}, t("consent_ask")),
      el(
        "div",
        { class: "consent-row" },
        el("button", { type: "button", class: "button small", "data-testid": "consent-read", on: { click: read } }, t("consent_read")),
        el("button", { type: "button", class: "button small quiet", "data-testid": "consent-later", on: { click: no } }, t("consent_later")),
      ),
    );
    return line;
  }

  async #save(training, cloud = false) {
    this.#state = await saveConsent(training, cloud);
    const boxes = { "consent-given": this.#state.training, "consent-cloud": this.#state.cloud };
    for (const [id, checked] of Object.entries(boxes)) {
      const box = byId(id);
      if (box) box.checked = checked;
    }
  }

  // A box that is disabled while it has the focus swallows keys: Escape would not close the dialog meanwhile.
  async #change(box, save, done) {
    const wait = (event) => event.preventDefault();
    box.addEventListener("click", wait);
    box.setAttribute("aria-busy", "true");
    try {
      await save();
      this.#say(t(done), "saved");
      announce(t(done));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      box.checked = !box.checked;
      this.#say(error.message || t("consent_failed"), "failed");
    } finally {
      box.removeEventListener("click", wait);
      box.removeAttribute("aria-busy");
    }
  }

  #say(text, kind) {
    this.#said.className = `rating-state ${kind}`;
    this.#said.textContent = text;
  }
}

function wasAsked() {
  try {
    return localStorage.getItem(ASKED) !== null;
  } catch {
    return true; // a browser that remembers nothing would be asked for ever
  }
}

function rememberAsked() {
  try {
    localStorage.setItem(ASKED, "1");
  } catch {
    // asked this once
  }
}
