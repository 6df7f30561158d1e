"""Reasons, consent and replay as people meet them, by keyboard, in a real browser."""

from __future__ import annotations

import json
import re
from typing import Any

from playwright.sync_api import Locator, Page, Route, expect

from tests.e2e.conftest import ask, finished, visit
from tests.live import Live

QUESTION = "What is the GROW model and how do I use it?"


def stored(house: Live, turn: str, columns: str = "rating, reasons") -> list[tuple[Any, ...]]:
    return house.sql(f"SELECT {columns} FROM coach_rating WHERE turn_id = ?", turn.replace("-", ""))


def test_reasons_by_keyboard_and_the_question_about_training_once(signed_in: Page, house: Live) -> None:
    page = signed_in
    visit(page, house, "pace-50-5-60")
    answer = ask(page, QUESTION)
    turn = finished(answer)
    _rate_by_keyboard(page, house, answer, turn)
    _agree(page, house, answer)
    _keep_out(page, house)
    page.reload()
    again = page.get_by_test_id("answer").first
    again.get_by_test_id("star-5").click()
    expect(again.get_by_test_id("reason-too-long")).to_have_count(0)
    expect(again.get_by_test_id("reason-clear")).to_be_visible()
    house.wait_for("five stars without reasons", lambda: stored(house, turn) == [(5, "[]")])
    expect(page.get_by_test_id("consent-ask")).to_have_count(0)
    again.get_by_test_id("rating-take-back").click()
    house.wait_for("no rating", lambda: stored(house, turn) == [])
    expect(again.get_by_test_id("rating-stars").locator("input:checked")).to_have_count(0)
    changes = house.sql("SELECT rating FROM coach_ratingchange WHERE turn_id = ? ORDER BY id", turn.replace("-", ""))
    assert [changes[0], *changes[-2:]] == [(2,), (5,), (None,)]


def _rate_by_keyboard(page: Page, house: Live, answer: Locator, turn: str) -> None:
    stars = answer.get_by_test_id("rating-stars")
    stars.locator("input").first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    reasons = answer.get_by_test_id("rating-reasons")
    expect(reasons.get_by_role("checkbox")).to_have_count(6)
    page.keyboard.press("Tab")
    for name in ("Not what I asked", "Wrong or made up"):
        expect(reasons.get_by_role("checkbox", name=name)).to_be_focused()
        page.keyboard.press("Tab")
    expect(reasons.get_by_role("checkbox", name="Too long")).to_be_focused()
    page.keyboard.press("Space")
    house.wait_for("the reason", lambda: [(r, json.loads(s)) for r, s in stored(house, turn)] == [(2, ["too-long"])])


def _agree(page: Page, house: Live, answer: Locator) -> None:
    expect(page.get_by_test_id("consent-ask")).to_have_count(1)
    answer.get_by_test_id("consent-read").press("Enter")
    dialog = page.get_by_test_id("consent")
    expect(dialog).to_contain_text("Nothing is sent to OpenAI")  # a key alone, which this house has, allows nothing
    given = dialog.get_by_test_id("consent-given")
    expect(given).not_to_be_checked()
    given.press("Space")
    expect(page.get_by_test_id("consent-said")).to_have_class(re.compile("saved"))
    rows = house.sql("SELECT given, wording FROM accounts_consentchange")
    assert len(rows) == 1
    assert rows[0][0] == 1
    assert "Nothing is sent to OpenAI" in rows[0][1]


def _keep_out(page: Page, house: Live) -> None:
    conversation = page.url.split("/c/")[1].strip("/").replace("-", "")
    rows = "SELECT kept_out FROM coach_conversation WHERE id = ?"
    box = page.get_by_test_id("consent-kept-out")
    box.press("Space")
    house.wait_for("kept out", lambda: house.sql(rows, conversation) == [(1,)])
    page.get_by_test_id("consent-close").click()
    page.reload()
    page.get_by_test_id("account-menu").locator("summary").click()
    page.get_by_test_id("consent-open").click()
    expect(box).to_be_checked()
    expect(page.get_by_test_id("consent-given")).to_be_checked()
    held: list[Route] = []

    def held_back(route: Route) -> None:
        held.append(route)

    page.route("**/api/v1/conversations/**", held_back)
    box.press("Space")
    expect(box).to_have_attribute("aria-busy", "true")
    page.keyboard.press("Escape")  # while it is being saved
    expect(page.get_by_test_id("consent")).to_be_hidden()
    held[0].continue_()
    house.wait_for("not kept out", lambda: house.sql(rows, conversation) == [(0,)])
    page.unroute("**/api/v1/conversations/**")


def test_a_guest_is_told_why_not(guest: Page) -> None:
    guest.get_by_test_id("account-menu").locator("summary").click()
    guest.get_by_test_id("consent-open").click()
    expect(guest.get_by_test_id("consent-guest")).to_be_visible()
    expect(guest.get_by_test_id("consent-given")).to_have_count(0)


def test_a_second_answer_has_the_same_prompt_and_the_turn_is_replayed(signed_in: Page, house: Live) -> None:
    page = signed_in
    page.request.put("/api/v1/me/consent", data={"training": True}, headers={"X-CSRFToken": _csrf(page)})
    visit(page, house, "pace-50-5-60")
    first = finished(ask(page, QUESTION))
    page.get_by_test_id("regenerate").click()
    expect(page.get_by_test_id("siblings")).to_be_visible()
    second = finished(page.get_by_test_id("answer").first)
    assert second != first
    hashes = [
        json.loads(text)["sha256"]
        for turn in (first, second)
        for (text,) in house.sql("SELECT provenance FROM coach_turn WHERE id = ?", turn.replace("-", ""))
    ]
    assert len(hashes) == 2
    assert len(set(hashes)) == 1
    page.goto(f"/admin/coach/turn/{second}/replay/")
    expect(page.locator(".ac-messages")).to_contain_text(QUESTION)
    page.get_by_role("textbox", name="Another prompt").fill("Answer in one word.")
    page.get_by_role("button", name="Answer it again").click()
    expect(page.locator(".ac-sides")).to_be_visible()
    [(state, error)] = house.sql("SELECT state, error FROM coach_replay")
    assert (state, error) == ("done", "")
    assert house.sql(
        "SELECT count(*) FROM coach_turn WHERE conversation_id = (SELECT conversation_id FROM coach_turn WHERE id = ?)",
        second.replace("-", ""),
    ) == [(2,)]


def _csrf(page: Page) -> str:
    return next(str(cookie["value"]) for cookie in page.context.cookies() if cookie["name"] == "csrftoken")
