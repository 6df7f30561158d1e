"""The whole training loop by clicks: a data set, a fine-tune, live, and back; with the small real model."""

from __future__ import annotations

import re
import subprocess
import sys
import time

import pytest
from playwright.sync_api import Locator, Page, expect

from bench.application import ROOT
from tests.e2e.conftest import ask, choose, finished
from tests.live import Live

pytestmark = [pytest.mark.slow, pytest.mark.real_model]
TRAINING_MS = 1_500_000
QUESTION = "How can I read more books in the evening?"
NAME = "by-clicks"


def test_from_rated_turns_to_a_live_adapter_and_back(signed_in: Page, house: Live) -> None:
    make_turns(house)
    build_a_data_set(signed_in)
    train_on_it(signed_in)
    promote(signed_in)
    assert answered_by(signed_in, house) == f"llamacpp:lora/{NAME}"
    began = time.monotonic()
    roll_back(signed_in)
    assert answered_by(signed_in, house) == "llamacpp:SmolLM2-135M-Instruct.Q4_1"
    assert time.monotonic() - began < 60  # with a whole answer in it
    [(loss, best)] = house.sql(
        "SELECT json_extract(losses, '$[0][2]'), (SELECT min(json_extract(value, '$[2]')) FROM json_each(losses))"
        " FROM training_finetune WHERE name = ?",
        NAME,
    )
    assert best < 0.8 * loss


def make_turns(house: Live) -> None:
    code = "from training.demo import turns; turns.make()"
    command = [sys.executable, "manage.py", "shell", "-c", code]
    subprocess.run(command, cwd=ROOT, env=house.application.environment, check=True, capture_output=True)


def build_a_data_set(page: Page) -> None:
    page.goto("/admin/training/dataset/add/")
    page.locator("[name=name]").fill("By clicks")
    page.get_by_label("Synthetic demo").check()
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_test_id("state")).to_have_text("to be approved", timeout=120_000)
    surely(page, page.get_by_role("button", name="Approve all that are left"))
    surely(page, page.get_by_test_id("freeze"))
    expect(page.get_by_test_id("state")).to_have_text("frozen")


def train_on_it(page: Page) -> None:
    page.get_by_role("link", name="Train a model on it").click()
    page.locator("[name=base]").fill("smollm2-135m")
    page.locator("[name=name]").fill(NAME)
    page.locator("[name=local_epochs]").fill("1")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_test_id("state")).to_have_text("done", timeout=TRAINING_MS)
    expect(page.get_by_test_id("result")).to_have_text(f"llamacpp:lora/{NAME}")


def promote(page: Page) -> None:
    page.goto("/admin/training/promotion/")
    page.locator("[name=share]").press("End")  # for all conversations
    page.locator("[name=reason]").fill("A test with made-up data.")
    surely(page, page.get_by_role("button", name="Promote", exact=True))
    expect(page.get_by_role("heading", name=re.compile(NAME))).to_be_visible(timeout=60_000)


def roll_back(page: Page) -> None:
    page.goto("/admin/training/promotion/")
    surely(page, page.get_by_role("button", name="Roll back"))
    expect(page.get_by_text("No tuned model is live.")).to_be_visible()


def answered_by(page: Page, house: Live) -> str:
    page.goto("/")
    choose(page, "personal")
    turn = finished(ask(page, QUESTION))
    [(model,)] = house.sql("SELECT model FROM coach_turn WHERE id = ?", turn.replace("-", ""))
    return str(model)


def surely(page: Page, button: Locator) -> None:
    """Click, and say yes to the question it asks."""
    button.click()
    with page.expect_navigation():
        page.locator("[data-dialog][open] [data-yes]").click()
