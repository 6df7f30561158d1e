"""What is stored, who may store it, and who wins a race."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from coach import selectors, services
from coach.errors import Empty, NotFinished, NotFound, NotLast, TooLong, TooMany
from coach.models import Coach, Conversation, Rating, Source, Turn

pytestmark = pytest.mark.django_db


@pytest.fixture
def talk() -> Conversation:
    owner = User.objects.create(username="alma")
    Coach.objects.get_or_create(slug="personal", defaults={"name": "Personal", "mode": "personal"})
    return services.start_conversation(owner_id=owner.pk, coach="personal", language="sv")


def ask(talk: Conversation, text: str = "Hur sätter jag mål?", turn: uuid.UUID | None = None) -> uuid.UUID:
    turn = turn or uuid.uuid4()
    services.ask(user_id=talk.owner_id, turn_id=turn, conversation_id=talk.pk, text=text)
    return turn


def finish(turn: uuid.UUID, runner: str = "r1", **values) -> bool:
    outcome = services.Outcome(state=Turn.State.DONE, **{"answer": "svar", **values})
    return services.finish_turn(turn_id=turn, runner=runner, outcome=outcome)


def test_a_resend_is_harmless(talk: Conversation) -> None:
    turn = ask(talk)
    assert services.ask(user_id=talk.owner_id, turn_id=turn, conversation_id=talk.pk, text="again") is False
    assert Turn.objects.get().question == "Hur sätter jag mål?"


def test_the_first_question_names_the_conversation_and_its_language(talk: Conversation) -> None:
    ask(talk, "How do I set goals that I really keep when everything around me changes all the time?")
    talk.refresh_from_db()
    assert talk.title == "How do I set goals that I really keep when everything…"
    assert talk.language == "en"


@pytest.mark.parametrize(("text", "error"), [("", Empty), ("  \n\x00 ", Empty), ("x" * 4001, TooLong)])
def test_bad_questions_store_nothing(talk: Conversation, text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        ask(talk, text)
    assert not Turn.objects.exists()


def test_somebody_else_finds_nothing(talk: Conversation) -> None:
    eve = User.objects.create(username="eve")
    turn = ask(talk)
    with pytest.raises(NotFound):
        services.ask(user_id=eve.pk, turn_id=uuid.uuid4(), conversation_id=talk.pk, text="hello")
    with pytest.raises(NotFound):
        services.regenerate(user_id=eve.pk, turn_id=turn, new_turn_id=uuid.uuid4())
    with pytest.raises(NotFound):
        services.request_stop(user_id=eve.pk, turn_id=turn)
    with pytest.raises(NotFound):
        services.rate(user_id=eve.pk, turn_id=turn, rating=1, helpful=None, comment="")
    with pytest.raises(NotFound):
        services.delete_conversation(owner_id=eve.pk, conversation_id=talk.pk)
    assert selectors.turn_of(eve.pk, turn) is None
    assert Turn.objects.count() == 1


def test_the_id_of_a_foreign_turn_cannot_be_taken(talk: Conversation) -> None:
    turn = ask(talk)
    eve = User.objects.create(username="eve")
    hers = services.start_conversation(owner_id=eve.pk, coach="personal", language="en")
    with pytest.raises(NotFound):
        services.ask(user_id=eve.pk, turn_id=turn, conversation_id=hers.pk, text="mine")
    assert Turn.objects.get().conversation_id == talk.pk


def test_too_many_turns_a_minute(talk: Conversation, settings) -> None:
    settings.TURNS_PER_MINUTE = 2
    ask(talk)
    ask(talk)
    with pytest.raises(TooMany):
        ask(talk)


def test_only_one_runner_claims(talk: Conversation) -> None:
    turn = ask(talk)
    assert services.claim(turn_id=turn, runner="r1") == 1
    assert services.claim(turn_id=turn, runner="r2") == 0


def test_a_dead_runner_is_replaced_and_cannot_finish(talk: Conversation) -> None:
    turn = ask(talk)
    services.claim(turn_id=turn, runner="r1")
    Turn.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert services.claim(turn_id=turn, runner="r2") == 2
    assert finish(turn, runner="r1") is False
    assert finish(turn, runner="r2", answer="second") is True
    assert Turn.objects.get().answer == "second"


def test_after_three_attempts_the_turn_fails_with_a_reason(talk: Conversation) -> None:
    turn = ask(talk)
    for attempt in (1, 2, 3):
        assert services.claim(turn_id=turn, runner=f"r{attempt}") == attempt
        Turn.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert services.claim(turn_id=turn, runner="r4") == 0
    assert services.give_up_exhausted() == [(turn, 3)]
    stored = Turn.objects.get()
    assert (stored.state, stored.failure_code) == ("failed", "runner_lost")
    assert stored.failure


def test_turns_of_one_conversation_run_in_their_order(talk: Conversation) -> None:
    first, second = ask(talk), ask(talk, "Och sen?")
    assert services.claim(turn_id=second, runner="r1") == 0
    services.claim(turn_id=first, runner="r1")
    finish(first)
    assert services.claim(turn_id=second, runner="r1") == 1


def test_a_released_turn_costs_no_attempt(talk: Conversation) -> None:
    turn = ask(talk)
    services.claim(turn_id=turn, runner="r1")
    services.release(turn_id=turn, runner="r1")
    assert services.claim(turn_id=turn, runner="r2") == 1


def test_leases_are_renewed_and_stops_are_seen(talk: Conversation) -> None:
    turn = ask(talk)
    services.claim(turn_id=turn, runner="r1")
    services.request_stop(user_id=talk.owner_id, turn_id=turn)
    Turn.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert services.renew_leases(runner="r1") == {turn}
    assert Turn.objects.get().lease_until > timezone.now()


def test_stopping_a_waiting_turn_needs_no_runner(talk: Conversation) -> None:
    turn = ask(talk)
    services.request_stop(user_id=talk.owner_id, turn_id=turn)
    assert Turn.objects.get().state == "stopped"
    assert services.claim(turn_id=turn, runner="r1") == 0


def new_source(n: int) -> services.NewSource:
    return services.NewSource(n, None, None, f"t{n}", "p. 1", "whole text", "excerpt")  # type: ignore[arg-type]


def test_sources_keep_their_numbers_and_the_path_shows_each_once(talk: Conversation) -> None:
    first, second = ask(talk), ask(talk, "Berätta mer om det")
    services.claim(turn_id=first, runner="r1")
    finish(first, sources=[{"n": 1, "score": 0.1}, {"n": 2, "score": 0.2}], new_sources=[new_source(1), new_source(2)])
    services.claim(turn_id=second, runner="r1")
    finish(second, sources=[{"n": 2, "score": 0.3}, {"n": 3, "score": 0.1}], new_sources=[new_source(3)])
    third = ask(talk, "Och sedan?")
    context = selectors.turn_context(third)
    assert [[source.n for source in turn.sources] for turn in context.past] == [[1, 2], [3]]
    assert [source.n for source in context.sources] == [1, 2, 3]
    assert Source.objects.count() == 3


def test_a_regenerated_answer_is_a_sibling_and_the_last_one_is_on_the_path(talk: Conversation) -> None:
    first = ask(talk)
    with pytest.raises(NotFinished):
        services.regenerate(user_id=talk.owner_id, turn_id=first, new_turn_id=uuid.uuid4())
    services.claim(turn_id=first, runner="r1")
    finish(first, answer="one")
    again = uuid.uuid4()
    assert services.regenerate(user_id=talk.owner_id, turn_id=first, new_turn_id=again)
    services.claim(turn_id=again, runner="r1")
    finish(again, answer="two")
    stored = Turn.objects.get(pk=again)
    assert (stored.position, stored.regenerates_id, stored.question) == (0, first, "Hur sätter jag mål?")
    assert [turn.answer for turn in selectors.turn_context(ask(talk, "Mer?")).past] == ["two"]


def test_a_changed_question_is_a_sibling_and_takes_the_place_of_the_first(talk: Conversation) -> None:
    first = ask(talk)
    services.claim(turn_id=first, runner="r1")
    finish(first, answer="one")
    talk.refresh_from_db()
    assert talk.title == "Hur sätter jag mål?"
    again, question = uuid.uuid4(), "How do I set goals that I really want?"
    resend: dict[str, Any] = {"user_id": talk.owner_id, "turn_id": first, "new_turn_id": again}
    assert services.regenerate(**resend, text=f" {question}\x00 ")
    assert not services.regenerate(**resend, text=question)  # the same frame once more
    stored = Turn.objects.get(pk=again)
    assert (stored.position, stored.regenerates_id, stored.question, stored.language) == (0, first, question, "en")
    assert Turn.objects.get(pk=first).question == "Hur sätter jag mål?"
    talk.refresh_from_db()
    assert (talk.title, talk.language) == (question, "en")
    context = selectors.turn_context(again)
    assert (context.question, context.regenerates, context.sibling_sources) == (question, False, ())
    services.claim(turn_id=again, runner="r1")
    finish(again, answer="two")
    path = selectors.turn_context(ask(talk, "Mer?")).past
    assert [(turn.question, turn.answer) for turn in path] == [(question, "two")]


def test_only_the_last_question_can_be_changed_and_only_like_one_that_is_asked(talk: Conversation) -> None:
    first, second = ask(talk), ask(talk, "Mer?")
    for turn in (first, second):
        services.claim(turn_id=turn, runner="r1")
        finish(turn, answer="one")
    for turn, text, error in [
        (second, "  ", Empty),
        (second, "x" * 4001, TooLong),
        (first, "Something else?", NotLast),
    ]:
        with pytest.raises(error):
            services.regenerate(user_id=talk.owner_id, turn_id=turn, new_turn_id=uuid.uuid4(), text=text)
    assert Turn.objects.count() == 2
    assert services.regenerate(  # the same words are no change
        user_id=talk.owner_id, turn_id=first, new_turn_id=uuid.uuid4(), text="Hur sätter jag mål?"
    )


def test_a_rating_can_be_changed_but_only_of_a_finished_turn(talk: Conversation) -> None:
    turn = ask(talk)
    with pytest.raises(NotFinished):
        services.rate(user_id=talk.owner_id, turn_id=turn, rating=4, helpful=True, comment="")
    services.claim(turn_id=turn, runner="r1")
    finish(turn)
    services.rate(user_id=talk.owner_id, turn_id=turn, rating=4, helpful=True, comment=" bra ")
    services.rate(user_id=talk.owner_id, turn_id=turn, rating=2, helpful=None, comment="")
    stored = Rating.objects.get()
    assert (stored.rating, stored.helpful, stored.comment) == (2, None, "")
