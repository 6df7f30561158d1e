"""Keyboard, phone, languages, input methods."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.utils.translation import gettext, override
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.conftest import ARTIFACTS, Admin, Complaints, ask, finished, visit
from tests.live import Live

QUESTION = "How do I begin with a new habit?"


def focused(page: Page) -> Locator:
    return page.locator(":focus")


def test_everything_works_with_the_keyboard_alone(guest: Page, house: Live) -> None:
    house.pace("pace-50-5-60")
    guest.goto("/")
    radio = guest.locator('[data-testid=coach-card][data-coach="pace-50-5-60"] input')
    radio.focus()
    guest.keyboard.press("Space")
    expect(radio).to_be_checked()
    composer = guest.get_by_test_id("composer")
    composer.focus()
    guest.keyboard.type(QUESTION)
    guest.keyboard.press("Shift+Enter")
    guest.keyboard.type("And how do I keep it?")
    guest.keyboard.press("Enter")
    answer = guest.get_by_test_id("answer").first
    finished(answer)
    expect(guest.get_by_test_id("question").first).to_contain_text("And how do I keep it?")
    _tab_to(guest, "citation")
    guest.keyboard.press("Enter")
    panel = guest.get_by_test_id("source-panel")
    expect(panel).to_be_visible()
    guest.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(focused(guest)).to_have_attribute("data-testid", "citation")
    _tab_to_star(guest)
    guest.keyboard.press("Space")
    guest.keyboard.press("ArrowRight")
    turn = str(answer.get_attribute("data-turn")).replace("-", "")
    house.wait_for("the rating", lambda: house.sql("SELECT rating FROM coach_rating WHERE turn_id = ?", turn))


def _tab_to(page: Page, testid: str) -> None:
    page.get_by_test_id("answer").first.evaluate("node => { node.tabIndex = -1; node.focus(); }")
    for _step in range(30):
        page.keyboard.press("Tab")
        if focused(page).get_attribute("data-testid") == testid:
            return
    raise AssertionError(f"Tab never reaches {testid}")


def _tab_to_star(page: Page) -> None:
    for _step in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('[data-testid=rating-stars]') !== null"):
            return
    raise AssertionError("Tab never reaches the stars")


@pytest.mark.parametrize("path", ["/", "/accounts/login/"])
def test_nothing_is_wider_than_a_phone(
    browser: Browser, house: Live, ada: Admin, complaints: Complaints, path: str
) -> None:
    context = browser.new_context(
        base_url=house.application.url,
        viewport={"width": 390, "height": 844},
        is_mobile=True,
        has_touch=True,
        device_scale_factor=2,
    )
    page = context.new_page()
    complaints.watch(page)
    page.goto(path)
    assert _overflow(page) <= 0
    if path == "/":
        visit(page, house, "pace-50-5-60")
        answer = ask(
            page, "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft " * 3 + "?"
        )
        finished(answer)
        assert _overflow(page) <= 0
        finished(ask(page, QUESTION))
        page.get_by_test_id("citation").first.click()
        expect(page.get_by_test_id("source-panel")).to_be_visible()
        assert _overflow(page) <= 0
        page.get_by_test_id("source-close").click()
        page.get_by_test_id("menu").click()
        expect(page.get_by_test_id("conversation-list")).to_be_visible()
        assert _overflow(page) <= 0
    context.close()


def test_the_start_page_begins_at_its_top_on_a_small_phone(browser: Browser, house: Live) -> None:
    context = browser.new_context(base_url=house.application.url, viewport={"width": 360, "height": 520})
    page = context.new_page()
    page.goto("/?try=1")
    expect(page.get_by_test_id("composer")).to_be_visible()
    page.wait_for_function("(box => box.scrollHeight > box.clientHeight)(document.querySelector('#scroll'))")
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.evaluate("document.querySelector('#scroll').scrollTop") == 0
    expect(page.get_by_test_id("jump")).to_be_hidden()
    context.close()


def _overflow(page: Page) -> int:
    """Pixels by which the page is wider than the window."""
    return int(
        page.evaluate("Math.max(document.documentElement.scrollWidth, document.body.scrollWidth) - window.innerWidth")
    )


@pytest.mark.parametrize("language", ["en", "sv", "nb", "ko"])
def test_every_language_of_the_pages(guest: Page, house: Live, language: str) -> None:
    guest.get_by_test_id("language-menu").locator("summary").click()
    guest.get_by_test_id("language-menu").locator(f"button[value={language}]").click()
    expect(guest.locator("html")).to_have_attribute("lang", language)
    with override(language):
        placeholder, new = gettext("What is on your mind?"), gettext("New conversation")
    assert language == "en" or placeholder != "What is on your mind?"
    expect(guest.get_by_test_id("composer")).to_have_attribute("placeholder", placeholder)
    expect(guest.get_by_test_id("new-conversation")).to_have_text(new)
    visit(guest, house, "pace-50-5-60")
    suggestion = guest.locator('[data-firsts="pace-50-5-60"]').get_by_test_id("suggestion").first
    text = suggestion.inner_text()
    suggestion.click()
    answer = guest.get_by_test_id("answer").first
    turn = finished(answer)
    [(asked, spoken)] = house.sql("SELECT question, language FROM coach_turn WHERE id = ?", turn.replace("-", ""))
    assert (asked, spoken) == (text.strip(), language)
    titles = house.sql(
        "SELECT DISTINCT d.language FROM coach_source s JOIN coach_turn t ON t.conversation_id = s.conversation_id"
        " JOIN knowledge_document d ON d.id = s.document_id WHERE t.id = ?",
        turn.replace("-", ""),
    )
    assert (language,) in titles
    expect(answer.get_by_test_id("answer-text")).to_have_attribute("aria-busy", "false")


def test_enter_that_ends_a_korean_syllable_does_not_send(guest: Page, house: Live) -> None:
    """Real composition events through the DevTools protocol, as an input method makes them."""
    visit(guest, house, "pace-50-5-60")
    composer = guest.get_by_test_id("composer")
    composer.focus()
    tools = guest.context.new_cdp_session(guest)
    for part in ("ㅅ", "스", "습"):
        tools.send("Input.imeSetComposition", {"text": part, "selectionStart": 1, "selectionEnd": 1})
    _key(tools, "rawKeyDown", composing=True)
    tools.send("Input.insertText", {"text": "습"})
    _key(tools, "keyUp")
    expect(composer).to_have_value("습")
    assert guest.get_by_test_id("answer").count() == 0
    for part in ("ㄱ", "과", "관"):
        tools.send("Input.imeSetComposition", {"text": part, "selectionStart": 1, "selectionEnd": 1})
    tools.send("Input.insertText", {"text": "관은 어떻게 만드나요?"})
    expect(composer).to_have_value("습관은 어떻게 만드나요?")
    _key(tools, "rawKeyDown")
    _key(tools, "char")
    _key(tools, "keyUp")
    turn = finished(guest.get_by_test_id("answer").first)
    rows = house.sql("SELECT question, language FROM coach_turn WHERE id = ?", turn.replace("-", ""))
    assert rows == [("습관은 어떻게 만드나요?", "ko")]
    expect(composer).to_have_value("")


def _key(tools: object, kind: str, *, composing: bool = False) -> None:
    code = 229 if composing else 13
    key = {"type": kind, "key": "Process" if composing else "Enter", "code": "Enter", "windowsVirtualKeyCode": code}
    if kind == "char":
        key["text"] = "\r"
    tools.send("Input.dispatchKeyEvent", key)  # type: ignore[attr-defined]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_screenshots_of_the_page(
    browser: Browser, house: Live, ada: Admin, complaints: Complaints, scheme: str
) -> None:
    """Kept in tests/e2e/artifacts for people to look at; the test itself only needs them to be made."""
    context = browser.new_context(
        base_url=house.application.url, color_scheme=scheme, viewport={"width": 1280, "height": 800}
    )
    page = context.new_page()
    complaints.watch(page)
    visit(page, house, "pace-50-5-60")
    _picture(page, f"start-{scheme}")
    finished(ask(page, QUESTION))
    page.get_by_test_id("citation").first.click()
    expect(page.get_by_test_id("source-panel").locator("mark").first).to_be_visible()
    _picture(page, f"chat-{scheme}")
    context.close()


def _picture(page: Page, name: str) -> None:
    ARTIFACTS.mkdir(exist_ok=True)
    path: Path = ARTIFACTS / f"{name}.png"
    page.screenshot(path=path)
    assert path.stat().st_size > 10_000
