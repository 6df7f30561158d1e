"""A whole application with the small real model, and a real browser.

`manage.py up` fetches SmolLM2-135M as it does for users; it lies in the cache folder afterwards, so it is fetched
once a machine. Debian's Chromium is driven by Playwright; without it these tests are skipped with that reason.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from lxml import html
from markdown_it import MarkdownIt
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect, sync_playwright

from bench.application import FakeModel
from tests.conftest import FOLDER
from tests.live import Live, start_application

ARTIFACTS = Path(__file__).parent / "artifacts"
PATIENCE_MS = 60_000
# The real model on a busy machine: two tokens a second have been seen where it writes a hundred alone.
MODEL_MS = 240_000
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-first-run",
    "--no-pings",
]
# What a browser says that is no fault of ours: a page that was told to be 404, a socket cut on purpose.
HARMLESS = re.compile(r"WebSocket connection to .* failed|net::ERR_CONNECTION_REFUSED|net::ERR_INTERNET_DISCONNECTED")

expect.set_options(timeout=PATIENCE_MS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="package")
def house() -> Iterator[Live]:
    """The application of these tests, as a fresh clone starts it: no users, SmolLM2, starter knowledge."""
    model = FakeModel()
    application = start_application(FOLDER / "e2e", model, COACH_MODELS="llamacpp:smollm2-135m", COACH_OFFLINE="0")
    try:
        with application:
            application.wait_for_documents("personal")
            yield Live(application, model)
    finally:
        model.close()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Complaints:
    """What the browser's console and the pages complained about."""

    found: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.found.append(f"uncaught: {error}"))
        page.on("requestfailed", lambda request: self._foreign(request.url, page.url))
        page.on("request", lambda request: self._foreign(request.url, page.url))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not HARMLESS.search(message.text):
            self.found.append(f"{message.type}: {message.text} {message.location.get('url', '')}")

    def _foreign(self, url: str, page: str) -> None:
        if not url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:", "about:", "chrome")):
            self.found.append(f"{page} asks {url}")


@pytest.fixture
def complaints() -> Iterator[Complaints]:
    """No console error, no violation of the content security policy, no request to anywhere else."""
    found = Complaints()
    yield found
    assert found.found == []


@pytest.fixture
def context(browser: Browser, house: Live, complaints: Complaints) -> Iterator[BrowserContext]:
    """A visitor of their own: no cookies, no storage."""
    context = browser.new_context(
        base_url=house.application.url, locale="en-GB", viewport={"width": 1280, "height": 800}
    )
    context.on("page", complaints.watch)
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, request: pytest.FixtureRequest) -> Iterator[Page]:
    page = context.new_page()
    yield page
    report = getattr(request.node, "report_of_call", None)
    if report is not None and report.failed:
        ARTIFACTS.mkdir(exist_ok=True)
        name = re.sub(r"\W+", "-", request.node.name)
        page.screenshot(path=ARTIFACTS / f"{name}.png", full_page=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if report.when == "call":
        item.report_of_call = report  # type: ignore[attr-defined]
    return report


@dataclass(frozen=True)
class Admin:
    name: str = "ada"
    password: str = "a long secret of Ada 1"


@pytest.fixture(scope="package")
def ada(house: Live, browser: Browser) -> Admin:
    """The administrator, made in the browser on the very first visit."""
    ada = Admin()
    assert house.sql("SELECT count(*) FROM accounts_user") == [(0,)]
    context = browser.new_context(base_url=house.application.url, locale="en-GB")
    page = context.new_page()
    page.goto("/")
    assert page.url.endswith("/welcome/")
    form = page.get_by_test_id("welcome-form")
    form.locator("[name=username]").fill(ada.name)
    form.locator("[name=password1]").fill(ada.password)
    form.locator("[name=password2]").fill(ada.password)
    form.locator("button[type=submit]").click()
    expect(page.get_by_test_id("composer")).to_be_visible()
    context.close()
    return ada


@pytest.fixture
def signed_in(page: Page, ada: Admin) -> Page:
    """A page of the administrator."""
    page.goto("/accounts/login/")
    form = page.get_by_test_id("login-form")
    form.locator("[name=username]").fill(ada.name)
    form.locator("[name=password]").fill(ada.password)
    form.locator("button[type=submit]").click()
    expect(page.get_by_test_id("composer")).to_be_visible()
    return page


@pytest.fixture
def guest(page: Page, ada: Admin) -> Page:
    """The chat page of somebody without an account."""
    page.goto("/")
    expect(page.get_by_test_id("composer")).to_be_visible()
    return page


def visit(page: Page, house: Live, pace: str) -> None:
    """The chat page with a coach chosen whose model streams at this pace (bench/fake_model.py)."""
    house.pace(pace)
    page.goto("/")
    choose(page, pace)


# --- what a person does --------------------------------------------------------------------------


def choose(page: Page, coach: str) -> None:
    page.locator(f'[data-testid=coach-card][data-coach="{coach}"]').click()


def ask(page: Page, text: str) -> Locator:
    """Type a question and send it; the element of its answer."""
    before = page.get_by_test_id("answer").count()
    page.get_by_test_id("composer").fill(text)
    page.get_by_test_id("send").click()
    answer = page.get_by_test_id("answer").nth(before)
    expect(answer).to_be_visible()
    return answer


def finished(answer: Locator, state: str = "done") -> str:
    """Wait for the end of an answer; the id of its turn."""
    expect(answer).to_have_attribute("data-state", state, timeout=MODEL_MS)
    return str(answer.get_attribute("data-turn"))


# As static/js/render.js has it.
MARKDOWN = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
MARKDOWN.disable(["image", "reference", "html_inline", "html_block"])
WITHOUT_CITATIONS = """node => {
  const copy = node.cloneNode(true);
  for (const citation of copy.querySelectorAll('.cite')) citation.remove();
  return copy.textContent;
}"""


def shown_text(answer: Locator) -> str:
    """The words of an answer without the numbers of its citations and without blanks."""
    text = answer.get_by_test_id("answer-text").evaluate(WITHOUT_CITATIONS)
    return re.sub(r"\s+", "", text)


def stored_text(house: Live, turn: str) -> str:
    """The same of the answer in the database; models write lists and headings as they like."""
    [(answer,)] = house.sql("SELECT answer FROM coach_turn WHERE id = ?", turn.replace("-", ""))
    shown = html.fragment_fromstring(MARKDOWN.render(answer), create_parent=True).text_content()
    return re.sub(r"\s+|\[\d+\]", "", str(shown))
