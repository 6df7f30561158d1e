"""Writes about people: first admin, sign-up, guests, tokens."""

from __future__ import annotations

import hashlib
import secrets
import uuid

from django.core import signing
from django.db import transaction
from django.utils import timezone

from .models import ApiToken, ConsentChange, User


class SetupAlreadyDone(Exception):
    """An administrator exists already; the first-visit page is closed for good."""


def token_digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def create_token(*, user: User, name: str = "") -> str:
    """The new token in clear; it cannot be read again later."""
    token = "coach_" + secrets.token_urlsafe(32)
    ApiToken.objects.create(user=user, name=name, digest=token_digest(token))
    return token


def revoke_token(*, token: ApiToken) -> None:
    ApiToken.objects.filter(pk=token.pk, revoked=None).update(revoked=timezone.now())


def create_first_admin(*, username: str, password: str, email: str = "") -> User:
    """Raises SetupAlreadyDone when any administrator exists, also when two browsers race."""
    with transaction.atomic():
        # Locking all rows serialises the race on PostgreSQL; SQLite transactions are IMMEDIATE already.
        if any(user.is_superuser for user in User.objects.select_for_update()):
            raise SetupAlreadyDone
        return User.objects.create_superuser(username=username, email=email, password=password)


def create_guest(*, language: str = "") -> User:
    guest = User(username=f"guest-{uuid.uuid4().hex[:16]}", is_guest=True, language=language)
    guest.set_unusable_password()
    guest.save()
    return guest


INVITATION_SECONDS = 7 * 24 * 3600


class InvitationInvalid(Exception):
    """The invitation is forged or older than a week."""


def create_invitation(*, note: str = "") -> str:
    """A signed text for `/accounts/signup/?invite=…`, valid for a week; any number of people may use it."""
    return signing.dumps({"note": note}, salt="accounts.invitation")


def check_invitation(*, invitation: str) -> None:
    try:
        signing.loads(invitation, salt="accounts.invitation", max_age=INVITATION_SECONDS)
    except signing.BadSignature as error:
        raise InvitationInvalid from error


def sign_up(*, username: str, password: str, guest: User | None) -> User:
    """A new person; a guest who signs up keeps the conversations."""
    person = guest if guest is not None and guest.is_guest else User()
    person.username, person.is_guest = username, False
    person.set_password(password)
    person.save()
    return person


class GuestCannotConsent(Exception):
    """A guest could not take consent back later: there is no way to sign in again."""


def set_consent(*, user_id: int, given: bool, wording: str, cloud: bool = False) -> User:
    """Whether this person's conversations may be used for training; each change is kept with what the person read.

    cloud: at OpenAI, too, which nobody agrees to by agreeing to training here.

    A first "no" is kept as well, so that nobody is asked twice. Raises GuestCannotConsent.
    """
    with transaction.atomic():
        person = User.objects.select_for_update().get(pk=user_id)
        if person.is_guest and given:
            raise GuestCannotConsent
        cloud = given and cloud
        before = person.training_consent is not None, person.training_consent_cloud
        if given != before[0]:
            person.training_consent = timezone.now() if given else None
        person.training_consent_cloud = cloud
        if before != (given, cloud):
            person.save(update_fields=["training_consent", "training_consent_cloud"])
        if before != (given, cloud) or not person.consent_changes.exists():
            ConsentChange.objects.create(user=person, given=given, cloud=cloud, wording=wording)
    return person
