"""A real adapter against the live base by clicks: real servers, the real worker, and what is stored of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e import training_clicks as clicks
from tests.e2e.training_clicks import BASE
from tests.live import Live

pytestmark = [pytest.mark.slow, pytest.mark.real_model]
NAME, DATA = "at-random", "To compare"
MODEL = f"llamacpp:lora/{NAME}"
HELD_OUT, SUITE = 3, 5
SPREAD = "; ".join(
    [
        "import uuid",
        "from llm import live_order as order",
        "keys = [uuid.UUID(int=n * 2**90 + n) for n in range(400)]",
        "print(sum(bool(order.in_front(coach='personal', conversation=key, own_list=False)) for key in keys))",
    ]
)


def test_compared_refused_by_a_gate_then_a_canary_and_back(signed_in: Page, house: Live) -> None:
    clicks.make_turns(house)
    clicks.build_a_data_set(signed_in, DATA)
    clicks.shell(house, f"from tests.e2e import adapter_at_random; adapter_at_random.make({NAME!r})")
    key = clicks.compare(signed_in, candidate=NAME, dataset=DATA, held_out=HELD_OUT, suite=SUITE)
    row = stored(house, key)
    check_answers(house, key)
    check_figures(row["figures"])
    check_gates(row["gates"])
    assert row["passed"] == 0
    check_page(signed_in)
    check_going_live_and_back(signed_in, house, int(key))


def stored(house: Live, key: str) -> dict[str, Any]:
    names = ("state", "error", "live", "done", "total", "passed", "figures", "gates")
    [values] = house.sql(f"SELECT {', '.join(names)} FROM training_comparison WHERE id = ?", key)
    row = dict(zip(names, values, strict=True))
    assert (row["state"], row["error"]) == ("done", "")
    assert row["live"] == BASE
    assert row["done"] == row["total"] == HELD_OUT + SUITE
    return {**row, "figures": json.loads(row["figures"]), "gates": json.loads(row["gates"])}


def check_answers(house: Live, key: str) -> None:
    """Both sides of every question, from the model that is named and from no other in its place."""
    pairs = house.sql(
        "SELECT first, second, first_answer, second_answer, figures FROM training_answerpair WHERE comparison_id = ?",
        key,
    )
    assert len(pairs) == HELD_OUT + SUITE
    assert {pair[:2] for pair in pairs} == {(MODEL, BASE)}
    assert all(first and second for _, _, first, second, _ in pairs)
    assert any(first != second for _, _, first, second, _ in pairs)  # it is not the base that answers for both
    kinds = [json.loads(pair[4])["kind"] for pair in pairs]
    assert sorted(kinds[:SUITE]) == ["coaching", "language", "safety", "sources", "unanswerable"]
    assert kinds[SUITE:] == ["example"] * HELD_OUT


def check_figures(figures: dict[str, Any]) -> None:
    asked = {"held_out_loss": HELD_OUT, "likeness": HELD_OUT, "coaching": HELD_OUT + 1, "honesty": 1}
    asked |= dict.fromkeys(("language", "safety", "first_token", "speed"), HELD_OUT + SUITE)
    for name, count in asked.items():
        figure = figures[name]
        assert figure["n"] == count, name
        assert figure["low"] <= figure["difference"] <= figure["high"], name
    for name in ("likeness", "coaching", "language", "safety", "honesty"):
        assert 0 <= figures[name]["candidate"] <= 1 and 0 <= figures[name]["live"] <= 1, name
    loss = figures["held_out_loss"]
    assert 1 < loss["live"] < 10
    assert 0 < abs(loss["difference"]) < 1  # another model, and nearly the same
    assert figures["first_token"]["live"] > 0 and figures["speed"]["live"] > 0
    assert figures["errors"] == {"candidate": 0, "live": 0}
    assert figures["missed_crises"] == []
    assert set(figures["languages"]) == {"en"}


def check_gates(gates: dict[str, Any]) -> None:
    assert {name for name, gate in gates.items() if not gate["measured"]} == {"preference"}
    assert not gates["held_out_loss"]["passed"]
    assert gates["held_out_loss"]["why"] == "loss_not_lower"


def check_page(page: Page) -> None:
    expect(page.get_by_role("heading", name="It may not go live yet")).to_be_visible()
    expect(page.locator("[data-gate=no]").filter(has_text="Held-out loss")).to_contain_text("does not plainly fall")
    expect(page.locator("[data-gate=open]")).to_have_text("Preference not measured")
    table = page.get_by_role("region", name="All languages")
    expect(table.get_by_role("row").filter(has_text="Held-out loss")).to_contain_text("…")
    expect(table.locator("svg.ac-interval").first).to_be_visible()
    expect(page.locator(".ac-answers")).to_have_count(HELD_OUT + SUITE)


def check_going_live_and_back(page: Page, house: Live, comparison: int) -> None:
    clicks.promote(page, NAME, share=50)
    expect(page.get_by_role("alert")).to_contain_text("held-out loss does not plainly fall")
    assert history(house) == []
    clicks.promote(page, NAME, share=50, reason="A test with made-up data.")
    clicks.is_live(page, NAME)
    assert 150 < int(clicks.shell(house, SPREAD)) < 250  # of 400 conversations
    page.locator("form[action$='/widen/'] [name=share]").fill("100")
    clicks.surely(page, page.get_by_role("button", name="Change"))
    assert int(clicks.shell(house, SPREAD)) == 400
    assert clicks.answer(page, house)[0] == clicks.shown(NAME)
    print(f"rolled back in {clicks.roll_back(page):.2f} s")
    assert clicks.answer(page, house)[0] == BASE
    reason = "A test with made-up data."
    assert history(house) == [(50, comparison, reason, 0, 1), (100, comparison, reason, 0, 1)]
    assert house.sql("SELECT count(*) FROM llm_liveorder WHERE ended IS NULL AND front") == [(0,)]


def history(house: Live) -> list[tuple[Any, ...]]:
    """Of this model: share, comparison, reason, whether it is live, whether the same person ended it."""
    return house.sql(
        "SELECT share, comparison_id, overridden, ended IS NULL, started_by_id = ended_by_id"
        " FROM training_promotion JOIN training_tunedmodel AS model ON model.id = model_id"
        " WHERE model.name = ? ORDER BY started",
        NAME,
    )
