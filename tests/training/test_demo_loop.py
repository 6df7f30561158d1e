"""The demonstration of the training loop: its made-up turns, and the whole of it with the real small model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User
from coach.models import Coach, Conversation, Turn
from coach.provenance import stored_prompts
from llm import adapters, catalogue
from llm.types import ModelId
from training.demo import loop, turns
from training.filters import TurnFilter
from training.models import DataSet, Promotion, TunedModel

pytestmark = pytest.mark.django_db
SMALL = catalogue.model_path(ModelId("llamacpp", loop.BASE))


def test_sixty_rated_turns_that_are_marked_as_made_up() -> None:
    turns.make()
    coach = turns.make()  # once more: nothing doubles
    assert Turn.objects.count() == 60
    assert Conversation.objects.filter(title__startswith="Synthetic: ").count() == 20
    assert set(Turn.objects.values_list("model", flat=True)) == {"synthetic"}
    person = User.objects.get(username=turns.PERSON)
    assert not person.is_active
    assert not person.has_usable_password()
    assert not Coach.objects.get(pk=coach.pk).active
    assert TurnFilter(coaches=(coach.slug,)).queryset().count() == 60
    found = list(Turn.objects.select_related("conversation__coach"))
    prompts = stored_prompts(found)
    assert all(prompts[turn.pk].exact for turn in found)
    assert all(prompts[turn.pk].messages[-1].content == turn.question for turn in found)
    assert all(loop.shows_the_trait(turn.answer) for turn in found)


def test_they_become_a_frozen_set_without_loss_or_overlap() -> None:
    said: list[str] = []
    dataset = loop._data_set(said.append)
    assert dataset.state == DataSet.State.FROZEN
    assert dataset.synthetic
    assert dataset.counts["approved"] >= 55
    parts = {
        split: set(dataset.examples.filter(split=split).values_list("conversation", flat=True))
        for split in ("train", "held_out")
    }
    assert parts["train"] and parts["held_out"]
    assert not parts["train"] & parts["held_out"]
    assert loop._data_set(said.append).name == "synthetic-demo-2"


def test_without_the_model_it_says_how_to_get_it(settings: Any, tmp_path: Path) -> None:
    settings.CACHE_DIR = tmp_path
    with pytest.raises(CommandError, match="fetchmodels"):
        call_command("demo_training_loop")


@pytest.mark.slow
@pytest.mark.real_model
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(not SMALL.is_file(), reason="the small model is not on this machine")
@pytest.mark.django_db(transaction=True)
def test_the_whole_loop(settings: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings.DATA_DIR = tmp_path / "data"
    settings.DATA_DIR.mkdir()
    call_command("demo_training_loop", "--json")
    found = json.loads(capsys.readouterr().out)
    with capsys.disabled():  # times of a machine that is busy with other things decide nothing
        print({name: found[name] for name in ("fall", "seconds", "roll_back_seconds", "before", "after")})
    assert found["fall"] >= 0.2
    assert not loop.shows_the_trait(found["before"])
    assert "?" in found["after"]
    assert found["after"] != found["before"]
    tuned = TunedModel.objects.get()
    assert tuned.synthetic
    assert found["model"] == tuned.model
    assert not Promotion.objects.filter(ended=None).exists()
    assert [adapter.name for adapter in adapters.installed()] == [tuned.name]
