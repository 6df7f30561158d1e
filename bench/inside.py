"""What needs the application's own code: runs with the settings of the installation under measurement.

python -m bench.inside people COUNT [staff]  users with API tokens, as JSON
python -m bench.inside coaches               the coach of each pace of the fake model (stdin: {slug: models})
python -m bench.inside base SLUG             an empty knowledge base
python -m bench.inside documents SLUG        documents by state
python -m bench.inside unverified            how many indexes the worker has still to look through
python -m bench.inside chunks SLUG           what is embedded of all chunks: the text with its title and headings
python -m bench.inside embed [query|passage] CPU and wall seconds of the embedder alone (stdin: list of texts)
"""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


def people(count: str, kind: str = "") -> list[dict[str, str]]:
    from accounts.models import User
    from accounts.services import create_token

    made = []
    for _number in range(int(count)):
        user = User(username=f"bench-{uuid.uuid4().hex[:12]}", is_staff=bool(kind), is_superuser=bool(kind))
        user.set_unusable_password()
        user.save()
        made.append({"name": user.username, "token": create_token(user=user)})
    return made


def revoke(name: str) -> int:
    from accounts.models import ApiToken
    from accounts.services import revoke_token

    tokens = list(ApiToken.objects.filter(user__username=name))
    for token in tokens:
        revoke_token(token=token)
    return len(tokens)


def coaches() -> list[str]:
    from coach.models import Coach

    made = []
    for slug, models in json.load(sys.stdin).items():
        defaults = {"mode": "personal", "name": slug, "language_models": models}
        coach, _created = Coach.objects.update_or_create(slug=slug, defaults=defaults)
        coach.knowledge_bases.set(Coach.objects.get(slug="personal").knowledge_bases.all())
        made.append(coach.slug)
    return made


def base(slug: str) -> str:
    from knowledge.models import KnowledgeBase

    return str(KnowledgeBase.objects.get_or_create(slug=slug, defaults={"name": slug})[0].slug)


def documents(slug: str) -> dict[str, int]:
    from django.db.models import Count

    from knowledge.models import Document

    rows = Document.objects.filter(base__slug=slug).order_by().values("state").annotate(n=Count("pk"))
    return {row["state"]: row["n"] for row in rows}


def unverified() -> int:
    from knowledge import generations

    return sum(not generations.is_verified(one) for one in generations.maintained())


def chunks(slug: str) -> list[str]:
    from knowledge.models import Chunk
    from knowledge.splitting import passage_text

    found = Chunk.objects.filter(document__base__slug=slug).order_by("pk")
    return [passage_text(*row) for row in found.values_list("document__title", "headings", "text")]


def embed(kind: str) -> dict[str, float]:
    """Texts one at a time for `query`, all at once for `passage`; after a warm-up, so that loading is not counted."""
    from knowledge.embedding.registry import embedder as load_embedder

    texts, embedder = json.load(sys.stdin), load_embedder()
    one = embedder.embed_query if kind == "query" else lambda text: embedder.embed_passages([text])
    one("warm")
    wall, cpu = time.perf_counter(), time.process_time()
    if kind == "query":
        for text in texts:
            one(text)
    else:
        embedder.embed_passages(texts)
    return {"texts": len(texts), "wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


COMMANDS: dict[str, Callable[..., Any]] = {
    "people": people,
    "revoke": revoke,
    "coaches": coaches,
    "base": base,
    "documents": documents,
    "unverified": unverified,
    "chunks": chunks,
    "embed": embed,
}


def main(arguments: list[str]) -> None:
    import django

    django.setup()
    json.dump(COMMANDS[arguments[0]](*arguments[1:]), sys.stdout, ensure_ascii=False)


if __name__ == "__main__":
    main(sys.argv[1:])
