"""How long a search takes in a large base: embed, both searches, fuse. See `--help`.

The vocabulary is that of real text (a folder of .txt and .md files): its sentences are shuffled into chunks. The base
is made in Chroma and SQL through the application's own writes, and removed afterwards:

    python -m bench.retrieval FOLDER --chunks 10000 --queries 200
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import resource
import sys
import time
import uuid
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
SENTENCES_A_CHUNK, CHUNKS_A_DOCUMENT, BATCH = 9, 50, 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="texts to take sentences from")
    parser.add_argument("--chunks", type=int, default=10_000)
    parser.add_argument("--queries", type=int, default=200)
    options = parser.parse_args()
    import django

    django.setup()
    print(json.dumps(measure(options.folder, options.chunks, options.queries)))


def measure(folder: Path, chunks: int, queries: int) -> dict[str, float]:
    """Milliseconds by stage, p50 and p95, and the memory of this process in MB."""
    from knowledge import index, services

    sentences = read_sentences(folder)
    base, generation = make_base(sentences, chunks)
    try:
        return {"chunks": chunks, **asyncio.run(ask(base.pk, sentences, queries))}
    finally:
        for document in list(base.documents.values_list("pk", flat=True)):
            services.delete_document(document_id=document)
        index.drop(generation.collection)
        base.delete()


def read_sentences(folder: Path) -> list[str]:
    texts = [
        path.read_text(encoding="utf-8", errors="ignore")
        for path in folder.rglob("*")
        if path.suffix in (".txt", ".md")
    ]
    found = [part.strip() for text in texts for part in re.split(r"(?<=[.!?。])\s+|\n+", text)]
    return [sentence for sentence in found if 20 < len(sentence) < 300]


def make_base(sentences, chunks):  # type: ignore[no-untyped-def]
    import numpy as np

    from knowledge import index, lexical, services
    from knowledge.embedding.registry import embedder
    from knowledge.models import Chunk, Document

    made_by = embedder()
    base = services.create_base(name=f"bench {uuid.uuid4().hex[:8]}")
    generation = services.live_generation(base=base, embedder=made_by.id, dimensions=made_by.dimensions)
    draw, noise = random.Random(1), np.random.default_rng(1)
    # Real vectors, moved at random: as near to each other as those of one subject are.
    known = made_by.embed_passages([" ".join(draw.sample(sentences, SENTENCES_A_CHUNK)) for _ in range(200)])
    for first in range(0, chunks, BATCH):
        texts = [" ".join(draw.sample(sentences, SENTENCES_A_CHUNK)) for _ in range(min(BATCH, chunks - first))]
        documents = [
            Document(
                base=base,
                title=f"Bench {first + at}",
                filename=f"{first + at}.txt",
                sha256=uuid.uuid4().hex * 2,
                state=Document.State.READY,
                chunks_total=CHUNKS_A_DOCUMENT,
                chunks_done=CHUNKS_A_DOCUMENT,
            )
            for at in range(0, len(texts), CHUNKS_A_DOCUMENT)
        ]
        Document.objects.bulk_create(documents)
        rows = Chunk.objects.bulk_create(
            Chunk(
                document=documents[at // CHUNKS_A_DOCUMENT],
                splitting=generation.splitting,
                position=at % CHUNKS_A_DOCUMENT,
                start=0,
                end=len(text),
                text=text,
                tokens=200,
            )
            for at, text in enumerate(texts)
        )
        lexical.add(lexical.rows(lexical.Entry(row.pk, generation.splitting_id, row.text) for row in rows), fresh=True)
        vectors = known[noise.integers(0, len(known), len(rows))] + noise.normal(0, 0.02, (len(rows), known.shape[1]))
        vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        index.add(generation.collection, [row.pk for row in rows], vectors)
        sys.stderr.write(f"\r{first + len(rows)} of {chunks} chunks ")
    return base, generation


async def ask(base: int, sentences: list[str], queries: int) -> dict[str, float]:
    from knowledge import retrieval

    draw = random.Random(2)
    laps: dict[str, list[float]] = {}
    for number in range(queries + 10):
        words = draw.choice(sentences).split()
        at = draw.randrange(max(1, len(words) - 8))
        started = time.perf_counter()
        found = await retrieval.search(" ".join(words[at : at + 8]) + "?", bases=[base])
        if number >= 10:  # the first ones warm the caches
            for stage, seconds in {**found.timings, "all": time.perf_counter() - started}.items():
                laps.setdefault(stage, []).append(1000 * seconds)
    figures = {}
    for stage, values in laps.items():
        values.sort()
        figures[f"{stage}_p50"], figures[f"{stage}_p95"] = (round(values[int(len(values) * q)], 1) for q in (0.5, 0.95))
    figures["memory_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    return figures


if __name__ == "__main__":
    main()
