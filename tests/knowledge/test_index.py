"""Chroma as we use it: a real server, one that is away, one that has moved."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from knowledge import index
from knowledge.errors import IndexUnavailable
from tests.servers import free_port


@pytest.fixture
def collection(chroma: str) -> Iterator[str]:
    index._server.move(chroma)
    name = f"kb1-{uuid.uuid4().hex[:12]}"
    index.create(name)
    yield name
    index._server.move(chroma)
    index.drop(name)


def unit(count: int) -> Any:
    vectors = np.random.default_rng(1).normal(size=(count, 8)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


async def test_add_query_delete(collection: str) -> None:
    vectors = unit(1200)
    index.add(collection, range(1200), vectors)
    index.add(collection, [3], vectors[3:4])
    assert index.count(collection) == 1200
    found = await index.query_entries(collection, vectors[7], 3)
    assert found[0][0] == 7
    assert found[0][1] == pytest.approx(1.0, abs=1e-5)
    assert found[1][1] == pytest.approx(float(vectors[found[1][0]] @ vectors[7]), abs=1e-4)
    index.delete(collection, [7, 999_999])
    assert index.ids(collection) == set(range(1200)) - {7}


async def test_a_collection_that_is_gone(collection: str) -> None:
    vectors = unit(2)
    index.add(collection, [1], vectors[:1])
    index.drop(collection)
    index.drop(collection)
    assert (index.count(collection), index.ids(collection)) == (0, set())
    index.delete(collection, [1])
    with pytest.raises(IndexUnavailable):
        await index.query_entries(collection, vectors[0], 3)
    index.add(collection, [2], vectors[1:])
    assert (await index.query_entries(collection, vectors[1], 3))[0][0] == 2


async def test_a_collection_that_was_made_anew_elsewhere(collection: str) -> None:
    vectors = unit(1)
    index.add(collection, [1], vectors)
    known = index._server.id_of(collection)
    index.drop(collection)
    index.add(collection, [1], vectors)
    index._server.learn(collection, str(known))  # what another process would still believe
    assert (await index.query_entries(collection, vectors[0], 1))[0][0] == 1
    index._server.learn(collection, str(known))
    assert index.count(collection) == 1


async def test_a_server_that_is_away(chroma: str, settings: Any) -> None:
    settings.CHROMA_URL = f"http://127.0.0.1:{free_port()}"
    index._server.move(settings.CHROMA_URL)
    try:
        with pytest.raises(IndexUnavailable):
            index.add("kb1-none", [1], unit(1))
        with pytest.raises(IndexUnavailable):
            index.count("kb1-none")
        with pytest.raises(IndexUnavailable):
            await index.query_entries("kb1-none", unit(1)[0], 1)
    finally:
        index._server.move(chroma)


async def test_a_server_that_up_has_moved(collection: str, chroma: str, settings: Any, tmp_path: Path) -> None:
    index.add(collection, [1], unit(1))
    settings.DATA_DIR = tmp_path
    settings.CHROMA_URL = f"http://127.0.0.1:{free_port()}"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "services.json").write_text(json.dumps({"chroma": chroma}), encoding="utf-8")
    index._server.move(settings.CHROMA_URL)
    assert (await index.query_entries(collection, unit(1)[0], 1))[0][0] == 1
    index._server.move(settings.CHROMA_URL)
    assert index.count(collection) == 1


async def test_what_the_graph_has_lost_is_written_again(chroma: str) -> None:
    """Without `mend` the first vector unlike 400 near-equal ones is out of reach in about every second collection."""
    index._server.move(chroma)
    random = np.random.default_rng(5)
    near_equal = np.full((400, 64), 0.125) + random.normal(scale=0.03, size=(400, 64))
    unlike = np.full((1, 64), 0.125) + random.normal(scale=0.12, size=(1, 64))
    lost = 0
    for _ in range(20):
        name = f"kb1-{uuid.uuid4().hex[:12]}"
        index.add(name, range(400), near_equal.astype(np.float32))
        await index.query_entries(name, near_equal[0].astype(np.float32), 1)
        index.add(name, [-5], unlike.astype(np.float32))
        before = (await index.query_entries(name, unlike[0].astype(np.float32), 1))[0][0]
        assert (-5 in index.mend(name, [-5, *range(400), 999])) == (before != -5)
        assert (await index.query_entries(name, unlike[0].astype(np.float32), 1))[0][0] == -5
        assert index.count(name) == 401
        lost += before != -5
        index.drop(name)
    assert lost
    assert index.mend("kb1-none", [1]) == []
