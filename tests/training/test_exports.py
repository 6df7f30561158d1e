from __future__ import annotations

import csv
import hashlib
import io
import json
import signal
import subprocess
import sys
import time
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import User
from coach.models import AnswerEdit, Conversation, PromptMessage, Turn
from coach.prompting import not_covered, opening
from coach.provenance import message_hash, prompt_hash
from llm.models import Price
from llm.types import Message
from training.exports import kinds, openai_rules, rows, services, writing
from training.exports.errors import Cancelled, CannotWrite, NothingPasses
from training.exports.table import safe
from training.filters import WrongFilter
from training.models import Export, ExportSchedule, Review

from .turns import ANSWER, QUESTION, make_turn

pytestmark = pytest.mark.django_db


def write(kind: str, path: Path, **given) -> tuple[list[dict], dict]:
    made = writing.write(kind=kind, wanted=kinds.wanted(kind, given), path=path)
    manifest = json.loads(writing.manifest_path(path).read_text())
    data = path.read_bytes()
    assert manifest["sha256"] == hashlib.sha256(data).hexdigest() and manifest["bytes"] == len(data)
    ids = "".join(f"{one}\n" for one in manifest["ids"])
    assert manifest["ids_sha256"] == hashlib.sha256(ids.encode()).hexdigest()
    assert {key: value for key, value in manifest.items() if key != "ids"} == made
    counts = manifest["counts"]
    assert counts["out"] == len(manifest["ids"]) and counts["in"] == counts["out"] + sum(counts["left_out"].values())
    return [] if kind == "csv" else [json.loads(line) for line in data.splitlines()], manifest


def shown(turn: Turn, *messages: Message) -> None:
    """Keep what the model of a turn was shown, as coach/provenance.py does."""
    for message in messages:
        PromptMessage.objects.get_or_create(
            conversation=turn.conversation,
            sha256=message_hash(message),
            defaults={"role": message.role, "text": message.content},
        )
    hashes = [message_hash(message) for message in messages]
    turn.provenance = {"messages": hashes, "sha256": prompt_hash(hashes), "opening": 0, "history": []}
    turn.save()


def test_sessions(consented, tmp_path):
    first = make_turn(consented, rating=2, helpful=False)
    again = make_turn(consented, rating=None, position=first.position, regenerates=first, answer="Another answer.")
    make_turn(consented, state=Turn.State.FAILED, rating=None)
    lines, manifest = write("sessions", tmp_path / "out.jsonl")
    (session,) = lines
    assert set(session) == {"session_id", "timestamp", "mode", "conversation"}
    assert session["session_id"] == str(consented.pk) and session["mode"] == "personal"
    assert session["timestamp"] == consented.created.strftime("%Y-%m-%dT%H:%M:%SZ")
    said = [(message["role"], message["content"], message.get("feedback")) for message in session["conversation"]]
    assert said == [
        ("user", QUESTION, None),
        ("assistant", ANSWER, {"rating": 2, "helpful": False}),
        ("user", QUESTION, None),
        ("assistant", "Another answer.", None),
    ]
    assert all(message["timestamp"].endswith("Z") for message in session["conversation"])
    assert manifest["ids"] == [str(first.pk), str(again.pk)]
    assert manifest["counts"] == {"in": 3, "out": 2, "left_out": {"state": 1}}


def test_openai_with_what_the_model_was_shown(consented, tmp_path):
    good = make_turn(consented, language="sv")
    make_turn(consented, rating=2)
    plain = make_turn(consented, answer=not_covered("en") + ANSWER)
    user = Message("user", f"Källor:\n[1] Text\n\nFråga: {QUESTION}")
    shown(good, Message("system", "an old prompt"), user)
    lines, manifest = write("openai", tmp_path / "out.jsonl")
    system = opening("personal", "sv")[0].content
    assert [set(line) for line in lines] == [{"messages"}, {"messages"}]
    assert lines[0]["messages"] == [
        {"role": "system", "content": system},
        {"role": "user", "content": user.content},
        {"role": "assistant", "content": ANSWER},
    ]
    assert lines[1]["messages"][1:] == [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": ANSWER},
    ]
    assert manifest["ids"] == [str(good.pk), str(plain.pk)]
    assert manifest["counts"]["left_out"] == {"rating": 1}
    assert manifest["openai"]["problems"] == ["OpenAI wants at least 10 examples, there are 2."]


def test_an_ideal_answer_is_taught_instead(consented, ada, tmp_path):
    turn = make_turn(consented, rating=1)
    Review.objects.create(turn=turn, reviewer=ada, ideal_answer="This is how it should have been said.")
    lines, _manifest = write("openai", tmp_path / "out.jsonl")
    assert lines[0]["messages"][-1]["content"] == "This is how it should have been said."


def test_an_edit_is_taught_like_an_ideal_answer_and_a_raters_wins(consented, ada, tmp_path):
    for stars in (1, None):
        AnswerEdit.objects.create(turn=make_turn(consented, rating=stars), text=f"As I would have it: {stars}.")
    before = not_covered("en")
    AnswerEdit.objects.create(turn=make_turn(consented, answer=f"{before}Hm."), text=f"{before}Just begin.")
    both = make_turn(consented, rating=1)
    AnswerEdit.objects.create(turn=both, text="What the coachee wrote.")
    Review.objects.create(turn=both, reviewer=ada, ideal_answer="What the rater wrote.")
    taught = ["As I would have it: 1.", "As I would have it: None.", "Just begin.", "What the rater wrote."]
    lines, manifest = write("openai", tmp_path / "out.jsonl")
    assert [line["messages"][-1]["content"] for line in lines] == taught
    assert manifest["counts"] == {"in": 4, "out": 4, "left_out": {}}
    [shared], _manifest = write("sharegpt", tmp_path / "shared.jsonl")
    assert [one["value"] for one in shared["conversations"] if one["from"] == "gpt"] == taught
    lines, _manifest = write("openai", tmp_path / "plain.jsonl", ideal=False)
    assert [line["messages"][-1]["content"] for line in lines] == ["Just begin."]


@pytest.mark.parametrize("kind", ["openai", "preferences"])
def test_an_edit_does_not_leave_without_consent(consented, tmp_path, kind):
    turn = make_turn(consented)
    shown(turn, Message("user", QUESTION))
    AnswerEdit.objects.create(turn=turn, text="As I would have it.")
    for change in ({"kept_out": True}, {"kept_out": False, "private": True}):
        Conversation.objects.update(**change)
        with pytest.raises(NothingPasses):
            write(kind, tmp_path / "out.jsonl")
    Conversation.objects.update(private=False)
    assert write(kind, tmp_path / "out.jsonl")[0]
    User.objects.update(training_consent=None)
    with pytest.raises(NothingPasses):
        write(kind, tmp_path / "again.jsonl")


def test_what_costs_training(consented, tmp_path):
    Price.objects.all().delete()
    Price.objects.create(model="openai:gpt-4o-mini*", prompt=1, completion=1, training=Decimal(3))
    Price.objects.create(model="openai:other", prompt=1, completion=1)
    make_turn(consented, answer="long " * 10_000)
    _lines, manifest = write("openai", tmp_path / "out.jsonl")
    tokens = manifest["openai"]["tokens"]
    assert 12_000 < tokens < 20_000
    expected = str((Decimal(tokens * 3 * 3) / 1_000_000).quantize(Decimal("0.01")))
    assert manifest["openai"]["costs"] == [
        {"model": "openai:gpt-4o-mini*", "epochs": 3, "cost": expected, "currency": "USD"}
    ]


def test_too_long_an_example_stays_out(consented, tmp_path):
    make_turn(consented, answer="가" * 80_000)
    make_turn(consented)
    lines, manifest = write("openai", tmp_path / "out.jsonl")
    assert len(lines) == 1 and manifest["counts"]["left_out"] == {"too_long": 1}


def said(*roles: str) -> list[dict[str, str]]:
    return [{"role": role, "content": "text"} for role in roles]


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        (said("system", "user", "assistant"), ""),
        (said("user", "assistant", "user", "assistant"), ""),
        (said("user", "assistant", "user"), "malformed"),
        (said("system"), "malformed"),
        (said("system", "assistant"), "malformed"),
        (said("user", "system", "assistant"), "malformed"),
        (said("system", "system", "user", "assistant"), "malformed"),
        (said("user", "user", "assistant"), "malformed"),
        (said("human", "assistant"), "malformed"),
        ([], "malformed"),
        ("text", "malformed"),
        ([*said("user"), {"role": "assistant", "content": " "}], "malformed"),
        ([*said("user"), {"role": "assistant", "content": None}], "malformed"),
        ([*said("user"), {"role": "assistant", "content": "x", "more": 1}], "malformed"),
        ([*said("user"), {"role": "assistant", "content": "a" * 300_000}], "too_long"),
    ],
)
def test_rules_of_openai(messages, problem):
    found = openai_rules.examine(messages)
    assert found.problem == problem
    assert bool(found.detail) == bool(problem)


def test_preferences_have_the_same_prompt_on_both_sides(consented, ada, tmp_path):
    bad = make_turn(consented, rating=1, answer="No. " * 10)
    good = make_turn(consented, rating=5, position=bad.position, regenerates=bad)
    ideal = make_turn(consented, rating=3)
    lonely = make_turn(consented)
    Review.objects.create(turn=ideal, reviewer=ada, ideal_answer="A better answer than the coach's own.")
    prompt = (Message("system", "Be kind."), Message("user", QUESTION))
    for turn in (bad, good, ideal, lonely):
        shown(turn, *prompt)
    lines, manifest = write("preferences", tmp_path / "out.jsonl")
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": QUESTION}]
    assert lines[0] == {
        "prompt": messages,
        "chosen": [{"role": "assistant", "content": ANSWER}],
        "rejected": [{"role": "assistant", "content": "No. " * 10}],
    }
    assert lines[1]["prompt"] == messages
    assert lines[1]["chosen"][0]["content"] == "A better answer than the coach's own."
    assert lines[1]["rejected"][0]["content"] == ANSWER
    assert set(manifest["ids"]) == {str(turn.pk) for turn in (bad, good, ideal)}
    assert manifest["counts"] == {"in": 4, "out": 3, "left_out": {"no_pair": 1}}


def test_an_edit_is_a_preference_unless_a_rater_wrote_one(consented, ada, tmp_path):
    edited, both, lonely = (make_turn(consented) for _ in range(3))
    for turn in (edited, both, lonely):
        shown(turn, Message("system", "Be kind."), Message("user", QUESTION))
    for turn in (edited, both):
        AnswerEdit.objects.create(turn=turn, text="As I would have it.")
    Review.objects.create(turn=both, reviewer=ada, ideal_answer="What the rater wrote.")
    lines, manifest = write("preferences", tmp_path / "out.jsonl")
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": QUESTION}]
    rejected = [{"role": "assistant", "content": ANSWER}]
    assert lines == [
        {"prompt": messages, "chosen": [{"role": "assistant", "content": text}], "rejected": rejected}
        for text in ("As I would have it.", "What the rater wrote.")
    ]
    assert manifest["ids"] == [str(edited.pk), str(both.pk)]
    assert manifest["counts"] == {"in": 3, "out": 2, "left_out": {"no_pair": 1}}


def test_a_changed_question_makes_no_pair(consented, tmp_path):
    first = make_turn(consented, rating=1)
    again = make_turn(
        consented, rating=5, position=0, regenerates=first, question="A better question?", answer="Yes. " * 9
    )
    for turn in (first, again):
        shown(turn, Message("system", "Be kind."), Message("user", turn.question))
    with pytest.raises(NothingPasses, match=": 2"):
        write("preferences", tmp_path / "out.jsonl")


def test_the_rejected_one_may_have_failed_the_filter(consented, tmp_path):
    bad = make_turn(consented, rating=1)
    good = make_turn(consented, rating=5, position=bad.position, regenerates=bad, answer="A much better answer, ada.")
    for turn in (bad, good):
        shown(turn, Message("user", QUESTION))
    lines, manifest = write("preferences", tmp_path / "out.jsonl", min_rating=3)
    assert len(lines) == 1
    assert manifest["counts"] == {"in": 2, "out": 2, "left_out": {}}


def test_sharegpt_has_no_holes(consented, tmp_path):
    for rating in (4, 5, 1, 4):
        turn = make_turn(consented, rating=rating, answer=f"{ANSWER} {rating}")
    make_turn(consented, rating=5, position=turn.position, regenerates=turn, answer=f"{ANSWER} again")
    lines, manifest = write("sharegpt", tmp_path / "out.jsonl")
    assert [line["id"] for line in lines] == [f"{consented.pk}-0", f"{consented.pk}-3"]
    assert [one["from"] for one in lines[0]["conversations"]] == ["system", "human", "gpt", "human", "gpt"]
    assert lines[1]["conversations"][-1] == {"from": "gpt", "value": f"{ANSWER} again"}
    assert manifest["counts"] == {"in": 5, "out": 3, "left_out": {"rating": 1, "sibling": 1}}


def test_csv_is_safe_in_a_spreadsheet(consented, tmp_path):
    nasty = '=HYPERLINK("http://x")'
    turn = make_turn(consented, question=nasty, answer='He said "no",\nthen left. 안녕하세요', helpful=True)
    turn.rating.comment = "@SUM(A1)"
    turn.rating.reasons = ["clear", "kind"]
    turn.rating.save()
    write("csv", tmp_path / "out.csv")
    data = (tmp_path / "out.csv").read_bytes()
    (row,) = csv.DictReader(io.StringIO(data.decode(), newline=""))
    assert row["question"] == f"'{nasty}"
    assert row["comment"] == "'@SUM(A1)"
    assert row["answer"] == 'He said "no",\nthen left. 안녕하세요'
    assert (row["turn"], row["rating"], row["helpful"], row["reasons"]) == (str(turn.pk), "4", "yes", "clear kind")
    assert data.endswith(b"\r\n")


@pytest.mark.parametrize(
    "text", ["=1", "+1", "-1", "@a", "\t=1", "\r=1", "\n=1", "  =1", "＝1", "　@a", "|a", "%a", "\0=1"]
)
def test_formulas_are_quoted(text):
    assert safe(text).startswith("'") and "\0" not in safe(text)
    assert safe("a = b") == "a = b"


@pytest.mark.parametrize("kind", list(kinds.KINDS))
def test_nothing_leaves_without_consent(consented, kind, tmp_path):
    make_turn(consented)
    User.objects.update(training_consent=None)
    with pytest.raises(NothingPasses, match="consent"):
        write(kind, tmp_path / "out")
    with pytest.raises(WrongFilter, match="consent"):
        kinds.wanted(kind, {"consented": False})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["openai", "preferences", "sharegpt"])
def test_what_teaches_has_no_safety_flag(kind):
    with pytest.raises(WrongFilter, match="safety"):
        kinds.wanted(kind, {"no_safety": False})


def test_an_old_file_stays_when_a_new_one_fails(consented, tmp_path):
    make_turn(consented)
    path = tmp_path / "out.jsonl"
    path.write_text("old")

    def full(done: int, total: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(CannotWrite, match="the disk is full"):
        writing.write(kind="sessions", wanted=kinds.wanted("sessions", {}), path=path, seen=full)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


# --- the command ---------------------------------------------------------------------------------


def test_command(consented, tmp_path, capsys):
    make_turn(consented)
    make_turn(consented, rating=3)
    path = tmp_path / "train.jsonl"
    call_command("export", "openai", "--out", str(path), "--min-rating", "4", "--json")
    said = capsys.readouterr()
    manifest = json.loads(said.out)
    assert manifest["rows"] == 1 and manifest["filter"]["min_rating"] == 4
    assert Path(manifest["manifest"]).is_file() and "at least 10 examples" in said.err
    assert len(path.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--min-rating", "9"], "min_rating"),
        (["--since", "soon"], "since"),
        (["--language", "xx"], "languages"),
        (["--coach", "nobody"], "Nothing passes"),
    ],
)
def test_command_refuses_in_one_sentence(consented, tmp_path, arguments, words):
    make_turn(consented)
    with pytest.raises(CommandError, match=words):
        call_command("export", "openai", "--out", str(tmp_path / "x"), *arguments)
    assert list(tmp_path.iterdir()) == []


def test_command_needs_a_place_for_the_file(tmp_path):
    with pytest.raises(CommandError, match="does not exist"):
        call_command("export", "csv", "--out", str(tmp_path / "no" / "x"))
    with pytest.raises(CommandError, match="is a folder"):
        call_command("export", "csv", "--out", str(tmp_path))


# --- rows that a worker fulfils ------------------------------------------------------------------


def folder_of(export: Export) -> Path:
    return Path(settings.DATA_DIR) / "exports" / str(export.pk)


def test_a_worker_makes_the_file(consented, ada):
    make_turn(consented)
    export = services.ask(kind="openai", given={"min_rating": 4}, by=ada)
    services.run(export_id=export.pk)
    export.refresh_from_db()
    assert (export.state, export.rows, export.done, export.total) == ("done", 1, 1, 1)
    path = services.file_of(export)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == export.manifest["sha256"]
    assert path.stat().st_size == export.bytes and path.stat().st_mode & 0o077 == 0
    services.run(export_id=export.pk)  # a message that came twice
    assert services.file_of(services.get(export.pk)) == path
    services.delete(export_id=export.pk)
    assert not folder_of(export).exists() and not Export.objects.exists()


def test_nothing_to_export_fails_in_words(consented):
    export = services.ask(kind="csv", given={})
    services.run(export_id=export.pk)
    export.refresh_from_db()
    assert export.state == "failed" and "Nothing passes" in export.error
    assert not folder_of(export).exists() or not list(folder_of(export).iterdir())


def test_cancelled_while_it_waits_and_while_it_runs(consented, monkeypatch):
    for _ in range(3):
        make_turn(consented)
    waiting = services.ask(kind="csv", given={})
    services.cancel(export_id=waiting.pk)
    services.run(export_id=waiting.pk)
    waiting.refresh_from_db()
    assert waiting.state == "cancelled"

    running = services.ask(kind="csv", given={})
    monkeypatch.setattr(writing, "AT_ONCE", 1)
    real = writing._Written.add

    def cancel_after_a_row(self, data: bytes) -> None:
        real(self, data)
        services.cancel(export_id=running.pk)

    monkeypatch.setattr(writing._Written, "add", cancel_after_a_row)
    services.run(export_id=running.pk)
    running.refresh_from_db()
    assert running.state == "cancelled" and running.cancel_requested
    assert list(folder_of(running).iterdir()) == []


def test_a_lost_worker_is_followed_by_another_three_times(consented):
    make_turn(consented)
    export = services.ask(kind="csv", given={})
    Export.objects.update(created=timezone.now() - timedelta(minutes=1))
    assert services.forgotten() == [export.pk]
    for attempt in (1, 2, 3):
        assert services._claim(export.pk)
        assert services._claim(export.pk) is None
        assert services.forgotten() == []
        export.refresh_from_db()
        assert export.manifest["attempts"] == attempt
        Export.objects.update(manifest={**export.manifest, "beat": time.time() - 500})
        if attempt < 3:
            assert services.forgotten() == [export.pk]
    assert services.forgotten() == []
    export.refresh_from_db()
    assert export.state == "failed" and "three times" in export.error


def test_a_deleted_export_ends_its_worker(consented, monkeypatch):
    make_turn(consented)
    export = services.ask(kind="csv", given={})
    watch = services._Watch(Export.objects.filter(pk=export.pk, state="running"), {})
    with pytest.raises(Cancelled):
        watch(1, 2)


def test_by_the_clock_and_so_many_files_are_kept(consented):
    make_turn(consented)
    schedule = ExportSchedule.objects.create(kind="csv", every="day", keep=2)
    ExportSchedule.objects.create(kind="csv", every="day", active=False)
    now = timezone.now()
    made = []
    for day in range(4):
        (export,) = services.ask_scheduled(now=now + timedelta(days=day))
        assert services.ask_scheduled(now=now + timedelta(days=day, hours=23)) == []
        services.run(export_id=export)
        made.append(export)
    assert list(schedule.exports.order_by("created").values_list("pk", flat=True)) == made[2:]
    assert [services.file_of(services.get(pk)).is_file() for pk in made[2:]] == [True, True]
    assert not folder_of(Export(pk=made[0])).exists()


def test_a_long_standstill_makes_one_export_not_many(consented):
    schedule = ExportSchedule.objects.create(kind="csv", every="day", last=timezone.now() - timedelta(days=40))
    now = timezone.now()
    assert len(services.ask_scheduled(now=now)) == 1
    assert services.ask_scheduled(now=now) == []
    schedule.refresh_from_db()
    assert schedule.last == now


def test_conversations_are_not_mixed_up(consented, alice, tmp_path):
    other = Conversation.objects.create(owner=alice, coach=consented.coach, language="ko")
    for place in (consented, other, consented, other):
        make_turn(place)
    lines, _manifest = write("sessions", tmp_path / "out.jsonl")
    assert {line["session_id"]: len(line["conversation"]) for line in lines} == {
        str(consented.pk): 4,
        str(other.pk): 4,
    }


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing(tmp_path, sent):
    """A process of its own is stopped in the middle."""
    program = f"""
import os, sys
sys.argv = ["manage.py", "export", "sessions", "--out", {str(tmp_path / "out.jsonl")!r}]
os.environ["COACH_DATA_DIR"] = {str(tmp_path / "data")!r}
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
import django; django.setup()
from training.exports import kinds, writing
def slow(wanted, tally):
    while True:
        yield b"x" * 1000, ["id"]
        if tally.read == 0:
            print("going", flush=True)
        tally.read += 1
        import time; time.sleep(0.01)
from dataclasses import replace
kinds.KINDS["sessions"] = replace(kinds.KINDS["sessions"], lines=slow)
from training.filters import TurnFilter
TurnFilter.counts = lambda self: {{"": 1000}}
from django.core.management import execute_from_command_line
try:
    execute_from_command_line(sys.argv)
except KeyboardInterrupt:
    sys.exit(130)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"going\n"
    process.send_signal(sent)
    _out, err = process.communicate(timeout=30)
    assert process.returncode == (130 if sent == signal.SIGINT else 143), err
    assert b"Traceback" not in err
    assert [path for path in tmp_path.iterdir() if path.name != "data"] == []


@pytest.mark.parametrize("texts", [("s", "u", "a"), ("s", " \n", "a"), ("", "u", "a"), ("s", "u", "가" * 80_000)])
def test_an_example_of_three_texts_is_examined_like_any(texts):
    roles = ("system", "user", "assistant")
    messages = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)]
    assert openai_rules.answered(*texts) == openai_rules.examine(messages)


def test_what_a_file_does_not_hold_is_not_read(consented):
    turn = make_turn(consented)
    shown(turn, Message("user", "Hello"))
    [[plain]] = rows.batches(kinds.wanted("csv", {}), without=("provenance", "created"))
    [[whole]] = rows.batches(kinds.wanted("csv", {}))
    assert plain == whole._replace(provenance="", created="") and whole.provenance and whole.created
