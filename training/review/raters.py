"""The group `raters` (training/migrations/0003): who is in it. Its rights are those of the desk and nothing else."""

from __future__ import annotations

from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from accounts.models import User

from .errors import WrongReview

GROUP = "raters"
RIGHTS = [f"{action}_{model}" for model in ("review", "choice") for action in ("view", "add", "change")]


def members() -> QuerySet[User]:
    return User.objects.filter(groups__name=GROUP).order_by("username")


def add(*, username: str) -> User:
    """Raises WrongReview when nobody with an account has this name."""
    person = User.objects.filter(username=username.strip(), is_guest=False, is_active=True).first()
    if person is None:
        raise WrongReview(_("Nobody here has the name “%(name)s”.") % {"name": username.strip()[:60]})
    with transaction.atomic():
        group, made = Group.objects.get_or_create(name=GROUP)
        if made:  # somebody removed it
            rights = Permission.objects.filter(content_type__app_label="training", codename__in=RIGHTS)
            group.permissions.set(rights)
        person.groups.add(group)
    return person


def remove(*, user_id: int) -> None:
    """What the person reviewed stays."""
    for person in members().filter(pk=user_id):
        person.groups.remove(*person.groups.filter(name=GROUP))
