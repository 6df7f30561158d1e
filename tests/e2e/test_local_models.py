"""An administrator looks at the local models, tries one out, and asks for one that does not exist."""

from __future__ import annotations

from playwright.sync_api import Page, expect

PAGE = "/admin/llm/modelpull/"
NOWHERE = "ollama:a-model-that-nobody-made"


def test_models_are_shown_tried_out_and_fetched_by_the_worker(signed_in: Page) -> None:
    page = signed_in
    page.goto(PAGE)
    here = page.locator("[data-installed] > li", has_text="llamacpp:smollm2-135m")
    expect(here).to_contain_text("in use")
    expect(here.get_by_role("button", name="Remove")).to_have_count(0)
    expect(page.locator("[data-catalogue] > li", has_text="Qwen3-1.7B")).to_contain_text("Apache-2.0")
    here.get_by_role("button", name="Try out").click()
    expect(here.get_by_role("status")).to_contain_text("tokens a second", timeout=240_000)
    page.locator("[name=model]").fill(NOWHERE)
    page.keyboard.press("Enter")
    row = page.locator("[data-pulls] > li", has_text=NOWHERE)
    expect(row).to_contain_text("failed")
    expect(row).to_contain_text("Ollama")


def test_the_page_of_local_models_fits_a_phone(signed_in: Page) -> None:
    page = signed_in
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(PAGE)
    expect(page.locator("[data-catalogue] > li").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
