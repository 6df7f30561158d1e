"""A model of sentence-transformers by its ONNX file: a small real one, made here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from knowledge.embedding import registry
from knowledge.embedding.errors import EmbedderUnavailable

WORDS = ["[UNK]", "[CLS]", "[SEP]", "cat", "mat", "tax", "report", "query", ":"]
ROWS = np.random.default_rng(7).normal(size=(len(WORDS), 4)).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Token vectors straight from a table: the mean of them is easily said by hand."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])
    mask = helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["batch", "length"])
    out = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "length", 4])
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"]),
        helper.make_node("Identity", ["attention_mask"], ["unused"]),
    ]
    graph = helper.make_graph(nodes, "table", [ids, mask], [out], [numpy_helper.from_array(ROWS, "table")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (tmp_path / "onnx").mkdir()
    onnx.save(model, str(tmp_path / "onnx" / "model.onnx"))
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment]
    tokenizer.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    _write(tmp_path, "modules.json", [{"type": f"sentence_transformers.models.{kind}", "path": path} for kind, path in (
        ("Transformer", ""), ("Pooling", "1_Pooling"))])  # fmt: skip
    (tmp_path / "1_Pooling").mkdir()
    _write(tmp_path, "1_Pooling/config.json", {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False})
    _write(tmp_path, "sentence_bert_config.json", {"max_seq_length": 5})
    _write(tmp_path, "config_sentence_transformers.json", {"prompts": {"query": "query: "}})
    return tmp_path


def _write(folder: Path, name: str, content: Any) -> None:
    (folder / name).write_text(json.dumps(content))


def _mean(*words: str) -> np.ndarray[Any, Any]:
    found = ROWS[[WORDS.index(word) for word in words]].mean(0)
    return found / np.linalg.norm(found)


def test_vectors_are_the_mean_of_the_real_tokens(folder: Path) -> None:
    embedder = registry.embedder(f"sentence-transformers-onnx:{folder}")
    assert (embedder.dimensions, embedder.max_tokens, embedder.count_tokens("cat mat")) == (4, 5, 4)
    vectors = embedder.embed_passages(["cat mat tax", "cat", "cat mat tax report cat"])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors[0], _mean("[CLS]", "cat", "mat", "tax", "[SEP]"), atol=1e-6)
    np.testing.assert_allclose(vectors[1], _mean("[CLS]", "cat", "[SEP]"), atol=1e-6)  # no padding in the mean
    np.testing.assert_allclose(vectors[2], vectors[0], atol=1e-6)  # cut at five tokens, with its end mark
    query = embedder.embed_query("cat")
    np.testing.assert_allclose(query, _mean("[CLS]", "query", ":", "cat", "[SEP]"), atol=1e-6)
    assert embedder.embed_passages([]).shape == (0, 4)


def test_the_first_token_where_the_model_says_so(folder: Path) -> None:
    _write(folder, "1_Pooling/config.json", {"pooling_mode": "cls"})
    embedder = registry.embedder(f"sentence-transformers-onnx:{folder}@onnx/model.onnx")
    np.testing.assert_allclose(embedder.embed_passages(["mat"])[0], _mean("[CLS]"), atol=1e-6)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "onnx" / "model.onnx").unlink(), "it has no model.onnx; name its ONNX file"),
        (lambda folder: (folder / "onnx" / "model.onnx").write_bytes(b"no"), "could not be loaded"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "it has no tokenizer.json"),
        (lambda folder: (folder / "modules.json").unlink(), "could not be loaded"),
        (lambda folder: _write(folder, "modules.json", [{"type": "m.Dense", "path": ""}]), "only torch can run"),
        (lambda folder: _write(folder, "1_Pooling/config.json", {"pooling_mode": "max"}), "neither the mean nor"),
    ],
)
def test_a_folder_that_is_not_whole(folder: Path, spoil: Any, said: str) -> None:
    spoil(folder)
    with pytest.raises(EmbedderUnavailable, match=said):
        registry.embedder(f"sentence-transformers-onnx:{folder}")


def test_a_hub_name_that_is_not_here(settings: Any, tmp_path: Path) -> None:
    settings.OFFLINE, settings.CACHE_DIR = True, tmp_path
    with pytest.raises(EmbedderUnavailable, match="could not be fetched"):
        registry.embedder("sentence-transformers-onnx:someone/no-such-model")
