"""A real cross-encoder of sentence-transformers: tiny, its weights at random, in a folder as makers give them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from knowledge import rerank
from knowledge.embedding import cross_encoder
from knowledge.embedding.errors import EmbedderUnavailable
from tests.knowledge.test_rerank import chunks, ranking

pytestmark = pytest.mark.real_model
WORDS = ("how", "do", "habits", "form", "sleep", "slowly", "goals", "title", "?", "the", "of", "and")


def folder_of(path: Path, labels: int = 1) -> str:
    import torch
    from sentence_transformers import CrossEncoder
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    path.mkdir()
    (path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    torch.manual_seed(3)
    model = BertForSequenceClassification(BertConfig(vocab_size=5 + len(WORDS), num_labels=labels, **sizes))
    torch.nn.init.normal_(model.classifier.weight, std=2.0)
    model.save_pretrained(path)
    BertTokenizerFast(str(path / "vocab.txt")).save_pretrained(path)
    whole = path.parent / f"{path.name}-whole"
    CrossEncoder(str(path), device="cpu").save_pretrained(str(whole))
    return str(whole)


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(cross_encoder, "_loaded", {})
    monkeypatch.setattr(rerank, "SECONDS", 120.0)
    return folder_of(tmp_path / "tiny")


async def test_its_scores_give_the_order(model: str, settings: Any) -> None:
    settings.COACH_RERANKER = f"cross-encoder:{model}"
    found = ranking()
    texts = [f"{one.candidate.title}\n{one.candidate.text}" for one in found]
    scores = cross_encoder.named(model).scores("How do habits form?", texts)
    assert len(set(scores)) == 3
    assert await rerank.rerank("How do habits form?", found) == rerank.DONE
    assert chunks(found) == sorted(range(3), key=lambda at: -scores[at])
    assert [one.scores["rerank"] for one in found] == sorted((round(score, 4) for score in scores), reverse=True)
    other = cross_encoder.named(model).scores("sleep", texts)
    assert other != scores, "the question is read, too"
    assert cross_encoder.named(model).scores("sleep", ["slowly " * 2000]), "a long passage is cut"


async def test_a_model_of_another_kind_is_refused(tmp_path: Path, settings: Any, model: str) -> None:
    """It gives several numbers a passage: which of them is the score?"""
    several = folder_of(tmp_path / "several", labels=3)
    with pytest.raises(EmbedderUnavailable, match="one score"):
        cross_encoder.named(several).scores("sleep", ["Sleep", "Goals"])
    settings.COACH_RERANKER = f"cross-encoder:{several}"
    found = ranking()
    assert await rerank.rerank("How do habits form?", found) == rerank.FAILED
    assert chunks(found) == [0, 1, 2]


async def test_a_folder_that_holds_none_fails_in_words(tmp_path: Path, settings: Any) -> None:
    settings.COACH_RERANKER = f"cross-encoder:{tmp_path / 'nothing'}"
    settings.OFFLINE = True
    with pytest.raises(EmbedderUnavailable, match="could not be loaded"):
        cross_encoder.named(str(tmp_path / "nothing"))
    assert await rerank.rerank("How do habits form?", ranking()) == rerank.FAILED
