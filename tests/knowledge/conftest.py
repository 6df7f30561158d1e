"""Files made on the spot, a media folder per test, and knowledge that is really indexed."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _own_media(tmp_path: Path, settings: Any) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"


@pytest.fixture
def lexical_index(transactional_db: None) -> Iterator[None]:
    """Flushing a test database leaves FTS5 alone, because Django does not know the table."""
    from django.db import connection

    yield
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM knowledge_lexical")


@pytest.fixture
def add(base: Any) -> Callable[..., Any]:
    """Adds a document to `base`."""
    from knowledge import services

    def add_document(content: bytes | str, filename: str = "note.txt", **values: Any) -> Any:
        data = content.encode() if isinstance(content, str) else content
        return services.add_document(base=base, filename=filename, content=io.BytesIO(data), **values)[0]

    return add_document


@pytest.fixture
def work() -> Callable[[], int]:
    """Indexes everything that waits, as a worker would."""
    from knowledge import ingest

    return lambda: ingest.process_pending("worker", time.monotonic() + 60)


@pytest.fixture(scope="session")
def e5() -> Any:
    """The real default embedder."""
    from django.conf import settings

    from knowledge.embedding.registry import embedder

    settings.CACHE_DIR.mkdir(parents=True, exist_ok=True)
    return embedder("e5-small")


@pytest.fixture(scope="session", autouse=True)
def _search_threads(django_db_setup: None) -> Iterator[None]:
    """Their database connections end with them, or PostgreSQL would not let the test database go."""
    yield
    from knowledge import retrieval

    retrieval._threads.shutdown()
