"""The panel's pages about models: what they show, to whom, and which prices and limits they refuse."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from llm import live
from llm.charts import bar_chart, line_chart, nice_top
from llm.models import CallDay, Limit, ModelCall, Price
from llm.rollup import roll_up
from tests.llm.books import days_ago, stored_call

PAGES = (
    "llm_watch",
    "llm_costs",
    "llm_modelcall_changelist",
    "llm_callday_changelist",
    "llm_price_changelist",
    "llm_limit_changelist",
)


@pytest.fixture(autouse=True)
def _looked_at_anew() -> None:
    live.forget()


@pytest.fixture
def panel(client: Client, ada: Any) -> Client:
    client.force_login(ada)
    return client


def _text(client: Client, view: str, **query: Any) -> str:
    answer = client.get(reverse(f"admin:{view}"), query)
    assert answer.status_code == 200, view
    return str(answer.content.decode())


# --- pages -----------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("view", PAGES)
@pytest.mark.parametrize("language", ["en", "sv", "nb", "ko"])
def test_every_page_opens_with_and_without_calls(panel: Client, view: str, language: str) -> None:
    panel.cookies["django_language"] = language
    _text(panel, view)
    stored_call()
    stored_call(model="llamacpp", place="local", cost=0)
    stored_call(started=days_ago(1), outcome="server", first_token_seconds=None, cost=None)
    roll_up()
    _text(panel, view)


@pytest.mark.django_db
@pytest.mark.parametrize("view", PAGES)
def test_pages_are_for_those_who_may_see_them(client: Client, alice: Any, view: str) -> None:
    url = reverse(f"admin:{view}")
    assert client.get(url).status_code == 302
    alice.is_staff = True
    alice.save()
    client.force_login(alice)
    assert client.get(url).status_code == 403


@pytest.mark.django_db
def test_staff_with_the_right_find_the_pages_in_the_sidebar(client: Client, alice: Any) -> None:
    alice.is_staff = True
    alice.save()
    alice.user_permissions.add(Permission.objects.get(codename="view_modelcall"))
    client.force_login(alice)
    text = _text(client, "llm_watch")
    assert reverse("admin:llm_costs") in text and f'{reverse("admin:llm_limit_changelist")}"' not in text


@pytest.mark.django_db
def test_the_page_shows_figures_and_plots_with_their_tables(panel: Client) -> None:
    for seconds in (0.2, 0.4, 3.0):
        stored_call(first_token_seconds=seconds)
    stored_call(outcome="server", first_token_seconds=None)
    text = _text(panel, "llm_watch", days=7)
    assert "openai:gpt-4o-mini" in text and "25.0 %" in text
    assert text.count("<svg") == text.count("<details>") >= 4
    assert 'aria-current="page">7 days' in text
    figures = re.findall(r'(?:points|cx|cy|x1|height)="([^"]*)"', text)
    assert figures and all(re.fullmatch(r"[\d., -]+|\d*", figure) for figure in figures)


@pytest.mark.django_db
def test_a_cloud_model_without_a_price_is_pointed_out(panel: Client) -> None:
    stored_call(model="openai:brand-new", cost=None)
    stored_call(model="llamacpp", place="local", cost=0)
    assert _text(panel, "llm_watch").count(">no price<") == 1


@pytest.mark.django_db
def test_large_numbers_are_rounded_and_short(panel: Client) -> None:
    stored_call(prompt_tokens=48_377_200, completion_tokens=9_999)
    text = _text(panel, "llm_watch")
    assert "48.4 M" in text and "9,999 written" in text and "48,377,200" in text


@pytest.mark.django_db
def test_plots_are_drawn_with_points_whatever_the_language_writes(panel: Client) -> None:
    stored_call()
    stored_call(started=days_ago(1))
    panel.cookies["django_language"] = "sv"
    text = _text(panel, "llm_watch", days=7)
    assert re.search(r'<rect class="ac-plot-0" x="\d+\.\d" y="\d+\.\d" width="\d+\.\d"', text)


@pytest.mark.django_db
def test_an_unknown_period_is_the_last_day(panel: Client) -> None:
    assert 'aria-current="page">24 hours' in _text(panel, "llm_watch", days="<script>")


@pytest.mark.django_db
def test_calls_and_days_are_written_by_nobody(panel: Client) -> None:
    call = stored_call()
    roll_up()
    day = CallDay.objects.get()
    for name, row in (("modelcall", call), ("callday", day)):
        assert panel.get(reverse(f"admin:llm_{name}_add")).status_code == 403
        assert panel.post(reverse(f"admin:llm_{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
        assert panel.post(reverse(f"admin:llm_{name}_change", args=[row.pk]), {"model": "x"}).status_code == 403
    assert ModelCall.objects.get().model == "openai:gpt-4o-mini"


@pytest.mark.django_db
def test_nobodys_name_stands_beside_a_call(panel: Client, alice: Any) -> None:
    call = stored_call(user=alice)
    for text in (
        _text(panel, "llm_modelcall_changelist"),
        panel.get(reverse("admin:llm_modelcall_change", args=[call.pk])).content.decode(),
        _text(panel, "llm_watch"),
    ):
        assert "alice" not in text


@pytest.mark.django_db
def test_the_cost_page_reckons_with_what_is_typed(panel: Client) -> None:
    text = _text(panel, "llm_costs", sessions="1000", turns="5", prompt_tokens="1000", answer_tokens="200")
    assert "(2,500,000 × 0.15 + 2,500,000 × 0.075 + 1,000,000 × 0.6) / 1,000,000" in text
    assert 'name="sessions" value="1000"' in text
    assert "cannot be used" not in text
    assert "cannot be used" in _text(panel, "llm_costs", sessions="minus one")


# --- prices and limits -----------------------------------------------------------------------------


def _price(**values: Any) -> dict[str, Any]:
    return {"model": "openai:new*", "currency": "usd", "prompt": "1", "cached_prompt": "", "completion": "2"} | values


@pytest.mark.django_db
def test_a_price_is_added_in_the_currency_of_the_others(panel: Client) -> None:
    url = reverse("admin:llm_price_add")
    answer = panel.post(url, _price(currency="EUR"))
    assert answer.status_code == 200 and b"All prices are in one currency" in answer.content
    assert b"three letters" in panel.post(url, _price(currency="$")).content
    assert b"only stand at the end" in panel.post(url, _price(model="open*ai")).content
    assert b"greater than or equal to 0" in panel.post(url, _price(prompt="-1")).content
    assert panel.post(url, _price()).status_code == 302
    assert Price.objects.get(model="openai:new*").currency == "USD"


@pytest.mark.django_db
def test_the_only_price_may_change_its_currency(panel: Client) -> None:
    Price.objects.all().delete()
    assert panel.post(reverse("admin:llm_price_add"), _price(currency="EUR")).status_code == 302


@pytest.mark.django_db
def test_a_limit_bounds_something_for_somebody(panel: Client, alice: Any) -> None:
    url = reverse("admin:llm_limit_add")
    given = {"period": "month", "coach": "", "user": "", "turns": "", "tokens": "", "cost": ""}
    assert b"at least one of turns" in panel.post(url, given).content
    both = given | {"turns": "5", "user": alice.pk, "per_user": "on"}
    assert b"not both" in panel.post(url, both).content
    assert b"0 or more" in panel.post(url, given | {"cost": "-1"}).content
    assert panel.post(url, given | {"turns": "5", "per_user": "on", "cloud_only": "on"}).status_code == 302
    assert Limit.objects.get().turns == 5
    Price.objects.all().delete()
    assert b"Enter prices first" in panel.post(url, given | {"cost": "5"}).content


@pytest.mark.django_db
def test_the_list_of_limits_says_how_much_is_used(panel: Client, alice: Any) -> None:
    Limit.objects.create(tokens=4400)
    Limit.objects.create(user=alice, cost="0.01", tokens=100)
    Limit.objects.create(per_user=True, turns=1)
    Limit.objects.create(turns=0)
    stored_call(user=alice, cost="0.004")
    text = _text(panel, "llm_limit_changelist")
    assert [share for share in re.findall(r">\s*(\d+%|each on their own)\s*<", text)] == [
        "100%",
        "each on their own",
        "1100%",
        "25%",
    ]


# --- plots -----------------------------------------------------------------------------------------


def test_an_axis_ends_at_a_round_number() -> None:
    assert [nice_top(value) for value in (0, 0.03, 1, 1.01, 3, 7, 9, 130)] == [1, 0.04, 1, 2, 4, 8, 10, 200]


def test_a_line_has_gaps_where_nothing_was_measured() -> None:
    chart = line_chart(key="k", title="t", labels=list("abcde"), series={"p50": [1, 2, None, 4, None]}, write=str)
    (line,) = chart.lines
    assert [len(path.split()) for path in line.paths] == [2]
    assert [dot.text for dot in line.dots] == ["a, p50: 1", "b, p50: 2", "d, p50: 4"]
    assert [row.cells for row in chart.rows] == [["1"], ["2"], ["–"], ["4"], ["–"]]


def test_an_axis_whose_ends_are_known_has_them() -> None:
    values = {"coach": [1.0, 5.0, 3.0]}
    chart = line_chart(key="k", title="t", labels=list("abc"), series=values, write=str, ticks=(1, 2, 3, 4, 5))
    assert [tick.text for tick in chart.ticks] == ["1", "2", "3", "4", "5"]
    low, high, middle = (float(dot.y) for dot in chart.lines[0].dots)
    assert [low, high] == [float(chart.ticks[0].y), float(chart.ticks[-1].y)] == [max(low, high), 10.0]
    assert middle == pytest.approx((low + high) / 2, abs=0.11)


def test_bars_are_stacked_to_the_top_of_the_axis() -> None:
    chart = bar_chart(key="k", title="t", labels=["a"], series={"x": [3], "y": [1]}, write=str)
    low, high = chart.bars
    assert float(high.y) == 10.0
    assert float(high.y) + float(high.height) == pytest.approx(float(low.y), abs=0.11)
    assert bar_chart(key="k", title="t", labels=["a"], series={"x": [0]}, write=str).empty
