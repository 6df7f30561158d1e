"""Who may use the REST of the knowledge app."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from .errors import Forbidden


def staff(request: HttpRequest) -> Any:
    """The user. Raises Forbidden for anyone who is not staff."""
    user = request.user
    if not user.is_active or not user.is_staff:
        raise Forbidden
    return user
