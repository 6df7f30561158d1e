"""The queue and its order, saving a review, what is shown beside a turn, the page and REST."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from coach.models import AnswerEdit, RatingChange, RatingReason, Turn
from tests.training.review_people import agree, person, talk_of, turn_in, with_sources
from training.models import Review
from training.review import desk, selectors, services
from training.review.errors import WrongReview
from training.review.selectors import Wanted

pytestmark = pytest.mark.django_db


@pytest.fixture
def rae() -> Any:
    return person("rae", rater=True)


@pytest.fixture
def rob() -> Any:
    return person("rob", rater=True)


@pytest.fixture
def talk(alice: Any, coach: Any) -> Any:
    agree(alice)
    return talk_of(alice, coach)


def names(user: Any, found: list[Any], **wanted: Any) -> list[Any]:
    return [turn.question for turn in selectors.first_turns(user, Wanted(**wanted), 50)]


def walk(user: Any, wanted: Wanted) -> list[str]:
    """From the first to the last by `next_turn`."""
    found, turn = [], None
    while (pk := selectors.next_turn(user, wanted, turn)) is not None:
        turn = selectors.turn_to_review(user, pk)
        found.append(turn.question)
        assert len(found) < 50
    return found


# --- the queue -----------------------------------------------------------------------------------


def test_filters_of_the_queue(rae: Any, talk: Any, alice: Any, coach: Any) -> None:
    swedish = talk_of(alice, coach, language="sv")
    plain = turn_in(talk, question="plain", minutes_ago=9, rating=5)
    low = turn_in(talk, question="low", minutes_ago=8, rating=2)
    unhelpful = turn_in(talk, question="unhelpful", minutes_ago=7, rating=4)
    unhelpful.rating.helpful = False
    unhelpful.rating.save()
    with_sources(turn_in(talk, question="cited", minutes_ago=6))
    with_sources(turn_in(talk, question="uncited", minutes_ago=5), cited=False)
    turn_in(talk, question="flagged", minutes_ago=4, safety="elevated")
    turn_in(swedish, question="svensk", minutes_ago=3)
    everything = ["svensk", "flagged", "uncited", "cited", "unhelpful", "low", "plain"]
    assert names(rae, []) == walk(rae, Wanted()) == everything
    assert names(rae, [], show="low") == walk(rae, Wanted(show="low")) == ["unhelpful", "low"]
    assert names(rae, [], show="uncited") == ["uncited"]
    assert names(rae, [], show="safety") == ["flagged"]
    assert names(rae, [], language="sv") == ["svensk"]
    assert names(rae, [], coach=coach.slug) == everything
    services.save_review(user=rae, turn_id=low.pk, rating=2)
    assert names(rae, [], show="low") == ["unhelpful"]
    assert names(rae, [], mine="done") == ["low"]
    assert names(rae, [], mine="all") == everything
    assert selectors.left(rae, Wanted()) == 6
    # Back leads to what was just reviewed, although it is no longer in the queue.
    assert selectors.turn_before(rae, Wanted(show="low"), low) == unhelpful.pk
    assert selectors.turn_before(rae, Wanted(), plain) == low.pk


def test_turns_of_the_same_moment_follow_each_other(rae: Any, talk: Any) -> None:
    first = turn_in(talk)
    for n in range(5):
        turn_in(talk, question=f"question {n}")
    Turn.objects.filter(conversation=talk).update(created=first.created)
    turns = [selectors.turn_to_review(rae, pk) for pk in sorted(talk.turns.values_list("pk", flat=True))]
    assert walk(rae, Wanted()) == [turn.question for turn in turns]
    back = [selectors.turn_before(rae, Wanted(), turn) for turn in turns]
    assert back == [None, *(turn.pk for turn in turns[:-1])]


def test_a_random_sample_is_the_same_for_all_raters_and_another_for_another_number(
    rae: Any, rob: Any, talk: Any
) -> None:
    for n in range(30):
        turn_in(talk, question=f"question {n}")
    sample = walk(rae, Wanted(show="random", seed=7))
    assert sorted(sample) == sorted(f"question {n}" for n in range(30))
    assert sample == names(rae, [], show="random", seed=7) == walk(rob, Wanted(show="random", seed=7))
    assert sample != walk(rae, Wanted(show="random", seed=8))
    assert sample != walk(rae, Wanted())
    wanted = Wanted(show="random", seed=7)
    turns = selectors.first_turns(rae, wanted, 50)
    back = [selectors.turn_before(rae, wanted, turn) for turn in turns[1:]]
    assert back == [turn.pk for turn in turns[:-1]]
    assert selectors.turn_before(rae, wanted, turns[0]) is None


def test_parameters_that_do_not_exist_count_as_not_given(coach: Any) -> None:
    wanted = Wanted.of({"show": "x", "mine": "x", "language": "xx", "coach": "nobody", "seed": "-3"})
    assert wanted == Wanted()
    assert Wanted.of({"seed": "9" * 30}).seed == selectors.LARGEST_SEED
    assert Wanted.of({"show": "low", "coach": coach.slug}).query() == {"show": "low", "coach": coach.slug}


# --- saving --------------------------------------------------------------------------------------


def test_a_review_is_made_and_replaced(rae: Any, talk: Any) -> None:
    turn = turn_in(talk)
    RatingReason.objects.filter(slug__in=("a", "b", "old")).delete()
    RatingReason.objects.create(slug="a", texts={"en": "Clear"}, position=901)
    RatingReason.objects.create(slug="b", texts={"en": "Too long"}, position=902)
    RatingReason.objects.create(slug="old", active=False, position=903)
    with pytest.raises(WrongReview, match="Give a rating"):
        services.save_review(user=rae, turn_id=turn.pk, reasons=["a"])
    with pytest.raises(WrongReview, match="whole number"):
        services.save_review(user=rae, turn_id=turn.pk, rating=6)
    for unknown in ("nothing", "old"):
        with pytest.raises(WrongReview, match=unknown):
            services.save_review(user=rae, turn_id=turn.pk, rating=3, reasons=[unknown])
    with pytest.raises(WrongReview, match="8000"):
        services.save_review(user=rae, turn_id=turn.pk, ideal_answer="x" * 8001)
    assert Review.objects.count() == 0
    services.save_review(user=rae, turn_id=turn.pk, rating=3, reasons=["b", "a"], comment=" hm ")
    services.save_review(user=rae, turn_id=turn.pk, rating=2, reasons=["a"], ideal_answer=f" {turn.answer} ")
    [review] = Review.objects.all()
    # The answer itself is no ideal answer: a pair of two equal answers teaches nothing.
    assert (review.rating, review.reasons, review.ideal_answer, review.comment) == (2, ["a"], "", "")
    RatingReason.objects.filter(slug="a").update(active=False)
    services.save_review(user=rae, turn_id=turn.pk, rating=1, reasons=["a"], ideal_answer="Do one thing.")
    review.refresh_from_db()
    assert (review.rating, review.reasons, review.ideal_answer) == (1, ["a"], "Do one thing.")


def test_other_reviews_are_shown_after_ones_own(rae: Any, rob: Any, talk: Any, client: Client) -> None:
    turn = turn_in(talk)
    services.save_review(user=rob, turn_id=turn.pk, rating=1, comment="It misses the point.", ideal_answer="Better so.")
    hidden = desk.shown(rae, turn)
    assert (hidden.others, hidden.others_count, hidden.mine) == (None, 1, None)
    client.force_login(rae)
    url, page = f"/api/v1/reviews/{turn.pk}", reverse("admin:training_review_changelist")
    assert client.get(url).json()["others"] is None
    assert b"misses the point" not in client.get(page, {"turn": turn.pk}).content
    body = json.dumps({"rating": 4})
    assert client.put(url, body, content_type="application/json").status_code == 200
    assert [one["comment"] for one in client.get(url).json()["others"]] == ["It misses the point."]
    text = client.get(page, {"turn": turn.pk}).content
    assert b"misses the point" in text and b">rob<" not in text


# --- what is shown -------------------------------------------------------------------------------


def test_the_conversation_the_sources_and_the_rating_beside_a_turn(rae: Any, talk: Any, alice: Any, ada: Any) -> None:
    turn_in(talk, question="first", answer="old sibling", position=0, minutes_ago=9)
    turn_in(talk, question="first", answer="last sibling", position=0, minutes_ago=8)
    turn_in(talk, question="broken", position=1, state="failed")
    turn = with_sources(turn_in(talk, position=2, rating=2))
    turn_in(talk, question="later", position=3)
    for rating, by in ((4, alice), (None, alice), (2, ada)):
        RatingChange.objects.create(turn=turn, rating=rating, changed_by=by, reasons=["gone"])
    shown = desk.shown(rae, selectors.turn_to_review(rae, turn.pk))
    assert [one.answer for one in shown.before] == ["last sibling"]
    assert [(source["n"], source["cited"]) for source in shown.sources] == [(1, True), (2, False)]
    assert shown.rated is not None and shown.rated.rating == 2
    assert [(change.rating, change.own, change.reasons) for change in shown.changes] == [
        (4, True, ["gone"]),
        (None, True, ["gone"]),
        (2, False, ["gone"]),
    ]
    assert (
        shown.prompt is not None and shown.prompt.exact is False and turn.question in shown.prompt.messages[-1].content
    )


def test_what_the_coachee_made_of_the_answer(ada: Any, talk: Any, alice: Any, client: Client) -> None:
    turn = turn_in(talk, safety="elevated")
    AnswerEdit.objects.create(turn=turn, text="Do <one> thing.")
    client.force_login(ada)
    url, page = f"/api/v1/reviews/{turn.pk}", reverse("admin:training_review_changelist")
    assert client.get(url).json()["edit"] == "Do <one> thing."
    assert b"Do &lt;one&gt; thing." in client.get(page, {"turn": turn.pk}).content
    User.objects.filter(pk=alice.pk).update(training_consent=None)  # the flagged turn alone is still seen
    assert client.get(url).json()["edit"] == ""
    assert b"desk-edit" not in client.get(page, {"turn": turn.pk}).content


def test_chips_have_keys_that_nothing_else_uses() -> None:
    RatingReason.objects.all().delete()
    for n in range(11):
        RatingReason.objects.create(slug=f"r{n}", texts={"en": f"Reason {n}", "sv": f"Skäl {n}"}, position=n)
    found = desk.reasons()
    assert [reason.key for reason in found] == [*"qwrtyuiop", "", ""]
    assert not set("qwrtyuiop") & set("jksecb12345")
    from django.utils.translation import override

    with override("sv"):
        assert desk.reasons()[0].text == "Skäl 0"
    with override("ko"):
        assert desk.reasons()[0].text == "Reason 0"


# --- the page ------------------------------------------------------------------------------------


def test_the_page_leads_to_the_first_turn_and_from_one_to_the_next(rae: Any, talk: Any, client: Client) -> None:
    client.force_login(rae)
    url = reverse("admin:training_review_changelist")
    assert b"Nothing is waiting here" in client.get(url).content
    old = turn_in(talk, question="the older one", minutes_ago=5, rating=1)
    new = turn_in(talk, question="the newer one", rating=1)
    answer = client.get(url, {"show": "low"})
    assert answer.headers["Location"] == f"{url}?show=low&turn={new.pk}"
    page = client.get(answer.headers["Location"]).content.decode()
    assert f'data-next="{url}?show=low&amp;turn={old.pk}" data-last=""' in page
    page = client.get(url, {"show": "low", "turn": str(old.pk)}).content.decode()
    assert f'data-next="" data-last="{url}?show=low&amp;turn={new.pk}"' in page
    assert b"cannot be seen here" in client.get(url, {"turn": "3f1d6a52-0000-4000-8000-000000000000"}).content
    assert client.post(url).status_code in {403, 405}


def test_text_of_people_and_models_is_escaped(rae: Any, talk: Any, client: Client) -> None:
    evil = "</script><script>alert(1)</script>"
    turn = turn_in(talk, question=evil, answer=evil, rating=3)
    client.force_login(rae)
    page = client.get(reverse("admin:training_review_changelist"), {"turn": str(turn.pk)}).content.decode()
    assert "<script>alert" not in page


# --- REST ----------------------------------------------------------------------------------------


def test_rest_for_scripts(rae: Any, talk: Any, client: Client) -> None:
    from accounts.services import create_token

    turn, other = turn_in(talk, rating=2), turn_in(talk, rating=5)
    token = {"HTTP_AUTHORIZATION": f"Bearer {create_token(user=rae, name='script')}"}
    found = client.get("/api/v1/reviews/queue?show=low", **token).json()
    assert (found["left"], [one["id"] for one in found["turns"]]) == (1, [str(turn.pk)])
    assert len(client.get("/api/v1/reviews/queue?limit=1", **token).json()["turns"]) == 1
    body = json.dumps({"rating": 1, "ideal_answer": "Do one thing.", "comment": "short"})
    answer = client.put(f"/api/v1/reviews/{turn.pk}", body, content_type="application/json", **token)
    assert (answer.status_code, answer.json()["ideal_answer"]) == (200, "Do one thing.")
    [review] = Review.objects.all()
    assert (review.turn_id, review.reviewer_id, review.rating) == (turn.pk, rae.pk, 1)
    for wrong, status in (("{}", 422), ('{"rating": 9}', 422), ('{"rating": 3, "reasons": ["nothing"]}', 422)):
        answer = client.put(f"/api/v1/reviews/{other.pk}", wrong, content_type="application/json", **token)
        assert (answer.status_code, answer.json()["code"]) == (status, "invalid")
    assert Review.objects.count() == 1
