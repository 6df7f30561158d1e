"""The trainer in this process, on a tiny random model: what it learns, what it tells, what it refuses."""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.llm import tiny
from tests.training.trainer_jobs import events, example, job_folder
from training.finetune import trainer, trainer_data, trainer_loop, trainer_model, trainer_state
from training.finetune.trainer_job import Reporter, Spec, TrainerError

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    import torch

    before, threads = signal.getsignal(signal.SIGTERM), torch.get_num_threads()
    yield
    signal.signal(signal.SIGTERM, before)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


def run(folder: Path) -> tuple[str, dict[str, Any]]:
    return trainer._run(folder, Reporter(folder))


def adapter(folder: Path) -> bytes:
    return (folder / "result" / "adapter.gguf").read_bytes()


def test_the_same_job_gives_the_same_adapter_and_the_held_out_loss_falls(tmp_path: Path) -> None:
    one, two = job_folder(tmp_path, name="one"), job_folder(tmp_path, name="two")
    outcome, told = run(one)
    assert outcome == "done", told
    assert run(two)[0] == "done"
    assert adapter(one) == adapter(two)
    weights = "result/adapter_model.safetensors"
    assert (one / weights).read_bytes() == (two / weights).read_bytes()
    assert told["after"] < told["before"] * 0.8
    assert told["converted"]
    assert (told["examples"], told["held_out"], told["steps"]) == (12, 3, 12)
    assert set(told["versions"]) == {"torch", "transformers", "peft", "threads"}
    steps = events(one, "step")
    assert [step["step"] for step in steps] == list(range(1, 13))
    assert {step["total"] for step in steps} == {12}
    looks = events(one, "held_out")
    assert looks[0]["step"] == 0  # before anything was learned
    assert min(look["loss"] for look in looks) == pytest.approx(told["after"])


def test_another_seed_gives_another_adapter(tmp_path: Path) -> None:
    options = {"epochs": 1}
    one = job_folder(tmp_path, name="one", options=options)
    two = job_folder(tmp_path, name="two", options={**options, "seed": 8})
    assert run(one)[0] == run(two)[0] == "done"
    assert adapter(one) != adapter(two)


def test_only_the_answer_is_learned(tmp_path: Path) -> None:
    folder = tiny.transformers_folder(tmp_path / "base")
    tokenizer = trainer_model.load_tokenizer(str(folder))
    rows = [trainer_data._checked(example(0), False)]
    (item,), _ = trainer_data.encode(tokenizer, rows, 200)
    learned = tokenizer.decode(item.chosen.ids[item.chosen.start :])
    before = tokenizer.decode(item.chosen.ids[: item.chosen.start])
    assert learned == "One step. When?<|end|>"
    assert before.endswith("<|user|>habit 0<|end|><|assistant|>")


def test_of_a_conversation_only_the_last_answer_is_learned(tmp_path: Path) -> None:
    tokenizer = trainer_model.load_tokenizer(str(tiny.transformers_folder(tmp_path / "base")))
    said = ["sleep badly", "Since when?", "a week", "What changed?", "and why?"]
    prompt = [{"role": "user" if at % 2 == 0 else "assistant", "content": text} for at, text in enumerate(said)]
    row = {"prompt": [{"role": "system", "content": "coach"}, *prompt], "answer": "Ask yourself.", "rejected": ""}
    (item,), _ = trainer_data.encode(tokenizer, [trainer_data._checked(row, False)], 400)
    assert tokenizer.decode(item.chosen.ids[item.chosen.start :]) == "Ask yourself.<|end|>"
    before = tokenizer.decode(item.chosen.ids[: item.chosen.start])
    assert all(text in before for text in said) and before.endswith("<|user|>and why?<|end|><|assistant|>")

    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    told = trainer_loop.log_likelihoods(model, item.chosen)
    assert len(told) == len(item.chosen.ids) - item.chosen.start  # what the loss is made of


def test_a_long_conversation_loses_its_oldest_turns_first(tmp_path: Path) -> None:
    tokenizer = trainer_model.load_tokenizer(str(tiny.transformers_folder(tmp_path / "base")))
    turn = [{"role": "user", "content": "q" * 40}, {"role": "assistant", "content": "a" * 40}]
    prompt = [{"role": "system", "content": "coach"}, *turn, *turn, {"role": "user", "content": "last"}]
    rows = [
        {"prompt": prompt, "answers": ["yes"]},
        {"prompt": [{"role": "user", "content": "w" * 200}], "answers": ["n"]},
    ]
    items, too_long = trainer_data.encode(tokenizer, rows, 130)
    assert (len(items), too_long) == (1, 1)
    text = tokenizer.decode(items[0].chosen.ids)
    assert text.count("q" * 40) == 1
    assert text.startswith("<|system|>coach")


def test_it_stops_early_and_keeps_the_best(tmp_path: Path) -> None:
    folder = job_folder(tmp_path, options={"learning_rate": 0.1, "epochs": 20, "early_stop": 2, "rank": 8})
    outcome, told = run(folder)
    assert outcome == "done"
    looks = {look["step"]: look["loss"] for look in events(folder, "held_out")}
    assert told["steps"] < 60
    assert told["best_step"] < told["steps"]
    assert told["after"] == pytest.approx(min(looks.values()))


def test_by_preferences(tmp_path: Path) -> None:
    folder = job_folder(tmp_path, method="dpo", options={"dropout": 0.0, "epochs": 2})
    outcome, told = run(folder)
    assert outcome == "done", told
    assert told["before"] == pytest.approx(math.log(2))  # it is the base still: no answer is preferred
    assert told["after"] < told["before"] * 0.8


def test_a_folder_is_merged_for_transformers(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    base = tiny.transformers_folder(tmp_path / "base")
    folder = job_folder(tmp_path, base=base, options={"epochs": 1})
    assert run(folder)[0] == "done"
    merged = AutoModelForCausalLM.from_pretrained(folder / "result" / "merged").state_dict()
    original = AutoModelForCausalLM.from_pretrained(base).state_dict()
    assert merged.keys() == original.keys()
    name = "model.layers.0.self_attn.q_proj.weight"
    assert not merged[name].equal(original[name])


def test_a_cancel_file_ends_it_without_a_result(tmp_path: Path) -> None:
    folder = job_folder(tmp_path)
    (folder / "cancel").touch()
    assert run(folder) == ("cancelled", {})
    assert not (folder / "result").exists()


@pytest.mark.parametrize(
    ("break_it", "code"),
    [
        (lambda folder: (folder.parent / "tiny.gguf").unlink(), "model_gone"),
        (lambda folder: tiny.gguf_file(folder.parent / "tiny.gguf", template="x"), "model_changed"),
        (lambda folder: (folder / "train.jsonl").write_text('{"prompt": []}'), "bad_example"),
        (lambda folder: (folder / "held_out.jsonl").write_text("{"), "bad_example"),
        (lambda folder: (folder / "train.jsonl").write_text(""), "nothing_left"),
    ],
)
def test_what_cannot_be_done_is_told_by_a_code(tmp_path: Path, break_it: Any, code: str) -> None:
    folder = job_folder(tmp_path)
    break_it(folder)
    outcome, told = run(folder)
    assert (outcome, told["code"]) == ("failed", code)
    assert not (folder / "result").exists()


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(b"GGUF nonsense")
    outcome, told = run(job_folder(tmp_path))
    assert (outcome, told["code"]) == ("failed", "model_broken")


def test_too_little_memory_is_noticed_before_the_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer_model, "_free", lambda: 500_000_000)
    monkeypatch.setattr(trainer_model, "load", lambda _spec: pytest.fail("loaded"))
    outcome, told = run(job_folder(tmp_path))
    assert (outcome, told["code"]) == ("failed", "no_memory")
    assert told["values"] == {"needed": 0.7, "free": 0.5}


def test_too_little_disk_is_noticed_before_the_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "DISK_BYTES", 10**18)
    folder = job_folder(tmp_path)
    outcome, told = run(folder)
    assert (outcome, told["code"]) == ("failed", "no_disk")
    assert not events(folder, "step")


def test_a_disk_that_gets_full_leaves_no_half_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel refuses files beyond a limit, as a full disk does."""
    import resource

    folder = job_folder(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
        outcome, told = run(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (outcome, told["code"]) == ("failed", "disk_full")
    assert list((folder / "checkpoints").iterdir()) == []
    assert not (folder / "result").exists()


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path) -> None:
    folder = job_folder(tmp_path, options={"epochs": 2})
    whole = run(folder)
    assert whole[0] == "done"
    kept = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert kept == ["step-000004", "step-000006"]
    (folder / "checkpoints" / "step-000006" / "state.pt").write_bytes(b"cut short")
    state = trainer_state.newest(folder)
    assert state is not None
    assert state["progress"]["step"] == 4
    first = adapter(folder)
    assert run(folder)[0] == "done"  # steps 5 and 6 once more
    assert adapter(folder) == first


def test_a_loss_without_bounds_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_loop.Loop, "_learn", lambda _self, _items: math.nan)
    outcome, told = run(job_folder(tmp_path))
    assert (outcome, told) == ("failed", {"code": "diverged", "values": {"step": 1}})


def test_the_learning_rate_grows_and_falls() -> None:
    rates = [trainer_loop.rate(step, 40) for step in range(40)]
    assert rates[0] == 0.5
    assert max(rates) == 1.0
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert 0.1 < rates[-1] < 0.2


def test_a_line_that_is_no_example_is_named(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(example(1)) + "\n" + json.dumps({**example(2), "answer": " "}), encoding="utf-8")
    with pytest.raises(TrainerError) as refused:
        trainer_data.read(path, with_rejected=False)
    assert (refused.value.code, refused.value.values) == ("bad_example", {"file": "train.jsonl", "line": 2})


def test_the_trainer_knows_no_django() -> None:
    import subprocess
    import sys

    from tests.servers import ROOT

    code = "import sys, training.finetune.trainer, training.finetune.trainer_loop; print('django' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_spec_reads_what_it_needs(tmp_path: Path) -> None:
    spec = Spec.read(job_folder(tmp_path))
    assert (spec.method, spec.threads, spec.watch_pid, spec.checkpoint_every) == ("sft", 1, 0, 2)
