"""An answer improved and a question changed, by keyboard, in a real browser; found in the database."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.e2e.conftest import ask, finished, visit
from tests.live import Live

QUESTION = "What is the GROW model and how do I use it?"
BETTER = "Begin with the **goal** [1], then look at where you are."


def edits(house: Live, turn: str) -> list[tuple[Any, ...]]:
    return house.sql("SELECT text FROM coach_answeredit WHERE turn_id = ?", turn.replace("-", ""))


def turn_row(house: Live, turn: str) -> tuple[Any, ...]:
    columns = "question, answer, position, safety, provenance"
    [row] = house.sql(f"SELECT {columns} FROM coach_turn WHERE id = ?", turn.replace("-", ""))
    return row


def test_an_answer_is_improved_changed_and_left_alone_again(guest: Page, house: Live) -> None:
    visit(guest, house, "pace-50-5-60")
    answer = ask(guest, QUESTION)
    turn = finished(answer)
    written = turn_row(house, turn)[1]
    _leave(guest, answer, written)
    assert edits(house, turn) == []
    _improve(guest, answer)
    assert edits(house, turn) == [(BETTER,)]
    assert turn_row(house, turn)[1] == written
    guest.reload()
    again = guest.get_by_test_id("answer").first
    expect(again.get_by_test_id("edit-text").locator("strong")).to_have_text("goal")
    again.get_by_test_id("edit-change").press("Enter")
    field = again.get_by_test_id("improve-editor-field")
    expect(field).to_have_value(BETTER)
    field.fill("Begin with the goal.")
    again.get_by_test_id("improve-editor-save").click()
    expect(again.get_by_test_id("edit-text")).to_have_text("Begin with the goal.")
    house.wait_for("the change", lambda: edits(house, turn) == [("Begin with the goal.",)])
    again.get_by_test_id("edit-remove").press("Enter")
    expect(again.get_by_test_id("edit")).to_have_count(0)
    expect(again.get_by_test_id("improve")).to_be_focused()
    assert edits(house, turn) == []


def _leave(page: Page, answer: Locator, written: str) -> None:
    """Nothing cannot be saved, and Esc leaves the answer as it was."""
    answer.get_by_test_id("improve").press("Enter")
    field = answer.get_by_test_id("improve-editor-field")
    expect(field).to_be_focused()
    expect(field).to_have_value(written)
    field.fill("")
    expect(answer.get_by_test_id("improve-editor-save")).to_be_disabled()
    field.press("Escape")
    expect(field).to_have_count(0)
    expect(answer.get_by_test_id("improve")).to_be_focused()


def _improve(page: Page, answer: Locator) -> None:
    answer.get_by_test_id("improve").press("Enter")
    field = answer.get_by_test_id("improve-editor-field")
    field.fill(BETTER)
    page.keyboard.press("Tab")
    expect(answer.get_by_test_id("improve-editor-save")).to_be_focused()
    page.keyboard.press("Enter")
    expect(answer.get_by_test_id("edit-text").locator("strong")).to_have_text("goal")
    expect(answer.get_by_test_id("edit-change")).to_be_focused()


def test_the_last_question_is_asked_in_other_words(guest: Page, house: Live) -> None:
    visit(guest, house, "pace-50-5-60")
    first = finished(ask(guest, QUESTION))
    second = finished(ask(guest, "How do I build a habit that lasts?"))
    expect(guest.get_by_test_id("change-question")).to_have_count(1)  # the last one only
    guest.get_by_test_id("change-question").press("Enter")
    field = guest.get_by_test_id("question-editor-field")
    expect(field).to_have_value("How do I build a habit that lasts?")
    field.press("Escape")
    expect(guest.get_by_test_id("change-question")).to_be_focused()
    guest.get_by_test_id("change-question").press("Enter")
    field.fill("How do I find time for exercise every day?")
    field.press("Control+Enter")
    expect(guest.get_by_test_id("siblings")).to_contain_text("2/2")
    third = finished(guest.get_by_test_id("answer").last)
    assert len({first, second, third}) == 3
    before, after = turn_row(house, second), turn_row(house, third)
    assert (before[0], after[0]) == ("How do I build a habit that lasts?", "How do I find time for exercise every day?")
    assert before[2] == after[2] == 1
    assert json.loads(before[4])["sha256"] != json.loads(after[4])["sha256"]
    question = guest.get_by_test_id("question").last
    expect(question).to_contain_text("time for exercise")
    guest.get_by_test_id("previous-answer").click()
    expect(question).to_contain_text("a habit that lasts")
    guest.reload()
    expect(question).to_contain_text("time for exercise")


def test_a_changed_question_is_screened(guest: Page, house: Live) -> None:
    visit(guest, house, "pace-50-5-60")
    finished(ask(guest, QUESTION))
    guest.get_by_test_id("change-question").press("Enter")
    guest.get_by_test_id("question-editor-field").fill("I want to kill myself tonight.")
    guest.get_by_test_id("question-editor-save").click()
    answer = guest.get_by_test_id("answer").last
    expect(answer.get_by_test_id("safety-card")).to_be_visible()
    assert turn_row(house, finished(answer))[3] == "acute"
    expect(answer.get_by_test_id("improve")).to_be_hidden()


def test_a_question_that_is_no_longer_the_last_is_refused_and_not_lost(guest: Page, house: Live) -> None:
    visit(guest, house, "pace-50-5-60")
    finished(ask(guest, QUESTION))
    other = guest.context.new_page()
    other.goto(guest.url)
    expect(other.get_by_test_id("answer")).to_have_count(1)
    answer = ask(other, "And then?")
    finished(answer)
    guest.get_by_test_id("change-question").press("Enter")
    guest.get_by_test_id("question-editor-field").fill("Is there a better model?")
    guest.get_by_test_id("question-editor-save").click()
    expect(guest.get_by_test_id("question-editor-state")).to_have_text("Only the last question can be changed.")
    expect(guest.get_by_test_id("question-editor-field")).to_have_value("Is there a better model?")
    expect(guest.get_by_test_id("answer")).to_have_count(1)
    assert house.sql("SELECT count(*) FROM coach_turn WHERE question = 'Is there a better model?'") == [(0,)]
