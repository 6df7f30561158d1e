"""Finding one's conversations again in a real browser: search, a name of one's own, older ones, a file to keep."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.e2e.conftest import ask, finished, visit
from tests.live import Live

# As the page does it, so often that the list needs a second page.
MAKE_MANY = """async () => {
  const { startConversation } = await import(document.querySelector('link[href*="js/api"]').href);
  for (let n = 0; n < 103; n++) await startConversation("personal", "en", false);
}"""
ENDS_SYLLABLE = """field => {
  const options = { key: "Enter", code: "Enter", isComposing: true, bubbles: true };
  field.dispatchEvent(new KeyboardEvent("keydown", options));
}"""


def test_words_lead_back_to_a_conversation(guest: Page, house: Live) -> None:
    visit(guest, house, "pace-50-5-60")
    expect(guest.get_by_test_id("find")).to_be_hidden()
    expect(guest.get_by_test_id("download")).to_be_hidden()
    finished(ask(guest, "How do I talk with my Zebra about Ångström?"))
    address = guest.url
    guest.goto("/")
    words = guest.get_by_test_id("find-words")
    words.fill("ÅNGSTRÖM zebra")
    found = guest.get_by_test_id("found-conversation")
    expect(found).to_have_count(1)
    assert found.locator("mark").all_text_contents() == ["Zebra", "Ångström"]
    expect(guest.get_by_test_id("conversation")).to_be_hidden()
    words.fill("giraffe")
    expect(guest.get_by_test_id("found-none")).to_be_visible()
    expect(guest.get_by_test_id("live")).to_have_text("No conversation has these words.")
    words.press("Escape")
    expect(words).to_have_value("")
    expect(guest.get_by_test_id("conversation")).to_be_visible()
    words.press_sequentially("zebra")
    expect(found).to_have_count(1)
    words.press("Tab")
    guest.keyboard.press("Enter")
    expect(guest).to_have_url(address)


def test_a_name_of_ones_own(guest: Page, house: Live) -> None:
    visit(guest, house, "pace-50-5-60")
    finished(ask(guest, "What shall I do?"))
    stored = "SELECT title FROM coach_conversation WHERE id = ?"
    pk = guest.url.rstrip("/").rsplit("/", 1)[1].replace("-", "")
    item = guest.get_by_test_id("conversation")
    rename, name = item.get_by_test_id("rename-conversation"), item.get_by_test_id("name")
    rename.focus()
    guest.keyboard.press("Enter")
    expect(name).to_be_focused()
    guest.keyboard.type("Nothing")
    guest.keyboard.press("Escape")
    expect(item.get_by_role("link")).to_have_text("What shall I do?")
    expect(rename).to_be_focused()
    guest.keyboard.press("Enter")
    name.fill("상사와의 대화")
    name.evaluate(ENDS_SYLLABLE)
    expect(name).to_be_visible()
    guest.keyboard.press("Enter")
    expect(item.get_by_role("link")).to_have_text("상사와의 대화")
    expect(guest).to_have_title(re.compile("^상사와의 대화 · "))
    house.wait_for("the name", lambda: house.sql(stored, pk) == [("상사와의 대화",)])
    guest.route("**/api/v1/conversations/*", lambda route: route.abort("internetdisconnected"))
    rename.click()
    name.fill("Lost")
    guest.keyboard.press("Enter")
    expect(item.get_by_role("alert")).to_have_text("The name could not be saved. Try again.")
    expect(item.get_by_role("link")).to_have_text("상사와의 대화")
    guest.unroute("**/api/v1/conversations/*")
    guest.reload()
    expect(item.get_by_role("link")).to_have_text("상사와의 대화")


def test_a_conversation_is_downloaded(guest: Page, house: Live, tmp_path: Path) -> None:
    visit(guest, house, "pace-50-5-60")
    finished(ask(guest, "What is a goal?"))
    with guest.expect_download() as coming:
        guest.get_by_test_id("download").click()
    assert coming.value.suggested_filename == "what-is-a-goal.md"
    coming.value.save_as(tmp_path / "kept.md")
    kept = (tmp_path / "kept.md").read_text(encoding="utf-8")
    assert kept.startswith("# What is a goal?\n") and "\n> What is a goal?\n" in kept
    pk = guest.url.rstrip("/").rsplit("/", 1)[1].replace("-", "")
    [(answer,)] = house.sql("SELECT answer FROM coach_turn WHERE conversation_id = ?", pk)
    assert f"\n{answer}\n" in kept


def test_older_conversations_are_shown_on_demand(guest: Page, house: Live) -> None:
    guest.evaluate(MAKE_MANY)
    guest.goto("/")
    items = guest.get_by_test_id("conversation")
    expect(items).to_have_count(100)
    items.first.hover()
    items.first.get_by_test_id("delete-conversation").click()
    guest.get_by_test_id("confirm-yes").click()
    expect(items).to_have_count(99)
    guest.get_by_test_id("find-words").fill("zebra")
    expect(guest.get_by_test_id("older")).to_be_hidden()
    guest.get_by_test_id("find-words").press("Escape")
    guest.get_by_test_id("older").click()
    expect(items).to_have_count(102)
    assert len(set(items.evaluate_all("all => all.map(item => item.dataset.id)"))) == 102
    expect(items.nth(99).get_by_role("link")).to_be_focused()
    expect(guest.get_by_test_id("older")).to_be_hidden()
