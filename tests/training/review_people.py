"""People, turns and reviews for the tests of the review desk."""

from __future__ import annotations

import importlib
import uuid
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.utils import timezone

from accounts.models import User
from coach.models import Coach, Conversation, Rating, Source, Turn

ANSWER = "Begin with **one** small step [1]. What would make it easy?"


def person(name: str, *permissions: str, rater: bool = False, **values: Any) -> User:
    made = User.objects.create_user(username=name, password=f"{name}-secret-1", **values)
    if rater:
        importlib.import_module("training.migrations.0003_raters").make_group(apps, None)
        made.groups.add(Group.objects.get(name="raters"))
    for permission in permissions:
        app, codename = permission.split(".")
        made.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    return User.objects.get(pk=made.pk)  # without what it remembers of permissions


def agree(user: Any) -> None:
    User.objects.filter(pk=user.pk).update(training_consent=timezone.now())


def talk_of(owner: Any, coach: Coach, **values: Any) -> Conversation:
    return Conversation.objects.create(owner=owner, coach=coach, **values)


def turn_in(talk: Conversation, *, minutes_ago: float = 0, rating: int | None = None, **values: Any) -> Turn:
    given = {
        "id": uuid.uuid4(),
        "position": talk.turns.count(),
        "question": "How do I keep a habit when the week is full?",
        "answer": ANSWER,
        "state": Turn.State.DONE,
        "language": talk.language,
        "model": "fake:model",
        "place": "local",
    }
    made = Turn.objects.create(conversation=talk, **(given | values))
    Turn.objects.filter(pk=made.pk).update(created=timezone.now() - timedelta(minutes=minutes_ago))
    if rating is not None:
        Rating.objects.create(turn=made, rating=rating)
    return Turn.objects.get(pk=made.pk)


def with_sources(turn: Turn, *, cited: bool = True) -> Turn:
    for n in (1, 2):
        Source.objects.get_or_create(
            conversation=turn.conversation,
            n=n,
            defaults={"title": f"Book {n}", "location": f"p. {n}", "text": f"Passage {n}.", "excerpt": "Passage."},
        )
    turn.sources = [{"n": 1, "score": 0.5}, {"n": 2, "score": 0.4}]
    turn.citations = [1] if cited else []
    turn.save(update_fields=["sources", "citations"])
    return turn
