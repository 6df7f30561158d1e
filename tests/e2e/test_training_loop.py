"""The whole training loop by clicks with the small real model: data set, fine-tune, comparison, live, and back."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Page

from tests.e2e import training_clicks as clicks
from tests.live import Live

pytestmark = [pytest.mark.slow, pytest.mark.real_model]
NAME, DATA = "by-clicks", "By clicks"
# As `manage.py demo_training_loop` has them, but once less through the data.
OPTIONS = {"epochs": "2", "learning_rate": "0.001", "max_tokens": "512"}


def test_from_rated_turns_to_a_live_adapter_and_back(signed_in: Page, house: Live) -> None:
    clicks.make_turns(house)
    clicks.build_a_data_set(signed_in, DATA)
    clicks.train_on_it(signed_in, NAME, **OPTIONS)
    check_loss(house)
    key = clicks.compare(signed_in, candidate=NAME, dataset=DATA, held_out=4, suite=5)
    check_comparison(house, key)
    _model, before = clicks.answer(signed_in, house)
    clicks.promote(signed_in, NAME, reason="A test with made-up data.")
    clicks.is_live(signed_in, NAME)
    model, after = clicks.answer(signed_in, house)
    assert model == clicks.shown(NAME)
    print(f"before: {before}\nafter: {after}")
    assert "?" in after.splitlines()[-1]  # as each of its examples ends
    print(f"rolled back in {clicks.roll_back(signed_in):.2f} s")
    assert clicks.answer(signed_in, house)[0] == clicks.BASE
    assert house.sql("SELECT count(*) FROM training_promotion WHERE ended IS NULL") == [(0,)]


def check_loss(house: Live) -> None:
    [(losses,)] = house.sql("SELECT losses FROM training_finetune WHERE name = ?", NAME)
    looks = [loss for _step, _train, loss in json.loads(losses) if loss is not None]
    print(f"held-out loss {looks[0]:.3f} → {min(looks):.3f}")
    assert min(looks) <= 0.8 * looks[0]


def check_comparison(house: Live, key: str) -> None:
    [(state, figures, gates)] = house.sql("SELECT state, figures, gates FROM training_comparison WHERE id = ?", key)
    assert state == "done"
    loss = json.loads(figures)["held_out_loss"]
    print(f"held-out loss, by the servers: {loss}\n{gates}")
    assert loss["n"] == 4
    assert loss["candidate"] <= 0.8 * loss["live"]
    assert json.loads(gates)["held_out_loss"] == {"passed": True, "measured": True, "why": "", "values": {}}
