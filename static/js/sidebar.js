// The list of conversations, and the menus beside it.

import { deleteConversation } from "./api.js";
import { byId, el, icon } from "./dom.js";
import { dayName, t } from "./texts.js";

export class Sidebar {
  #list = byId("history");
  #side = byId("side");
  #veil = byId("veil");

  /** current(): the id of the open conversation, or null */
  constructor(current) {
    this.current = current;
    byId("menu-open").addEventListener("click", () => this.#toggle(true));
    byId("menu-close").addEventListener("click", () => this.#toggle(false));
    this.#veil.addEventListener("click", () => this.#toggle(false));
    this.#list.addEventListener("click", (event) => {
      const button = event.target.closest(".delete");
      if (button) this.#ask(button.closest("li"));
    });
    closeMenusElsewhere();
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.#side.classList.contains("open")) this.#toggle(false);
    });
    this.#group();
  }

  /** A conversation that has just begun, on top of the list. */
  add(id, title) {
    const item = el(
      "li",
      { "data-testid": "conversation", "data-id": id, "data-updated": new Date().toISOString() },
      el("a", { href: `/c/${id}/`, "aria-current": "page" }, title),
      el("button", { type: "button", class: "icon-button delete", "data-testid": "delete-conversation", "aria-label": t("delete_named", { title }) }, icon("trash")),
    );
    this.#list.querySelector("ul").prepend(item);
    this.#group();
  }

  #toggle(open) {
    this.#side.classList.toggle("open", open);
    this.#veil.hidden = !open;
    byId("main").inert = open;
    byId("menu-open").setAttribute("aria-expanded", String(open));
    byId(open ? "menu-close" : "menu-open").focus();
  }

  /** Headings by day, in the reader's own time zone. */
  #group() {
    for (const heading of this.#list.querySelectorAll(".day")) heading.remove();
    let last = "";
    for (const item of this.#list.querySelectorAll("li[data-id]")) {
      const day = dayName(new Date(item.dataset.updated));
      if (day !== last) item.before(el("li", { class: "day" }, day));
      last = day;
    }
  }

  #ask(item) {
    const dialog = byId("confirm");
    const title = item.querySelector("a").textContent;
    byId("confirm-name").textContent = title;
    dialog.returnValue = "no";
    dialog.addEventListener("close", () => dialog.returnValue === "yes" && this.#delete(item), { once: true });
    dialog.showModal();
  }

  async #delete(item) {
    try {
      await deleteConversation(item.dataset.id);
    } catch (error) {
      if (error.status !== 404) {
        item.append(el("p", { class: "item-error", role: "alert" }, error.message || t("delete_failed")));
        return;
      }
    }
    if (item.dataset.id === this.current()) {
      location.assign("/");
      return;
    }
    item.remove();
    this.#group();
  }
}

function closeMenusElsewhere() {
  const close = (except) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) if (menu !== except) menu.open = false;
  };
  document.addEventListener("click", (event) => close(event.target.closest("details.menu")));
  document.addEventListener("keydown", (event) => {
    const open = event.key === "Escape" && event.target.closest("details.menu[open]");
    if (open) {
      open.open = false;
      open.querySelector("summary").focus();
    }
  });
}
