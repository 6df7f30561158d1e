"""The panel's pages of knowledge in a real browser: many files at once, passages beside the text, bench, dialog."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.live import Live

FILES = 120
DROP = """(n) => {
  const transfer = new DataTransfer();
  const body = 'A lamp post in the lane of Torp number ';
  for (let i = 0; i < n; i++) transfer.items.add(new File([`# Lamp ${i}\\n\\n${body}${i}.`], `lamp-${i}.md`));
  transfer.items.add(new File(['x'], 'photo.jpg'));
  transfer.items.add(new File([], 'empty.md'));
  const target = document.querySelector('[data-drop]');
  for (const kind of ['dragenter', 'dragover', 'drop']) {
    target.dispatchEvent(new DragEvent(kind, {dataTransfer: transfer, bubbles: true, cancelable: true}));
  }
}"""


def _base(house: Live, slug: str = "personal") -> str:
    [(base,)] = house.sql("SELECT id FROM knowledge_knowledgebase WHERE slug = ?", slug)
    return f"/admin/knowledge/knowledgebase/{base}"


def test_a_hundred_files_travel_together_and_only_those_in_sight_are_rows(signed_in: Page, house: Live) -> None:
    page = signed_in
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url) if request.url.endswith("/upload/files/") else None)
    page.goto(f"{_base(house, 'university')}/upload/")
    page.evaluate(DROP, FILES)
    expect(page.locator("[data-count=all]")).to_have_text(re.compile(rf"^{FILES + 2}$|^\d{{3}}$"))
    house.wait_for(
        "the files",
        lambda: house.sql("SELECT count(*) FROM knowledge_document WHERE filename LIKE 'lamp-%'") == [(FILES,)],
    )
    assert len(requests) <= FILES / 20 + 1
    assert page.locator("[data-rows] > li").count() < 40
    reasons = page.locator("[data-reasons]")
    expect(reasons).to_contain_text("photo.jpg")
    expect(reasons).to_contain_text("The file is empty.")
    page.locator("[data-cancel-all]").click()
    expect(page.locator("[data-count=open]")).to_have_text("0")
    expect(page.locator("[data-cancel-all]")).to_be_hidden()
    states = {state for (state,) in house.sql("SELECT state FROM knowledge_document WHERE filename LIKE 'lamp-%'")}
    assert states <= {"cancelled", "ready"}


def test_a_passage_and_its_place_in_the_text_show_each_other(signed_in: Page, house: Live) -> None:
    page = signed_in
    rows = house.sql("SELECT document_id FROM knowledge_chunk GROUP BY document_id HAVING count(*) > 3 LIMIT 1")
    page.goto(f"/admin/knowledge/document/{rows[0][0]}/change/")
    second = page.locator("[data-list] > li").nth(1)
    chunk = second.get_attribute("data-chunk")
    mark = page.locator(f"[data-paper] [data-chunk='{chunk}']")
    second.get_by_role("link").press("Enter")
    expect(mark).to_have_attribute("data-chosen", "")
    expect(mark).to_be_in_viewport()
    page.locator("[data-paper] [data-chunk]").nth(2).click()
    expect(page.locator("[data-list] > li").nth(2)).to_have_attribute("data-chosen", "")
    expect(second).not_to_have_attribute("data-chosen", "")


def test_the_bench_shows_each_stage(signed_in: Page, house: Live) -> None:
    page = signed_in
    page.goto(f"{_base(house)}/bench/")
    field = page.locator("[name=q]")
    field.fill("How do I keep up a new habit?")
    field.press("Enter")
    expect(page.locator(".ac-side .ac-rank").first).to_have_text("1")
    expect(page.locator(".ac-stage-embed").first).to_be_attached()
    page.locator(".ac-line-title a").first.click()
    expect(page.locator("[data-list] > [data-chosen]")).to_be_in_viewport()


def test_an_index_is_built_only_after_a_yes(signed_in: Page, house: Live) -> None:
    page = signed_in
    page.goto(f"{_base(house)}/generations/")
    page.get_by_role("checkbox").uncheck()
    page.get_by_role("button", name="Build").click()
    card = page.locator("[data-generation]:not([data-state=live])")
    card.get_by_role("button", name="Cancel").press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert house.sql("SELECT count(*) FROM knowledge_indexgeneration WHERE state = 'cancelled'") == [(0,)]
    card.get_by_role("button", name="Cancel").press("Enter")
    dialog.locator("[data-yes]").click()
    expect(page.locator("[data-generation][data-state=cancelled]")).to_be_visible()
