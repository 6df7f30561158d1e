"""Reads about people."""

from __future__ import annotations

from .models import ApiToken, User
from .services import token_digest


def user_for_token(token: str) -> User | None:
    """The active owner of a token that is not revoked, else None."""
    found = (
        ApiToken.objects.select_related("user")
        .filter(digest=token_digest(token), revoked=None, user__is_active=True)
        .first()
    )
    return found.user if found else None


def setup_needed() -> bool:
    """True until the first administrator exists."""
    return not User.objects.filter(is_superuser=True).exists()
