"""What an administrator clicks on the way from rated turns to a model that is live, and back."""

from __future__ import annotations

import re
import subprocess
import sys
import time

from playwright.sync_api import Locator, Page, expect

from bench.application import ROOT
from tests.e2e.conftest import ask, choose, finished
from tests.live import Live

QUESTION = "How can I read more books in the evening?"
BASE = "llamacpp:smollm2-135m"
TRAINING_MS = 2_400_000
COMPARISON_MS = 1_200_000


def shell(house: Live, code: str) -> str:
    """What Python prints in `manage.py shell` of this installation."""
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=house.application.environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def make_turns(house: Live) -> None:
    """Once: who makes them anew takes them out of the data sets that are there."""
    if not house.sql("SELECT 1 FROM coach_turn WHERE model = 'synthetic'"):
        shell(house, "from training.demo import turns; turns.make()")


def build_a_data_set(page: Page, name: str) -> None:
    page.goto("/admin/training/dataset/add/")
    page.locator("[name=name]").fill(name)
    page.get_by_label("Synthetic demo").check()
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_test_id("state")).to_have_text("to be approved", timeout=120_000)
    surely(page, page.get_by_role("button", name="Approve all that are left"))
    surely(page, page.get_by_test_id("freeze"))
    expect(page.get_by_test_id("state")).to_have_text("frozen")


def train_on_it(page: Page, name: str, **options: str) -> None:
    page.get_by_role("link", name="Train a model on it").click()
    page.locator("[name=base]").fill("smollm2-135m")
    page.locator("[name=name]").fill(name)
    for option, value in options.items():
        page.locator(f"[name=local_{option}]").fill(value)
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_test_id("state")).to_have_text("done", timeout=TRAINING_MS)
    expect(page.get_by_test_id("result")).to_have_text(f"llamacpp:lora/{name}")


def compare(page: Page, *, candidate: str, dataset: str, held_out: int, suite: int) -> str:
    """In English, against what is live; the id of the finished comparison, whose page is open then."""
    page.goto("/admin/training/comparison/add/")
    page.locator("[name=candidate]").select_option(label=candidate)
    page.locator("[name=dataset]").select_option(label=dataset)
    page.locator("[name=held_out]").fill(str(held_out))
    page.locator("[name=suite]").fill(str(suite))
    for box in page.locator("[name=languages]").all():
        box.set_checked(box.get_attribute("value") == "en")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("progressbar", name="Progress")).to_be_visible()
    expect(page.get_by_role("heading", name=re.compile("It may (not )?go live"))).to_be_visible(timeout=COMPARISON_MS)
    return page.url.rstrip("/").split("/")[-2]


def promote(page: Page, name: str, *, share: int = 100, reason: str = "") -> None:
    page.goto("/admin/training/promotion/")
    page.locator("[name=candidate]").select_option(label=name)
    page.locator("form[action$='/promote/'] [name=share]").fill(str(share))
    page.locator("[name=reason]").fill(reason)
    surely(page, page.get_by_role("button", name="Promote", exact=True))


def is_live(page: Page, name: str) -> None:
    expect(page.get_by_role("heading", name=re.compile(rf"^{name} "))).to_be_visible(timeout=60_000)


def roll_back(page: Page) -> float:
    """Seconds from the click that means it until the page says that nothing tuned is live."""
    page.goto("/admin/training/promotion/")
    page.get_by_role("button", name="Roll back").click()
    yes = page.locator("[data-dialog][open] [data-yes]")
    expect(yes).to_be_visible()
    began = time.monotonic()
    yes.click()
    expect(page.get_by_text("No tuned model is live.")).to_be_visible()
    return time.monotonic() - began


def answer(page: Page, house: Live) -> tuple[str, str]:
    """To a question in a new conversation: the model that gave it, and its words."""
    page.goto("/")
    choose(page, "personal")
    turn = finished(ask(page, QUESTION))
    [(model, text)] = house.sql("SELECT model, answer FROM coach_turn WHERE id = ?", turn.replace("-", ""))
    return str(model), str(text)


def shown(name: str) -> str:
    """How a turn names the tuned model that answered it."""
    return f"llamacpp:{name}"


def surely(page: Page, button: Locator) -> None:
    """Click, and say yes to the question it asks."""
    button.click()
    with page.expect_navigation():
        page.locator("[data-dialog][open] [data-yes]").click()
