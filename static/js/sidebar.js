// The list of conversations, and the menus beside it.

import { deleteConversation, olderConversations, renameConversation } from "./api.js";
import { announce, byId, el, icon } from "./dom.js";
import { Finder } from "./find.js";
import { dayName, t } from "./texts.js";

export class Sidebar {
  #list = byId("conversations");
  #older = byId("older");
  #finder;
  #side = byId("side");
  #veil = byId("veil");

  /** current(): the id of the open conversation, or null */
  constructor(current) {
    this.current = current;
    byId("menu-open").addEventListener("click", () => this.#toggle(true));
    byId("menu-close").addEventListener("click", () => this.#toggle(false));
    this.#veil.addEventListener("click", () => this.#toggle(false));
    this.#list.addEventListener("click", (event) => {
      const button = event.target.closest(".delete, .rename");
      if (button?.matches(".delete")) this.#ask(button.closest("li"));
      else if (button) this.#rename(button.closest("li"));
    });
    this.#older.addEventListener("click", () => this.#more());
    this.#finder = new Finder((searching) => this.#searching(searching));
    closeMenusElsewhere();
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.#side.classList.contains("open")) this.#toggle(false);
    });
    this.#group();
  }

  /** A conversation that has just begun, on top of the list. */
  add(id, title) {
    const item = this.#item({ id, title, updated: new Date().toISOString() });
    item.querySelector("a").setAttribute("aria-current", "page");
    this.#list.prepend(item);
    this.#finder.offer();
    this.#group();
  }

  /** As templates/coach/_sidebar.html has it. */
  #item({ id, title, updated }) {
    const shown = title || t("new_conversation");
    const button = (name, label, symbol) =>
      el("button", { type: "button", class: `icon-button ${name}`, "data-testid": `${name}-conversation`, "aria-label": t(label, { title: shown }) }, icon(symbol));
    return el(
      "li",
      { "data-testid": "conversation", "data-id": id, "data-updated": updated },
      el("a", { href: `/c/${id}/` }, shown),
      button("rename", "rename_named", "pencil"),
      button("delete", "delete_named", "trash"),
    );
  }

  #searching(searching) {
    this.#list.hidden = searching;
    this.#older.hidden = searching || this.#older.dataset.end === "yes";
  }

  async #more() {
    const page = Number(this.#older.dataset.page);
    this.#older.disabled = true;
    this.#list.querySelector(".list-error")?.remove();
    try {
      const last = [...this.#list.querySelectorAll("li[data-id]")].at(-1);
      const before = last?.dataset.updated ?? new Date().toISOString(); // all that were shown are deleted
      const found = await olderConversations(before, page);
      const items = found.map((each) => this.#item(each));
      this.#list.append(...items);
      if (found.length < page) this.#older.dataset.end = "yes";
      this.#group();
      items[0]?.querySelector("a").focus();
    } catch (error) {
      this.#list.append(el("li", { class: "item-error list-error", role: "alert" }, error.message || t("older_failed")));
    }
    this.#older.disabled = false;
    this.#older.hidden = this.#older.dataset.end === "yes";
  }

  /** Enter or leaving the field saves, Escape leaves the name as it was. */
  #rename(item) {
    const link = item.querySelector("a");
    const field = el("input", { class: "name", maxlength: 120, "aria-label": t("name"), "data-testid": "name" });
    field.value = link.textContent;
    let open = true;
    const close = (back) => {
      open = false;
      field.replaceWith(link);
      if (back) item.querySelector(".rename").focus();
    };
    const save = async (back) => {
      if (!open) return;
      const before = link.textContent;
      const title = field.value.trim().replace(/\s+/g, " ");
      link.textContent = title || before;
      close(back);
      item.querySelector(".item-error")?.remove();
      if (!title || title === before) return;
      try {
        this.#named(item, link, before, (await renameConversation(item.dataset.id, title)).title);
      } catch (error) {
        link.textContent = before;
        item.append(el("p", { class: "item-error", role: "alert" }, error.message || t("rename_failed")));
      }
    };
    field.addEventListener("keydown", (event) => {
      if (event.isComposing || event.keyCode === 229) return; // ends a syllable, see composer.js
      if (event.key === "Enter") {
        event.preventDefault(); // the button that gets the focus would be pressed
        save(true);
      }
      if (event.key === "Escape") {
        event.stopPropagation();
        close(true);
      }
    });
    field.addEventListener("blur", () => save(false));
    link.replaceWith(field);
    field.focus();
    field.setSelectionRange(0, field.value.length, "backward"); // its beginning stays in sight
  }

  #named(item, link, before, title) {
    link.textContent = title;
    item.querySelector(".rename").setAttribute("aria-label", t("rename_named", { title }));
    item.querySelector(".delete").setAttribute("aria-label", t("delete_named", { title }));
    if (item.dataset.id === this.current()) document.title = document.title.replace(before, () => title);
    announce(title);
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
