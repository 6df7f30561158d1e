"""The administrator looks for gaps: coverage page, map, similar passages, questions, in a real browser."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import ask, finished, visit
from tests.live import Live


@pytest.fixture
def address(signed_in: Page, house: Live) -> str:
    [(base,)] = house.sql("SELECT id FROM knowledge_knowledgebase WHERE slug = 'personal'")
    return f"/admin/knowledge/knowledgebase/{base}"


def propose(house: Live) -> None:
    """Three proposals, as a language model larger than the one of these tests would have made."""
    [(document,)] = house.sql("SELECT id FROM knowledge_document WHERE filename = 'grow-model.md' AND language = 'en'")
    rows = [(document, f"What is option {n}?", "One of several.") for n in range(3)]
    path = house.application.data_dir / "coach.sqlite3"
    with closing(sqlite3.connect(path, timeout=20)) as connection, connection:
        connection.executemany(
            'INSERT INTO knowledge_questionanswer (document_id, start, "end", question, answer, language, state, model,'
            " created) VALUES (?, 0, 200, ?, ?, 'en', 'proposed', 'test', '2026-01-01 00:00:00')",
            rows,
        )


def test_an_unanswered_question_leads_to_the_upload(signed_in: Page, house: Live) -> None:
    page = signed_in
    visit(page, house, "pace-50-5-40")
    finished(ask(page, "Which planet has the most moons of all planets?"))
    page.goto("/admin/coach/turn/coverage/?days=7")
    row = page.locator(".ac-asked").first
    expect(row).to_contain_text("The text is private")
    row.get_by_role("link", name="Open the turn").click()
    expect(page).to_have_url(re.compile("/admin/coach/turn/.+/change/"))
    expect(page.locator("main, #main")).not_to_contain_text("planet")


def test_the_map_draws_itself_and_is_used_by_keyboard(signed_in: Page, address: str) -> None:
    page = signed_in
    page.goto(f"{address}/map/")
    canvas = page.locator("[data-map] canvas")
    expect(canvas).to_be_visible()
    expect(canvas).to_have_attribute("data-points", re.compile(r"[1-9]\d*"))
    canvas.focus()
    for key in ("+", "ArrowLeft", "n", "n"):
        page.keyboard.press(key)
    card = page.locator("[data-card]")
    expect(card.get_by_role("link")).to_be_visible()
    expect(card.locator(".ac-map-text")).not_to_have_text("…")
    page.keyboard.press("Escape")
    expect(card).to_be_hidden()
    legend = page.locator(".ac-legend button").first
    legend.click()
    expect(legend).to_have_attribute("aria-pressed", "true")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.keyboard.press("Tab")
    canvas.focus()
    page.keyboard.press("0")
    page.keyboard.press("n")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/admin/(knowledge/document|coach/turn)/.+/change/"))


def test_similar_passages_are_searched_for(signed_in: Page, address: str) -> None:
    page = signed_in
    page.goto(f"{address}/pairs/")
    page.get_by_role("button", name="Search for them").click()
    expect(page.get_by_text(re.compile(r"Last time: \d+ new pairs"))).to_be_visible()


def test_proposals_are_reviewed_without_a_mouse(signed_in: Page, address: str, house: Live) -> None:
    page = signed_in
    propose(house)
    page.goto(f"{address}/questions/")
    articles = page.locator("[data-pair]")
    expect(articles).to_have_count(3)
    page.keyboard.press("j")
    expect(articles.nth(0)).to_be_focused()
    page.keyboard.press("a")
    expect(articles.nth(0)).to_have_attribute("data-state", "approved")
    expect(articles.nth(1)).to_be_focused()
    page.keyboard.press("e")
    page.keyboard.press("Control+a")
    page.keyboard.type("What was changed?")
    page.keyboard.press("Control+Enter")
    expect(articles.nth(1).locator("[data-question]")).to_have_text("What was changed?")
    page.keyboard.press("r")
    expect(articles.nth(1)).to_have_attribute("data-state", "rejected")
    page.keyboard.press("k")
    page.keyboard.press("u")
    expect(articles.nth(1)).to_have_attribute("data-state", "proposed")
    page.locator("[data-all]").check()
    page.get_by_role("button", name="Reject").first.click()
    expect(articles.nth(2)).to_have_attribute("data-state", "rejected")
