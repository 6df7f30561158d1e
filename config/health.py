"""`/healthz`, `/readyz` and `/metrics` for the one who operates it."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import httpx
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from redis import Redis
from redis.exceptions import RedisError

from accounts.selectors import user_for_token
from coach.models import Rating, Turn
from coach.runner_channel import HEARTBEAT_KEY
from config.services import read_services
from knowledge.models import Document
from llm.metrics import ModelMetrics


@require_safe
def healthz(_request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "alive"})


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _redis() -> Redis:
    return Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)


def _runner() -> None:
    with _redis() as client:
        if not client.exists(HEARTBEAT_KEY):
            raise LookupError("no turn runner has reported within 10 s")


def _ping_redis() -> None:
    with _redis() as client:
        client.ping()


def _chroma() -> None:
    url = read_services(settings.DATA_DIR).get("chroma", settings.CHROMA_URL)
    httpx.get(f"{url}/api/v2/heartbeat", timeout=2).raise_for_status()


CHECKS: dict[str, Callable[[], None]] = {
    "database": _database,
    "redis": _ping_redis,
    "chroma": _chroma,
    "runner": _runner,
}


@require_safe
def readyz(_request: HttpRequest) -> JsonResponse:
    """200 when every dependency answers, else 503; the body names each. Details stay in the log."""
    results: dict[str, Any] = {}
    for name, check in CHECKS.items():
        try:
            check()
            results[name] = "ok"
        except (DatabaseError, RedisError, httpx.HTTPError, LookupError, OSError) as error:
            results[name] = type(error).__name__
    ready = all(value == "ok" for value in results.values())
    response = JsonResponse({"ready": ready, "checks": results}, status=200 if ready else 503)
    response._has_been_logged = True  # type: ignore[attr-defined]  # not ready yet is no error of the server
    return response


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text; for loopback without a proxy, staff sessions and staff tokens only."""
    if not _may_watch(request):
        return HttpResponse("forbidden\n", status=403, content_type="text/plain")
    from prometheus_client import CollectorRegistry, Gauge, generate_latest

    registry = CollectorRegistry()
    turns = Gauge("coach_turns", "Turns by state", ["state"], registry=registry)
    for row in Turn.objects.order_by().values("state").annotate(n=Count("pk")):
        turns.labels(row["state"]).set(row["n"])
    documents = Gauge("coach_documents", "Documents by state", ["state"], registry=registry)
    for row in Document.objects.order_by().values("state").annotate(n=Count("pk")):
        documents.labels(row["state"]).set(row["n"])
    ratings = Gauge("coach_ratings", "Ratings by stars", ["rating"], registry=registry)
    for stars in Rating.objects.order_by().values("rating").annotate(n=Count("pk")):
        ratings.labels(str(stars["rating"])).set(stars["n"])
    registry.register(ModelMetrics())
    return HttpResponse(generate_latest(registry), content_type="text/plain; version=0.0.4")


def _may_watch(request: HttpRequest) -> bool:
    if request.user.is_staff:
        return True
    scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        user = user_for_token(token.strip())
        return user is not None and user.is_staff
    address = request.META.get("REMOTE_ADDR") or ""
    try:
        return ipaddress.ip_address(address).is_loopback and "X-Forwarded-For" not in request.headers
    except ValueError:
        return False
