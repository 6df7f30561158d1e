"""Shared by the tests of the training loop."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone


@pytest.fixture
def consented(talk: Any, alice: Any) -> Any:
    """A conversation of alice, who agreed to training."""
    from accounts.models import User

    User.objects.filter(pk=alice.pk).update(training_consent=timezone.now())
    return talk
