"""Reads about people."""

from __future__ import annotations

from django.db.models import QuerySet

from .models import ApiToken, User
from .services import token_digest


def user_for_token(token: str) -> User | None:
    """The active owner of a token that is not revoked, else None."""
    found = _valid(token).select_related("user").first()
    return found.user if found else None


def token_is_valid(token: str) -> bool:
    """It has an active owner and is not revoked; for those who know its owner already."""
    return _valid(token).exists()


def _valid(token: str) -> QuerySet[ApiToken]:
    return ApiToken.objects.filter(digest=token_digest(token), revoked=None, user__is_active=True)


def setup_needed() -> bool:
    """True until the first administrator exists."""
    return not User.objects.filter(is_superuser=True).exists()
