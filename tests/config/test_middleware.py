"""What a request costs before and after its view."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from asgiref.sync import SyncToAsync
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient
from django.urls import path
from django.utils.deprecation import MiddlewareMixin

threads: list[int] = []


class Hybrid(MiddlewareMixin):
    """As all of Django's own."""

    def process_request(self, request: HttpRequest) -> None:
        threads.append(threading.get_ident())

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        threads.append(threading.get_ident())
        return response


def plain(request: HttpRequest) -> HttpResponse:
    threads.append(threading.get_ident())
    return HttpResponse("here")


async def awaited(request: HttpRequest) -> HttpResponse:
    threads.append(threading.get_ident())
    return HttpResponse("here")


urlpatterns = [path("plain", plain), path("awaited", awaited)]


@pytest.mark.parametrize("page", ["plain", "awaited"])
async def test_a_request_goes_to_a_thread_once(page: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = [f"{__name__}.Hybrid", *settings.MIDDLEWARE]
    threads.clear()
    trips = 0
    real = SyncToAsync.__call__

    async def counted(self: Any, *values: Any, **named: Any) -> Any:
        nonlocal trips
        trips += 1
        return await real(self, *values, **named)

    monkeypatch.setattr(SyncToAsync, "__call__", counted)
    answer = await AsyncClient().get(f"/{page}")
    assert (answer.status_code, answer.content) == (200, b"here")
    before, view, after = threads
    assert before == after != threading.get_ident()
    assert (view == threading.get_ident()) == (page == "awaited")
    # The request, and what Django does at its ends; without InOneThread it is 22.
    assert trips <= 6
