"""REST for consent: what a person agrees to, and which conversations are kept out. Here because data sets follow."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from ninja import Router, Schema
from ninja.errors import AuthenticationError

from accounts.services import GuestCannotConsent, set_consent
from coach.api import ConversationOut
from coach.errors import NoGuests
from coach.services import keep_out_of_training
from coach.texts import consent_state, consent_wording
from coach.wire import conversation_summary

from . import consent
from .wake import marks_soon

router = Router(tags=["consent"])


class ConsentIn(Schema):
    training: bool
    cloud: bool = False


class ConsentOut(Schema):
    training: bool
    cloud: bool
    cloud_offered: bool
    since: datetime | None
    asked: bool
    may: bool
    wording: list[str]


class KeptOutIn(Schema):
    kept_out: bool


def _user(request: HttpRequest) -> Any:
    if request.user.pk is None:
        raise AuthenticationError
    return request.user


@router.get("/me/consent", response=ConsentOut)
def get_consent(request: HttpRequest) -> Any:
    """`wording` is what one agrees to; `asked`: whether the person has said yes or no before; guests may not.

    `cloud`: examples may be sent to OpenAI, too; `cloud_offered`: an administrator has turned that on.
    """
    return consent_state(_user(request))


@router.put("/me/consent", response=ConsentOut)
def put_consent(request: HttpRequest, body: ConsentIn) -> Any:
    user_id = int(_user(request).pk)
    try:
        wording = "\n\n".join(consent_wording())
        cloud = body.cloud and settings.COACH_OPENAI_TRAINING  # nobody agrees to what was not offered
        person = set_consent(user_id=user_id, given=body.training, cloud=cloud, wording=wording)
    except GuestCannotConsent:
        raise NoGuests from None
    if not body.training:
        consent.withdrawn(user_id)
    elif not body.cloud:
        consent.cloud_withdrawn(user_id)
    if not (body.training and body.cloud):
        marks_soon()
    return consent_state(person)


@router.put("/conversations/{conversation_id}/training", response=ConversationOut)
def keep_out(request: HttpRequest, conversation_id: UUID, body: KeptOutIn) -> Any:
    """`kept_out`: whether this conversation is left out of training, whatever was agreed to."""
    conversation = keep_out_of_training(
        owner_id=int(_user(request).pk), conversation_id=conversation_id, kept_out=body.kept_out
    )
    if body.kept_out:
        consent.kept_out(conversation_id)
        marks_soon(at_once=True)
    return conversation_summary(conversation)
