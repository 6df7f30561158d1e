"""The conversation before a turn in its example: what is stored, and the lines of the files."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from coach.models import AnswerEdit, Conversation, PromptMessage, Turn
from coach.prompting import not_covered, opening
from coach.provenance import message_hash, prompt_hash
from llm.types import Message
from training.comparison import judge, questions
from training.datasets import build, files, services
from training.exports import kinds, openai_rules, writing
from training.exports.errors import NothingPasses
from training.filters import MOST_HISTORY, TurnFilter, WrongFilter
from training.finetune import openai_data
from training.models import AnswerPair, Comparison, DataSet, ExportSchedule, Review

from .promoting import tuned
from .turns import make_turn

pytestmark = pytest.mark.django_db
SYSTEM = opening("personal", "en")[0].content
WHOLE = 20_000


def talked(conversation: Conversation, *said: tuple[str, str], path: tuple[Turn, ...] = (), **values: Any) -> Turn:
    """The last of some turns; each was shown the whole path before it, as coach/provenance.py keeps it."""
    start = Message("system", SYSTEM)
    for question, answer in said:
        messages = [start]
        for turn in path:
            messages += [Message("user", turn.question), Message("assistant", turn.answer)]
        messages.append(Message("user", question))
        hashes = [message_hash(message) for message in messages]
        for message, sha256 in zip(messages, hashes, strict=True):
            where = {"conversation": None if message is start else conversation, "sha256": sha256}
            PromptMessage.objects.get_or_create(**where, defaults={"role": message.role, "text": message.content})
        provenance = {"messages": hashes, "sha256": prompt_hash(hashes), "opening": 1}
        provenance |= {"history": [str(turn.pk) for turn in path]}
        turn = make_turn(conversation, question=question, answer=answer, provenance=provenance, **values)
        path = (*path, turn)
    return path[-1]


def lines(path: Path, **given: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    manifest = writing.write(kind="openai", wanted=kinds.wanted("openai", given), path=path)
    found = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert [openai_rules.examine(line["messages"]).problem for line in found] == [""] * len(found)
    return found, manifest


def last(path: Path, **given: Any) -> list[str]:
    """What is said in the last line, without the system's text."""
    found, _manifest = lines(path, **given)
    return [message["content"] for message in found[-1]["messages"][1:]]


SAID = (
    ("I sleep badly since the move.", "What has changed in your evenings?"),
    ("I read the news in bed now.", "What would the bedroom be without a telephone?"),
    ("And why would that help me?", "Because your head would have nothing to answer to."),
)
FLAT = [text for pair in SAID for text in pair]


def test_without_a_wish_each_example_stands_alone(consented, tmp_path):
    talked(consented, *SAID)
    found, manifest = lines(tmp_path / "out.jsonl")
    assert [[message["role"] for message in line["messages"]] for line in found] == [
        ["system", "user", "assistant"]
    ] * 3
    assert manifest["filter"]["history"] == 0
    dataset = build.run(dataset_id=services.create(name="Autumn").pk)
    assert {len(example.prompt) for example in dataset.examples.all()} == {2}


def test_the_conversation_so_far_stands_before_the_question(consented, tmp_path):
    talked(consented, *SAID)
    found, manifest = lines(tmp_path / "out.jsonl", history=WHOLE)
    assert [len(line["messages"]) for line in found] == [3, 5, 7]
    assert set(found[-1]) == {"messages"} and found[-1]["messages"] == [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": FLAT[0]},
        {"role": "assistant", "content": FLAT[1], "weight": 0},  # OpenAI does not learn it
        {"role": "user", "content": FLAT[2]},
        {"role": "assistant", "content": FLAT[3], "weight": 0},
        {"role": "user", "content": FLAT[4]},
        {"role": "assistant", "content": FLAT[5]},
    ]
    assert manifest["filter"]["history"] == WHOLE and manifest["counts"]["out"] == 3
    tokens = [openai_rules.examine(line["messages"]).tokens for line in found]
    assert (manifest["openai"]["tokens"], manifest["openai"]["longest"]) == (sum(tokens), tokens[-1])


def test_the_oldest_goes_first_when_there_is_no_room(consented, tmp_path):
    talked(consented, *SAID)
    newest = openai_rules.examine(
        [{"role": role, "content": text} for role, text in zip(("user", "assistant"), FLAT[2:4], strict=True)]
    ).tokens
    path = tmp_path / "out.jsonl"
    assert last(path, history=newest) == FLAT[2:]
    assert last(path, history=newest - 1) == FLAT[4:]


def test_history_never_makes_an_example_too_long(consented, tmp_path, monkeypatch):
    talked(consented, *SAID)
    path = tmp_path / "out.jsonl"
    alone = openai_rules.answered(SYSTEM, *FLAT[4:]).tokens
    monkeypatch.setattr(openai_rules, "MOST_TOKENS", alone + 10)
    monkeypatch.setattr("training.exports.history.MOST_TOKENS", alone + 10)
    assert last(path, history=WHOLE) == FLAT[4:]


@pytest.mark.parametrize("values", [{"safety": "elevated"}, {"safety": "moderated"}, {"state": Turn.State.STOPPED}])
def test_what_must_not_be_learned_from_cuts_it(consented, tmp_path, values):
    first = talked(consented, SAID[0])
    second = talked(consented, SAID[1], path=(first,), **values)
    third = talked(consented, SAID[2], path=(first, second))
    talked(consented, ("So what do I do tonight?", "Leave it in the kitchen."), path=(first, second, third))
    found = last(tmp_path / "out.jsonl", history=WHOLE)
    assert found == [*FLAT[4:], "So what do I do tonight?", "Leave it in the kitchen."]


def test_kept_out_or_private_there_is_nothing_at_all(consented, alice, tmp_path):
    talked(consented, *SAID)
    for values in ({"kept_out": True}, {"private": True}):
        talked(Conversation.objects.create(owner=alice, coach=consented.coach, **values), *SAID)
    found, manifest = lines(tmp_path / "out.jsonl", history=WHOLE)
    assert len(found) == 3
    assert manifest["counts"]["left_out"] == {"kept_out": 3, "private": 3}


def test_rated_low_it_is_shown_but_not_taught(consented, tmp_path):
    first = talked(consented, SAID[0], rating=1)
    talked(consented, SAID[1], path=(first,))
    found, _manifest = lines(tmp_path / "out.jsonl", history=WHOLE)
    assert len(found) == 1
    assert found[0]["messages"][2] == {"role": "assistant", "content": FLAT[1], "weight": 0}


@pytest.mark.parametrize("kept", [True, False])
def test_of_answers_asked_again_the_one_on_the_way_is_shown(consented, tmp_path, kept):
    """By its prompt, or (from before prompts were kept) by the last answer to each question."""
    first = talked(consented, SAID[0])
    again = talked(consented, (FLAT[0], not_covered("en") + "Another answer."), position=0, regenerates=first)
    follow = talked(consented, SAID[1], path=(first,) if kept else (again,))
    if not kept:
        Turn.objects.update(provenance={})
    assert follow.position == 2
    found = last(tmp_path / "out.jsonl", history=WHOLE)
    assert found == ([*FLAT[:4]] if kept else [FLAT[0], "Another answer.", *FLAT[2:4]])


def test_a_prompt_that_does_not_fit_its_turns_is_not_guessed_at(consented, tmp_path):
    turn = talked(consented, *SAID)
    turn.provenance["history"].pop()
    turn.save()
    assert last(tmp_path / "out.jsonl", history=WHOLE) == FLAT[4:]


# --- data sets -----------------------------------------------------------------------------------


@pytest.fixture
def talks(consented, alice) -> list[Conversation]:
    """Twelve conversations about something else each, of two turns; personal data in the first turn of one."""
    made = [consented, *(Conversation.objects.create(owner=alice, coach=consented.coach) for _ in range(11))]
    subjects = ("sleep", "money", "exams", "chess", "grief", "budgets", "dating", "running", "debt", "boredom")
    subjects += ("cooking", "overtime")
    for number, (talk, subject) in enumerate(zip(made, subjects, strict=True)):
        who = " My boss Karin Svensson wrote from karin@example.com." if number == 0 else ""
        talked(
            talk,
            (
                f"How can I think of {subject} in another way?{who}",
                f"Begin with {subject}: {subject * 3} [1]. Who else?",
            ),
            (
                f"Why is it {subject} again, and not {'Karin' if number == 0 else 'money'}?",
                f"Perhaps {subject * 4} keeps you from {subject[::-1]}.",
            ),
        )
    return made


def built(**given: Any) -> DataSet:
    dataset = build.run(dataset_id=services.create(name="Autumn", given=given, held_out=0.3).pk)
    services.decide(dataset=dataset, state="approved", by=None)
    return services.freeze(dataset=dataset)


def test_a_data_set_with_history(talks, tmp_path):
    frozen = built(history=WHOLE)
    one, two = frozen.examples.filter(conversation=talks[0].pk).order_by("pk")
    asked = "How can I think of sleep in another way? My boss [NAME_1] wrote from [MAIL_1]."
    assert [message["role"] for message in two.prompt] == ["system", "user", "assistant", "user"]
    assert one.prompt[1]["content"] == two.prompt[1]["content"] == asked
    assert two.prompt[2] == {"role": "assistant", "content": one.answer}
    assert two.prompt[3]["content"] == "Why is it sleep again, and not [NAME_1]?"
    assert one.replaced == {"name": 1, "mail": 1} and two.replaced == {"name": 2, "mail": 1}
    assert frozen.manifest["replaced"] == {"name": 3, "mail": 2} and frozen.manifest["filter"]["history"] == WHOLE

    held = {example.conversation for example in frozen.examples.filter(split="held_out")}
    assert held and not held & {example.conversation for example in frozen.examples.filter(split="train")}
    paths = files.write_openai(frozen, tmp_path)
    found = [json.loads(line) for path in paths.values() for line in path.read_bytes().splitlines()]
    assert len(found) == 24 and not any("Karin Svensson" in str(line) or "@" in str(line) for line in found)
    for line in found:
        assert openai_rules.examine(line["messages"]).problem == ""
        weights = [message.get("weight") for message in line["messages"] if message["role"] == "assistant"]
        assert weights in ([None], [0, None])
    assert sum(len(line["messages"]) == 5 for line in found) == 12


def test_what_is_sent_to_openai_teaches_the_last_answer_alone(talks, tmp_path):
    frozen = built(history=WHOLE)
    n, _sha256 = openai_data.write(frozen, "train", tmp_path / "train.jsonl")
    sent = [json.loads(line)["messages"] for line in (tmp_path / "train.jsonl").read_bytes().splitlines()]
    assert n == len(sent)
    earlier = [message for messages in sent for message in messages[:-1] if message["role"] == "assistant"]
    assert earlier and all(message["weight"] == 0 for message in earlier)
    assert all("weight" not in messages[-1] for messages in sent)


def test_a_comparison_knows_the_sources_of_earlier_turns(talks):
    turn = talked(
        talks[0],
        ("Sources:\n[1] Light wakes you.\n\nQuestion: What wakes me?", "Light does [1]."),
        ("And what would you do with that?", "Keep it dark [1], every evening of the week."),
    )
    frozen = built(history=WHOLE)
    example = frozen.examples.get(turn=turn)
    item = questions._example_item(example, whole=True)
    assert [source.n for source in item.sources] == [1] and item.right == (1,)
    assert [message.role for message in item.messages] == ["system", "user", "assistant", "user"]


def test_who_approves_or_chooses_sees_what_was_said_before(talks, ada, settings, tmp_path):
    settings.DATA_DIR = tmp_path
    frozen = built(history=WHOLE)
    client = Client()
    client.force_login(ada)
    address = reverse("admin:training_dataset_review", args=[frozen.pk])
    pages = [client.get(address, {"state": "approved", "page": n}).content.decode() for n in (1, 2)]
    assert sum(page.count('data-earlier="user"') for page in pages) == 12
    assert "<mark>[NAME_1]</mark>" in "".join(pages)

    prompt = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": "Sources:\n[1] Light wakes you.\n\nQuestion: What wakes me?\nAnswer in English."},
        {"role": "assistant", "content": "Light does [1]."},
        {"role": "user", "content": "Question: And why?\nAnswer in English."},
    ]
    row = Comparison.objects.create(candidate=tuned("warm"), live="llamacpp", dataset=frozen)
    values = {"question": "And why?", "first": "a", "second": "b", "first_answer": "One.", "second_answer": "Two."}
    pair = AnswerPair.objects.create(comparison=row, prompt=prompt, figures={"kind": "example"}, **values)
    assert judge._context(pair).startswith("user: Sources:\n[1] Light wakes you.")
    assert judge._context(pair).endswith("assistant: Light does [1].\n\nQuestion: And why?\nAnswer in English.")
    page = client.get(reverse("admin:training_choose")).content.decode()
    assert "Question: What wakes me?</p>" in page and "Answer: Light does [1].</p>" in page

    pair.figures = {"kind": "coaching"}  # of the suite: its opening is nobody's conversation
    assert judge._context(pair) == prompt[-1]["content"]


# --- edges ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sessions", "preferences", "sharegpt", "csv"])
def test_other_kinds_refuse_it_in_words(kind):
    with pytest.raises(WrongFilter, match="OpenAI exports and data sets of answers"):
        kinds.wanted(kind, {"history": 100})
    assert kinds.wanted(kind, {"history": 0}).history == 0
    if kind == "preferences":
        with pytest.raises(WrongFilter):
            services.create(name="Autumn", kind="preferences", given={"history": 100})


@pytest.mark.parametrize("value", [-1, MOST_HISTORY + 1, True, "100"])
def test_a_wrong_number_is_named(value):
    with pytest.raises(WrongFilter, match="history"):
        TurnFilter.from_json({"history": value})


def test_commands(talks, tmp_path):
    path, out = tmp_path / "out.jsonl", io.StringIO()
    call_command("export", "openai", "--out", str(path), "--history", "3000", "--json", stdout=out)
    assert json.loads(out.getvalue())["filter"]["history"] == 3000
    assert [len(json.loads(line)["messages"]) for line in path.read_bytes().splitlines()] == [3, 5] * 12
    call_command("dataset", "build", "Autumn", "--history", "3000")
    dataset = DataSet.objects.get()
    assert dataset.filter["history"] == 3000
    assert sorted(len(example.prompt) for example in dataset.examples.all()) == [2] * 12 + [4] * 12


def test_rest_form_and_schedule(talks, ada):
    client = Client()
    client.force_login(ada)
    made = client.post(
        "/api/v1/datasets", {"name": "One", "filter": {"history": 900}}, content_type="application/json"
    ).json()
    assert made["filter"]["history"] == 900
    build.run(dataset_id=made["id"])
    examples = client.get(f"/api/v1/datasets/{made['id']}/examples").json()
    assert {len(example["prompt"]) for example in examples} == {2, 4}
    refused = client.post(
        "/api/v1/exports", {"kind": "csv", "filter": {"history": 900}}, content_type="application/json"
    )
    assert (refused.status_code, refused.json()["code"]) == (422, "wrong_filter")

    form = {"name": "Two", "kind": "answers", "held_out": "0.2", "seed": "0", "history": "700"}
    client.post(reverse("admin:training_dataset_add"), form)
    dataset = DataSet.objects.get(name="Two")
    assert dataset.filter["history"] == 700
    page = client.get(reverse("admin:training_dataset_change", args=[dataset.pk])).content.decode()
    assert "<dt>Conversation so far, at most (tokens)</dt><dd>700</dd>" in page
    counted = client.get(reverse("admin:training_export_funnel"), {"kind": "csv", "history": "5"}).content.decode()
    assert "OpenAI exports and data sets of answers" in counted

    schedule = {"kind": "openai", "every": "day", "keep": "3", "active": "on", "filter": '{"history": 500}'}
    client.post(reverse("admin:training_exportschedule_add"), schedule)
    assert ExportSchedule.objects.get().filter == {"history": 500}


@pytest.mark.parametrize("kind", ["regenerated", "ideal", "edited"])
def test_a_preference_with_a_safety_flag_in_its_prompt_is_left_out(consented, ada, tmp_path, kind):
    """Its prompt is kept whole, so nothing can be cut from it."""
    first = talked(consented, SAID[0])
    last = talked(consented, SAID[1], path=(first,), rating=5)
    if kind == "regenerated":
        values = {
            "position": last.position,
            "regenerates": last,
            "answer": "Another answer, worse than that.",
            "rating": 1,
        }
        make_turn(consented, question=last.question, provenance=last.provenance, **values)
    elif kind == "ideal":
        Review.objects.create(turn=last, reviewer=ada, ideal_answer="What a rater would have said.")
    else:
        AnswerEdit.objects.create(turn=last, text="As I would have it.")
    wanted = kinds.wanted("preferences", {})
    manifest = writing.write(kind="preferences", wanted=wanted, path=tmp_path / "before.jsonl")
    assert manifest["counts"]["out"] == 1 + (kind == "regenerated")
    Turn.objects.filter(pk=first.pk).update(safety="elevated")
    with pytest.raises(NothingPasses, match="safety flag comes before it"):
        writing.write(kind="preferences", wanted=wanted, path=tmp_path / "after.jsonl")
    dataset = build.run(dataset_id=services.create(name="Pairs", kind="preferences").pk)
    assert not dataset.examples.exists()
    assert dataset.counts["left_out"]["unsafe_past"] >= 1
