"""An administrator adds a document in the browser; minutes later a coachee reads it as a source."""

from __future__ import annotations

import base64
import re

from playwright.sync_api import Page, expect

from tests.e2e.conftest import ask, finished, visit
from tests.live import Live

NAME = "lantern-walk.md"
TEXT = """# The lantern walk

## What a lantern walk is

A lantern walk is a coaching exercise from the village of Kvarnby. Two people walk for forty minutes after sunset and
carry one lantern between them. Whoever holds the lantern asks questions; the other one answers.

## Why the lantern changes hands

The lantern changes hands at every bridge. The change keeps a lantern walk balanced, because nobody asks for longer
than the way from one bridge to the next.
"""
QUESTION = "When does the lantern change hands on a lantern walk?"
DROP = """([name, body]) => {
  const bytes = Uint8Array.from(atob(body), (c) => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, {type: 'text/markdown'}));
  const target = document.querySelector('[data-drop]');
  for (const kind of ['dragenter', 'dragover', 'drop']) {
    target.dispatchEvent(new DragEvent(kind, {dataTransfer: transfer, bubbles: true, cancelable: true}));
  }
}"""


def test_a_dropped_file_becomes_a_source(signed_in: Page, house: Live) -> None:
    page = signed_in
    [(base,)] = house.sql("SELECT id FROM knowledge_knowledgebase WHERE slug = 'personal'")
    page.goto(f"/admin/knowledge/knowledgebase/{base}/upload/")
    page.evaluate(DROP, [NAME, base64.b64encode(TEXT.encode()).decode()])
    row = page.locator("[data-rows] > *", has_text=NAME)
    expect(row).to_be_visible()
    house.wait_for("indexing", lambda: _state(house) == "ready")
    expect(page.locator("[data-count=ready]")).to_have_text("1")
    visit(page, house, "pace-50-5-40")
    answer = ask(page, QUESTION)
    finished(answer)
    # The fake model speaks of something else, so that nothing of its answer is cited; the source it got is there.
    answer.get_by_test_id("also-read").locator("summary").click()
    answer.get_by_test_id("source").first.click()
    panel = page.get_by_test_id("source-panel")
    expect(panel.get_by_test_id("source-title")).to_have_text("The lantern walk")
    expect(panel.locator("mark").first).to_contain_text(re.compile("lantern"))
    panel.get_by_test_id("source-document").click()
    expect(page.get_by_test_id("document")).to_contain_text("village of Kvarnby")
    expect(page.locator("mark").first).to_be_in_viewport()


def _state(house: Live) -> str:
    rows = house.sql("SELECT state, error FROM knowledge_document WHERE filename = ?", NAME)
    state, error = rows[0] if rows else ("", "")
    assert state != "failed", error
    return str(state)


def test_files_that_cannot_be_used_say_why(signed_in: Page, house: Live) -> None:
    page = signed_in
    [(base,)] = house.sql("SELECT id FROM knowledge_knowledgebase WHERE slug = 'university'")
    page.goto(f"/admin/knowledge/knowledgebase/{base}/upload/")
    page.evaluate(DROP, ["not-a-book.pdf", base64.b64encode(b"<html>This is no PDF.</html>").decode()])
    row = page.locator("[data-rows] > *", has_text="not-a-book.pdf")
    expect(row).to_contain_text(re.compile(r"\w+ .*\."))
    house.wait_for(
        "the verdict",
        lambda: (
            house.sql("SELECT 1 FROM knowledge_document WHERE filename = 'not-a-book.pdf' AND state = 'failed'")
            or page.locator("[data-count=failed]").inner_text() == "1"
        ),
    )
    expect(page.locator("[data-count=failed]")).to_have_text("1")
