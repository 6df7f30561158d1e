"""A rater works through the desk by keyboard and chooses blind, in a real browser."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.conftest import Admin
from tests.live import Live

DESK = "/admin/training/review/"
ANSWER = "Begin with **one** small step [1]. What would make it easy?"


# A rater who is nothing else, and three turns of a person who agreed to training; two pairs to choose from.
SET_UP = f"""
from datetime import UTC, datetime
from django.contrib.auth.models import Group
from accounts.models import User
from coach.models import Coach, Conversation, Source, Turn
from training.models import AnswerPair

User.objects.create_user("rae", password="a long secret of Rae 1").groups.add(Group.objects.get(name="raters"))
kim = User.objects.create_user("kim", training_consent=datetime(2026, 1, 1, tzinfo=UTC))
for n in range(3):
    talk = Conversation.objects.create(owner=kim, coach=Coach.objects.get(slug="personal"))
    Source.objects.create(conversation=talk, n=1, title="GROW", location="p. 3", text="Small steps.", excerpt="Small.")
    turn = Turn.objects.create(
        conversation=talk, position=0, question=f"How do I keep habit number {{n}}?", answer={ANSWER!r}, state="done",
        sources=[{{"n": 1, "score": 0.5}}], citations=[1], model="llamacpp:smollm2-135m", place="local",
    )
    Turn.objects.filter(pk=turn.pk).update(created=datetime(2026, 1, n + 1, tzinfo=UTC))
for n in range(2):
    AnswerPair.objects.create(
        question=f"Why number {{n}}?", first="ollama:one", second="ollama:other", first_answer="Because of **this**.",
        second_answer="Because of that.",
    )
"""


@pytest.fixture(scope="package")
def rater(house: Live, ada: Admin) -> Admin:
    house.application.manage("shell", "--command", SET_UP)
    return Admin("rae", "a long secret of Rae 1")


@pytest.fixture
def desk(page: Page, rater: Admin) -> Page:
    page.goto(f"/accounts/login/?next={DESK}")
    form = page.get_by_test_id("login-form")
    form.locator("[name=username]").fill(rater.name)
    form.locator("[name=password]").fill(rater.password)
    form.locator("button[type=submit]").click()
    expect(page.get_by_test_id("question")).to_be_visible()
    return page


def reviews(house: Live) -> list[tuple[Any, ...]]:
    return house.sql(
        "SELECT t.question, r.rating, r.reasons, r.ideal_answer, r.comment FROM training_review r"
        " JOIN coach_turn t ON t.id = r.turn_id ORDER BY t.created DESC"
    )


def test_reviewing_by_keyboard_loses_nothing(desk: Page, house: Live) -> None:
    page, question, state = desk, desk.get_by_test_id("question"), desk.get_by_test_id("state")
    expect(question).to_have_text("How do I keep habit number 2?")
    expect(page.get_by_test_id("desk-answer").locator("strong")).to_have_text("one")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("4")  # keys are off while the list is open
    page.keyboard.press("Escape")
    page.keyboard.press("s")
    expect(state).to_contain_text("Nothing to save yet")

    page.keyboard.press("2")
    page.keyboard.press("q")
    page.keyboard.press("e")
    page.keyboard.type("jk 3? Do one thing.")  # letters are letters while one writes
    expect(page.locator("[name=rating]:checked")).to_have_value("2")
    expect(state).to_contain_text("Not saved yet")
    page.reload()
    expect(page.locator("[name=ideal_answer]")).to_have_value("jk 3? Do one thing.")
    expect(page.locator("[name=rating]:checked")).to_have_value("2")
    assert reviews(house) == []

    page.keyboard.press("s")
    expect(question).to_have_text("How do I keep habit number 1?")
    [(_question, rating, reasons, ideal, _comment)] = reviews(house)
    assert (rating, len(json.loads(reasons)), ideal) == (2, 1, "jk 3? Do one thing.")
    page.keyboard.press("j")
    expect(question).to_have_text("How do I keep habit number 0?")
    page.keyboard.press("k")
    expect(question).to_have_text("How do I keep habit number 1?")
    page.keyboard.press("k")
    expect(question).to_have_text("How do I keep habit number 2?")
    expect(state).to_have_text("Saved.")
    expect(page.get_by_test_id("others")).to_contain_text("No other rater")
    page.keyboard.press("2")  # the same again takes it back
    expect(page.locator("[name=rating]:checked")).to_have_count(0)
    page.keyboard.press("5")
    page.keyboard.press("c")
    page.keyboard.type("on second thought")
    page.keyboard.press("Control+Enter")
    expect(question).to_have_text("How do I keep habit number 1?")
    assert [row[1::3] for row in reviews(house)] == [(5, "on second thought")]


def test_the_desk_without_its_keys(desk: Page, house: Live, context: BrowserContext) -> None:
    page = desk
    before = len(reviews(house))
    page.get_by_role("radio", name="4").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="None")).to_be_focused()
    page.get_by_role("checkbox").first.focus()
    page.keyboard.press("Space")
    save = page.get_by_test_id("save")
    for _ in range(40):
        if save.evaluate("node => node === document.activeElement"):
            break
        page.keyboard.press("Tab")
    first = page.get_by_test_id("question").inner_text()
    context.set_offline(True)
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("state")).to_contain_text("kept in this browser")
    context.set_offline(False)
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("question")).not_to_have_text(first)
    assert len(reviews(house)) == before + 1
    page.get_by_test_id("desk-answer").locator(".cite").click()
    expect(page.locator("[data-source='1']")).to_have_attribute("open", "")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_choosing_blind(desk: Page, house: Live) -> None:
    page = desk
    page.get_by_role("link", name="Choose blind").click()
    expect(page.locator("[data-text=left]")).to_contain_text("Because of")
    assert "ollama:" not in page.content()
    page.keyboard.press("a")
    expect(page.locator("[data-side=left] [data-name]")).to_have_text(re.compile("ollama:(one|other)"))
    won = page.locator("[data-side=left] [data-name]").inner_text()
    expect(page.locator("[data-side=left]")).to_have_attribute("data-won", "")
    [(chosen,)] = house.sql("SELECT chosen FROM training_choice")
    assert {"first": "ollama:one", "second": "ollama:other"}[chosen] == won
    page.keyboard.press("Enter")
    expect(page.locator("[data-name]").first).to_be_hidden()
    page.keyboard.press("t")
    expect(page.locator("[data-told]")).to_contain_text("No difference")
    page.keyboard.press("n")
    expect(page.get_by_test_id("empty")).to_be_visible()
    page.get_by_role("link", name="Leaderboard").first.click()
    expect(page.get_by_role("table").first).to_contain_text("75 %")
