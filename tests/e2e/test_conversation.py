"""A conversation as people have it, with the small real model, in a real browser."""

from __future__ import annotations

import json
import re

from playwright.sync_api import BrowserContext, Page, expect

from bench.client import plain
from bench.fake_model import answer_text
from tests.e2e.conftest import Admin, ask, choose, finished, shown_text, stored_text, visit
from tests.live import Live

QUESTION = "What is the GROW model and how do I use it?"


def test_the_first_visit_makes_the_administrator(house: Live, ada: Admin, page: Page) -> None:
    """The fixture `ada` is the visit itself; afterwards the page is closed for good."""
    rows = house.sql("SELECT username, is_superuser, is_guest FROM accounts_user WHERE is_superuser")
    assert rows == [(ada.name, 1, 0)]
    answer = page.request.get("/welcome/")
    assert answer.status == 404


def test_the_administrator_chats_and_comes_back(signed_in: Page, house: Live) -> None:
    visit(signed_in, house, "pace-50-5-60")
    answer = ask(signed_in, QUESTION)
    turn = finished(answer)
    address = signed_in.url
    rows = house.sql(
        "SELECT u.username FROM coach_turn t JOIN coach_conversation c ON c.id = t.conversation_id"
        " JOIN accounts_user u ON u.id = c.owner_id WHERE t.id = ?",
        turn.replace("-", ""),
    )
    assert rows == [("ada",)]
    signed_in.goto("/")
    signed_in.get_by_test_id("conversation").first.get_by_role("link").click()
    expect(signed_in).to_have_url(address)
    assert shown_text(signed_in.get_by_test_id("answer").first) == stored_text(house, turn)


def test_a_guest_asks_reads_a_source_rates_and_finds_it_again(guest: Page, house: Live) -> None:
    choose(guest, "personal")
    answer = ask(guest, QUESTION)
    text = answer.get_by_test_id("answer-text")
    expect(answer).to_have_attribute("data-state", "running")
    expect(text).to_have_text(re.compile(r"\w+"))
    first_seen = shown_text(answer)
    turn = finished(answer)
    assert len(shown_text(answer)) >= len(first_seen) > 0
    assert shown_text(answer) == stored_text(house, turn)
    expect(answer.get_by_test_id("model")).to_contain_text(re.compile("smollm2", re.IGNORECASE))
    _open_first_source(guest, house, turn)
    _rate(guest, house, turn)
    address = guest.url
    assert "/c/" in address
    guest.goto("/")
    guest.get_by_test_id("conversation").first.get_by_role("link").click()
    expect(guest).to_have_url(address)
    again = guest.get_by_test_id("answer")
    expect(again).to_have_count(1)
    assert shown_text(again) == stored_text(house, turn)
    expect(again.get_by_test_id("rating-stars").locator("input:checked")).to_have_value("4")


def _open_first_source(page: Page, house: Live, turn: str) -> None:
    """The chip opens the panel with the very passage marked, as it is stored with the conversation."""
    also = page.get_by_test_id("also-read")
    if also.count():
        also.first.locator("summary").click()
    chip = page.get_by_test_id("source").first
    number = int(chip.get_attribute("data-n") or 0)
    chip.click()
    panel = page.get_by_test_id("source-panel")
    expect(panel).to_be_visible()
    [(title, passage)] = house.sql(
        "SELECT s.title, s.text FROM coach_source s JOIN coach_turn t ON t.conversation_id = s.conversation_id"
        " WHERE t.id = ? AND s.n = ?",
        turn.replace("-", ""),
        number,
    )
    expect(panel.get_by_test_id("source-title")).to_have_text(title)
    expect(panel.locator("mark").first).to_be_visible()
    marked = "".join(panel.locator("mark").all_text_contents())
    assert re.sub(r"\s+", "", marked) == re.sub(r"\s+", "", passage)
    with (
        page.context.expect_page()
        if panel.get_by_test_id("source-document").get_attribute("target")
        else page.expect_navigation()
    ):
        panel.get_by_test_id("source-document").click()
    document = page.context.pages[-1]
    expect(document.get_by_test_id("document")).to_be_visible()
    expect(document.locator("mark").first).to_be_in_viewport()
    whole = "".join(document.locator("mark").all_text_contents())
    assert re.sub(r"\s+", "", whole) == re.sub(r"\s+", "", passage)
    page.go_back()
    expect(page.get_by_test_id("answer").first).to_have_attribute("data-state", "done")


def _rate(page: Page, house: Live, turn: str) -> None:
    answer = page.get_by_test_id("answer").first
    answer.get_by_test_id("star-4").click()
    answer.get_by_test_id("helpful-yes").click()
    answer.get_by_test_id("rating-comment").fill("Very clear – tack! 고마워요")
    answer.get_by_test_id("rating-save").click()
    expect(answer.get_by_test_id("rating-state")).to_have_class(re.compile("saved"))
    rows = "SELECT rating, helpful, comment FROM coach_rating WHERE turn_id = ?"
    wanted = [(4, 1, "Very clear – tack! 고마워요")]
    house.wait_for("the rating", lambda: house.sql(rows, turn.replace("-", "")) == wanted)


def test_clicking_a_citation_opens_its_source(guest: Page, house: Live) -> None:
    """The paced fake model cites [1] and [2], so that there is a citation to click every time."""
    visit(guest, house, "pace-50-5-60")
    answer = ask(guest, QUESTION)
    turn = finished(answer)
    citation = answer.get_by_test_id("citation").first
    number = re.sub(r"\D", "", citation.inner_text())
    citation.click()
    panel = guest.get_by_test_id("source-panel")
    expect(panel).to_be_visible()
    [(title,)] = house.sql(
        "SELECT s.title FROM coach_source s JOIN coach_turn t ON t.conversation_id = s.conversation_id"
        " WHERE t.id = ? AND s.n = ?",
        turn.replace("-", ""),
        int(number),
    )
    expect(panel.get_by_test_id("source-title")).to_have_text(title)
    guest.keyboard.press("Escape")
    expect(panel).to_be_hidden()


def test_a_refresh_in_mid_answer_loses_nothing(guest: Page, house: Live) -> None:
    pace = "pace-50-40-100"
    visit(guest, house, pace)
    answer = ask(guest, QUESTION)
    expect(answer.get_by_test_id("answer-text")).to_contain_text("small step")
    guest.reload()
    again = guest.get_by_test_id("answer")
    expect(again).to_have_count(1)
    assert again.get_attribute("data-state") != "done"
    turn = finished(again)
    assert shown_text(again) == stored_text(house, turn)
    assert plain(house.turn_row(turn)["answer"]) == plain(answer_text(pace))
    assert house.sql(
        "SELECT count(*) FROM coach_turn WHERE question = ? AND id = ?", QUESTION, turn.replace("-", "")
    ) == [(1,)]


def test_a_connection_that_breaks_in_mid_answer_is_taken_up_again(guest: Page, house: Live) -> None:
    pace = "pace-50-40-101"
    visit(guest, house, pace)
    answer = ask(guest, QUESTION)
    expect(answer.get_by_test_id("answer-text")).to_contain_text("small step")
    house.kill("web")
    turn = finished(answer)
    assert shown_text(answer) == stored_text(house, turn)
    assert plain(house.turn_row(turn)["answer"]) == plain(answer_text(pace))
    house.wait_until_ready()


def test_stop_stops_the_model_and_keeps_the_text(guest: Page, house: Live) -> None:
    visit(guest, house, "pace-50-50-2000")
    left = house.model.stats()["left"]
    answer = ask(guest, QUESTION)
    expect(answer.get_by_test_id("answer-text")).to_contain_text("small step")
    guest.get_by_test_id("stop").click()
    turn = finished(answer, "stopped")
    assert shown_text(answer) == stored_text(house, turn) != ""
    house.wait_for("the end of the model's answer", lambda: house.model.stats()["left"] == left + 1)
    assert house.model.stats()["active"] == 0
    expect(guest.get_by_test_id("send")).to_be_visible()


def test_stop_frees_the_real_model_too(guest: Page, house: Live) -> None:
    choose(guest, "personal")
    answer = ask(guest, "Tell me a very long story about a person who builds a habit. Use at least one thousand words.")
    expect(answer.get_by_test_id("answer-text")).to_have_text(re.compile(r"\w+"))
    guest.get_by_test_id("stop").click()
    finished(answer, "stopped")
    house.wait_for("an idle model server", lambda: not house.busy_slots())


def test_two_tabs_show_the_same_conversation(guest: Page, context: BrowserContext, house: Live) -> None:
    visit(guest, house, "pace-50-40-102")
    answer = ask(guest, QUESTION)
    expect(answer.get_by_test_id("answer-text")).to_contain_text("small step")
    second = context.new_page()
    second.goto(guest.url)
    other = second.get_by_test_id("answer")
    turn = finished(other)
    assert finished(answer) == turn
    assert shown_text(other) == shown_text(answer) == stored_text(house, turn)


def test_regenerating_gives_a_second_answer_beside_the_first(guest: Page, house: Live) -> None:
    visit(guest, house, "pace-50-5-60")
    turn = finished(ask(guest, QUESTION))
    guest.get_by_test_id("regenerate").click()
    expect(guest.get_by_test_id("siblings")).to_contain_text("2/2")
    rows = house.sql("SELECT count(*) FROM coach_turn WHERE id = ? OR regenerates_id = ?", *[turn.replace("-", "")] * 2)
    assert rows == [(2,)]
    guest.get_by_test_id("previous-answer").click()
    expect(guest.get_by_test_id("siblings")).to_contain_text("1/2")


def test_what_people_and_models_write_is_text_and_never_a_page(guest: Page, house: Live) -> None:
    """Question and answer try to be markup; both stay words, and nothing is asked from another machine."""
    pace = "markup-50-5-60"
    visit(guest, house, pace)
    nasty = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script> **bold**?"
    answer = ask(guest, nasty)
    turn = finished(answer)
    expect(guest.get_by_test_id("question").first).to_contain_text(nasty)
    expect(answer.get_by_test_id("answer-text")).to_contain_text("<script>")
    assert guest.locator("[data-testid=thread] :is(script, img, iframe, object)").count() == 0
    for link in answer.locator("a").all():
        assert not str(link.get_attribute("href")).startswith("javascript")
        link.click(modifiers=["Alt"])
    assert guest.title() != "broken"
    assert "<script>" in house.turn_row(turn)["answer"]


def test_sentences_that_no_source_supports_are_underlined(guest: Page, house: Live) -> None:
    visit(guest, house, "pace-20-2-120")
    answer = ask(guest, QUESTION)
    turn = finished(answer)
    [(text, spans)] = house.sql("SELECT answer, unsupported FROM coach_turn WHERE id = ?", turn.replace("-", ""))
    marked = [text[start:end] for start, end in json.loads(spans)]
    assert any("a promise that was heard is easier to keep" in sentence for sentence in marked)
    shown = answer.locator(".unsupported")
    expect(shown.first).to_be_visible()
    assert plain("".join(shown.all_text_contents())) == plain("".join(marked))
    expect(answer.get_by_test_id("unsupported-legend")).to_be_visible()
