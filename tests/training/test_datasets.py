from __future__ import annotations

import hashlib
import json
import random
import time
from itertools import combinations

import pytest
from django.utils import timezone

from accounts.models import User
from coach.models import AnswerEdit, Conversation, Turn
from coach.prompting import user_text
from llm.types import Message
from training import consent
from training.datasets import build, files, services
from training.datasets.errors import BadSet, Changed, NotOpen, TooFew
from training.datasets.examples import question_of
from training.datasets.similar import DOUBLE, NEAR, letters, overlap, pieces
from training.datasets.split import held_out
from training.filters import WrongFilter
from training.models import DataSet, Example, Review

from .test_exports import shown
from .turns import make_turn

pytestmark = pytest.mark.django_db
SUBJECTS = (
    "sleep", "money", "exams", "gardening", "swimming", "public speaking", "my thesis", "cooking", "violin practice",
    "emails", "jealousy", "moving abroad", "chess", "grief", "delegating", "night shifts", "budgets", "dating",
    "teaching", "running", "painting", "retirement", "parenting", "debt", "insomnia", "promotion", "stage fright",
    "French grammar", "boredom", "overtime",
)  # fmt: skip


@pytest.fixture
def talks(consented, alice):
    """Thirty turns of ten conversations, each about something else."""
    made = [consented, *(Conversation.objects.create(owner=alice, coach=consented.coach) for _ in range(9))]
    rng = random.Random(5)
    for number, subject in enumerate(SUBJECTS):
        words = rng.sample(SUBJECTS, 12)
        make_turn(
            made[number % 10],
            question=f"What could I do about {subject}, {', '.join(words[:4])}?",
            answer=f"Begin with {subject}; then {', '.join(words[4:])}. What would Monday look like?",
        )
    return made


def built(**values) -> DataSet:
    return build.run(dataset_id=services.create(**{"name": "Autumn", **values}).pk)


def approved(dataset: DataSet, by=None) -> DataSet:
    services.decide(dataset=dataset, state="approved", by=by)
    return dataset


def test_from_turns_to_a_frozen_set(talks, ada, tmp_path):
    make_turn(talks[0], rating=1)
    dataset = built(kind="answers", given={"min_rating": 4}, by=ada)
    assert (dataset.state, dataset.done, dataset.total) == ("review", 30, 30)
    assert dataset.counts == {"turns": 31, "examples": 30, "left_out": {"rating": 1}, "replaced": {}}
    example = dataset.examples.first()
    assert [message["role"] for message in example.prompt] == ["system", "user"]
    assert example.turn.conversation_id == example.conversation and example.state == "proposed"

    approved(dataset, ada)
    frozen = services.freeze(dataset=dataset)
    assert frozen.state == "frozen" and frozen.frozen and len(frozen.sha256) == 64
    manifest = frozen.manifest
    assert manifest["counts"] == {"in": 31, "out": 30, "left_out": {"rating": 1}, "examples_left_out": {}}
    assert manifest["filter"]["min_rating"] == 4 and manifest["sha256"] == frozen.sha256
    paths = files.write_openai(frozen, tmp_path)
    for split, path in paths.items():
        data = path.read_bytes()
        stored = manifest["files"][f"{split}.jsonl"]
        assert hashlib.sha256(data).hexdigest() == stored["sha256"] and data.count(b"\n") == stored["lines"]
        assert [json.loads(line) for line in data.splitlines()] == list(files.lines(frozen, split))
        assert len(manifest["ids"][split]) == stored["lines"]
    assert 3 <= manifest["files"]["held_out.jsonl"]["lines"] <= 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["held_out.jsonl", "train.jsonl"]


def test_frozen_never_changes(talks, ada, tmp_path):
    frozen = services.freeze(dataset=approved(built()))
    example = frozen.examples.first()
    for act in (
        lambda: services.decide(dataset=frozen, state="rejected", by=ada),
        lambda: services.edit(example=example, by=ada, answer="Something else."),
        lambda: services.freeze(dataset=frozen),
    ):
        with pytest.raises(NotOpen):
            act()
    services.cancel(dataset_id=frozen.pk)
    assert services.get(frozen.pk).state == "frozen"
    Example.objects.filter(pk=example.pk).update(answer="Changed behind our back.")
    with pytest.raises(Changed):
        files.write_openai(services.get(frozen.pk), tmp_path)


def test_the_same_turns_give_the_same_set(talks):
    def parts(seed: int) -> tuple[dict, list]:
        frozen = services.freeze(dataset=approved(built(seed=seed)))
        return frozen.manifest["files"], list(frozen.examples.order_by("turn").values_list("turn", "split"))

    first = parts(7)
    assert parts(7) == first
    # Of so few conversations another seed may well make the same parts.
    assert any(parts(seed)[1] != first[1] for seed in range(8, 16))


def test_no_overlap_between_the_parts(talks):
    """By conversation, exactly, and nearly: also where two conversations ask nearly the same."""
    for number, talk in enumerate(talks[:5]):
        make_turn(
            talk,
            question=f"How can I find the courage to say no to my team leader today{'!' * number}",
            answer=f"Own answer number {number}: {SUBJECTS[number]} first, then {SUBJECTS[-number - 1]} with care.",
        )
    dataset = built(held_out=0.4)
    train, held = (list(dataset.examples.filter(split=split)) for split in ("train", "held_out"))
    assert train and held
    assert not {e.conversation for e in train} & {e.conversation for e in held}
    for one in train:
        for other in held:
            for text in (question_of, lambda example: example.answer):
                assert letters(text(one)) != letters(text(other))
                assert overlap(pieces(text(one)), pieces(text(other))) < NEAR


def test_doubles_are_there_once(talks, alice):
    first = Turn.objects.order_by("conversation_id", "position").first()
    for number, answer in enumerate(
        (first.answer, first.answer.upper() + "!!", first.answer.replace("Monday", "Mondays"))
    ):
        talk = Conversation.objects.create(owner=alice, coach=talks[0].coach)
        make_turn(talk, question=first.question + "?" * number, answer=answer)
    dataset = built()
    assert dataset.counts["left_out"] == {"double": 3} and dataset.examples.count() == 30
    for one, other in combinations(dataset.examples.all(), 2):
        both = (f"{question_of(example)}\n{example.answer}" for example in (one, other))
        assert overlap(*map(pieces, both)) < DOUBLE


def test_an_edit_cannot_bring_overlap_into_a_frozen_set(talks, ada):
    dataset = approved(built())
    train = dataset.examples.filter(split="train").first()
    held = dataset.examples.filter(split="held_out").first()
    services.edit(example=held, by=ada, answer=train.answer + ".")
    held.refresh_from_db()
    assert held.state == "proposed" and held.reviewed_by == ada
    services.decide(dataset=dataset, state="approved", by=ada, examples=[held.pk])
    frozen = services.freeze(dataset=dataset)
    held.refresh_from_db()
    assert held.state == "rejected"
    assert frozen.manifest["counts"]["examples_left_out"] == {"overlap": 1}


def test_personal_data_is_replaced_the_same_way_in_all_of_a_conversation(talks, ada):
    talk = talks[0]
    make_turn(
        talk,
        question="My boss Karin Svensson wrote to me from karin@example.com, what now?",
        answer="What would you like to tell Karin, and would 070-123 45 67 be better than karin@example.com?",
    )
    make_turn(
        talk, question="I told Karin that I am free on Friday.", answer="How did Karin take your news on that day?"
    )
    dataset = built()
    one, other = dataset.examples.filter(conversation=talk.pk).order_by("pk")[3:5]
    assert one.prompt[-1]["content"] == "My boss [NAME_1] wrote to me from [MAIL_1], what now?"
    assert one.answer == "What would you like to tell [NAME_1], and would [PHONE_1] be better than [MAIL_1]?"
    assert other.prompt[-1]["content"] == "I told [NAME_1] that I am free on Friday."
    assert other.answer == "How did [NAME_1] take your news on that day?"
    assert one.replaced == {"name": 2, "mail": 2, "phone": 1}
    assert dataset.counts["replaced"] == {"name": 4, "mail": 2, "phone": 1}
    frozen = services.freeze(dataset=approved(dataset))
    assert frozen.manifest["replaced"] == dataset.counts["replaced"] and "rare names" in frozen.manifest["limits"]


def test_names_of_authors_in_sources_stay(talks):
    source = "[1] Carol Dweck writes about two mindsets."
    turn = make_turn(
        talks[0],
        question="What does Carol Dweck say to my friend Anna?",
        answer="Carol Dweck says to Anna: not yet [1].",
    )
    sent = f"Sources:\n{source}\n\nQuestion: {turn.question}\nAnswer in English."
    shown(turn, Message("user", sent))
    example = built().examples.get(turn=turn)
    assert source in example.prompt[-1]["content"]
    assert "What does Carol Dweck say to my friend [NAME_1]?" in example.prompt[-1]["content"]
    assert example.answer == "Carol Dweck says to [NAME_1]: not yet [1]."


@pytest.mark.parametrize("language", ["en", "sv", "nb", "ko"])
@pytest.mark.parametrize("grounded", [True, False])
def test_the_question_is_found_in_what_was_sent(language, grounded):
    text = "First line?\nsecond line"
    sent = user_text(question=text, language=language, grounded=grounded, sources=())
    example = Example(language=language, prompt=[{"role": "user", "content": sent}])
    assert question_of(example) == text
    example.prompt[-1]["content"] = text
    assert question_of(example) == text


def test_preferences(talks, ada):
    for talk in talks[:6]:
        turn = talk.turns.first()
        shown(turn, Message("system", "Be kind."), Message("user", turn.question))
        Review.objects.create(
            turn=turn, reviewer=ada, ideal_answer=f"A better answer. {turn.question} Tell anna@example.com."
        )
    dataset = built(kind="preferences")
    assert dataset.examples.count() == 6 and dataset.counts["left_out"] == {"no_pair": 24}
    example = dataset.examples.first()
    assert example.answer.endswith("[MAIL_1].") and example.rejected == example.turn.answer
    assert [message["role"] for message in example.prompt] == ["system", "user"]
    approved(dataset)
    (line, *_rest) = files.lines(dataset, "train")
    assert set(line) == {"prompt", "chosen", "rejected"}


@pytest.mark.parametrize("kind", ["answers", "preferences"])
def test_edits_are_examples_without_personal_data(talks, kind):
    for talk in talks[:6]:
        turn = talk.turns.first()
        shown(turn, Message("system", "Be kind."), Message("user", turn.question))
        text = f"As I would have it. {turn.question} Tell anna@example.com."
        AnswerEdit.objects.create(turn=turn, text=text)
    dataset = built(kind=kind)
    edited = [one for one in dataset.examples.all() if one.answer.startswith("As I would have it.")]
    assert len(edited) == 6
    assert all(one.answer.endswith("Tell [MAIL_1].") and one.replaced for one in edited)
    assert {one.rejected for one in edited} == ({one.turn.answer for one in edited} if kind == "preferences" else {""})
    assert dataset.examples.count() == (6 if kind == "preferences" else 30)


def test_in_slices_and_after_a_kill(talks, monkeypatch):
    monkeypatch.setattr(build, "CONVERSATIONS_AT_ONCE", 3)
    monkeypatch.setattr(build, "SLICE_SECONDS", 0)
    dataset = services.create(name="Slow")
    assert build.run_slice(dataset_id=dataset.pk)
    dataset.refresh_from_db()
    assert dataset.done == 9 == dataset.examples.count()
    real = Example.objects.bulk_create

    def killed(*args, **kwargs):
        real(*args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr("training.models.Example.objects.bulk_create", killed)
    with pytest.raises(KeyboardInterrupt):
        build.run_slice(dataset_id=dataset.pk)
    monkeypatch.undo()
    dataset.refresh_from_db()
    assert dataset.done == 9 == dataset.examples.count()  # nothing half-stored
    assert not build.run_slice(dataset_id=dataset.pk)  # the dead worker still seems to have it
    assert build.forgotten() == []
    DataSet.objects.update(counts={**dataset.counts, "build": {**dataset.counts["build"], "beat": time.time() - 1000}})
    assert build.forgotten() == [dataset.pk]
    dataset = build.run(dataset_id=dataset.pk)
    assert dataset.state == "review" and dataset.examples.count() == 30
    assert len(set(dataset.examples.values_list("turn", flat=True))) == 30


def test_three_deaths_end_it(talks):
    dataset = services.create(name="Doomed")
    for _ in range(3):
        assert build._claim(dataset.pk)
        dataset.refresh_from_db()
        DataSet.objects.update(counts={**dataset.counts, "build": {**dataset.counts["build"], "beat": 0}})
    assert build.forgotten() == []
    dataset.refresh_from_db()
    assert dataset.state == "failed" and "three times" in dataset.error


def test_cancelled(talks, monkeypatch):
    waiting = services.create(name="Waiting")
    assert services.cancel(dataset_id=waiting.pk).state == "cancelled"
    assert not build.run_slice(dataset_id=waiting.pk)

    running = services.create(name="Running")
    held = build._claim(running.pk)
    assert services.cancel(dataset_id=running.pk).state == "building"
    with pytest.raises(build.Cancelled):
        held.write(done=5)
    assert services.get(running.pk).done == 0


def test_an_empty_filter_says_why(talks):
    dataset = built(given={"min_rating": 5})
    assert dataset.state == "failed" and "rated too low: 30" in dataset.error
    assert dataset.examples.count() == 0


def test_too_few_cannot_be_frozen(talks):
    dataset = built()
    with pytest.raises(TooFew, match="0 approved"):
        services.freeze(dataset=dataset)
    some = dataset.examples.filter(split="train").values_list("pk", flat=True)[:9]
    services.decide(dataset=dataset, state="approved", by=None, examples=some)
    with pytest.raises(TooFew, match="9 approved"):
        services.freeze(dataset=dataset)
    assert services.get(dataset.pk).state == "review"


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"name": " "}, BadSet),
        ({"kind": "poems"}, BadSet),
        ({"held_out": 0.9}, BadSet),
        ({"held_out": -0.1}, BadSet),
        ({"seed": -1}, BadSet),
        ({"given": {"consented": False}}, WrongFilter),
        ({"given": {"no_safety": False}}, WrongFilter),
        ({"given": {"stars": 3}}, WrongFilter),
    ],
)
def test_what_is_refused(values, error):
    with pytest.raises(error):
        services.create(**{"name": "Autumn", **values})
    assert not DataSet.objects.exists()


def test_consent_taken_back(talks, alice):
    dataset = approved(built())
    frozen = services.freeze(dataset=dataset)
    between = approved(built(name="Between"))
    User.objects.filter(pk=alice.pk).update(training_consent=None)
    with pytest.raises(TooFew):
        services.freeze(dataset=between)  # looked at once more, in the last moment
    assert consent.withdrawn(alice.pk).datasets == 1
    assert services.get(frozen.pk).stale
    later = built(name="Later")
    assert later.state == "failed" and "no consent to training: 30" in later.error


def test_an_edit_cannot_be_empty(talks, ada):
    example = built().examples.first()
    with pytest.raises(BadSet):
        services.edit(example=example, by=ada, answer="  ")
    services.edit(example=example, by=ada, question="Another question?", answer="Another answer.")
    example.refresh_from_db()
    assert (example.prompt[-1]["content"], example.answer) == ("Another question?", "Another answer.")


def test_conversations_that_are_alike_are_held_out_together():
    places = held_out(["a", "a", "b", "c", "d"], [(1, 2)], share=0.4, seed=1)
    assert places in ({3, 4}, {3}, {4}) or places == set()
    assert held_out(["a", "a"], [], share=0.5, seed=1) == frozenset()
    assert held_out(list("abcdefghij"), [], share=0, seed=1) == frozenset()
    assert len(held_out(list("abcdefghij"), [], share=0.2, seed=1)) == 2


def test_a_made_up_set_needs_no_turns():
    dataset = DataSet.objects.create(name="Demo", state="review", synthetic=True)
    for number, subject in enumerate(SUBJECTS):
        Example.objects.create(
            dataset=dataset,
            split="held_out" if number < 5 else "train",
            language="en",
            prompt=[{"role": "user", "content": f"What about {subject}, number {number}?"}],
            answer=f"Think of {subject}, and of nothing else, for {number} minutes.",
        )
    frozen = services.freeze(dataset=approved(dataset))
    assert frozen.manifest["synthetic"] and frozen.manifest["counts"]["out"] == 30


def test_dates_of_the_manifest(talks):
    before = timezone.now()
    frozen = services.freeze(dataset=approved(built()))
    assert frozen.frozen >= before and frozen.manifest["made"][:10] == before.strftime("%Y-%m-%d")


def test_an_edited_question_keeps_its_sources(talks, ada):
    turn = make_turn(talks[0], question="What about my secret plan for the summer?")
    sent = f"Sources:\n[1] A text.\n\nQuestion: {turn.question}\nAnswer in English."
    shown(turn, Message("user", sent))
    example = built().examples.get(turn=turn)
    services.edit(example=example, by=ada, question="What about my plan?")
    example.refresh_from_db()
    assert example.prompt[-1]["content"] == sent.replace(turn.question, "What about my plan?")
