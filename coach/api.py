"""REST for conversations, turns, ratings and improved answers. Views only translate; see services.py, edits.py,
history.py and selectors.py."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import login
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.http import content_disposition_header
from django.utils.text import slugify
from django.utils.translation import gettext as _
from ninja import Field, Query, Router, Schema
from ninja.errors import AuthenticationError, HttpError
from ninja.throttling import AnonRateThrottle
from ninja.utils import check_csrf
from pydantic import AwareDatetime

from accounts.selectors import user_for_token
from accounts.services import create_guest

from . import edits, history, selectors, services
from .errors import NotFound, TooMany
from .runner_channel import conversation_opened
from .wire import conversation_data, conversation_summary, turn_data

router = Router(tags=["conversations"])

GUESTS_FROM_ONE_ADDRESS = AnonRateThrottle("60/m")


class CoachOut(Schema):
    slug: str
    name: str
    mode: str
    description: str


class ConversationIn(Schema):
    coach: str
    language: str | None = None
    private: bool = False


class ConversationOut(Schema):
    id: UUID
    coach: str
    title: str
    language: str
    private: bool
    kept_out: bool
    created: datetime
    updated: datetime


class ConversationFound(ConversationOut):
    excerpt: str = ""


class NameIn(Schema):
    title: str


class RatingIn(Schema):
    rating: int = Field(ge=1, le=5)
    helpful: bool | None = None
    reasons: list[str] = Field(default_factory=list, max_length=20)
    comment: str = Field("", max_length=2000)


class RatingOut(Schema):
    rating: int
    helpful: bool | None
    reasons: list[str]
    comment: str


class EditIn(Schema):
    text: str


class EditOut(Schema):
    text: str
    created: datetime
    updated: datetime


class ReasonOut(Schema):
    slug: str
    text: str
    shown_for: str


class TurnOut(Schema):
    id: UUID
    conversation: UUID
    position: int
    regenerates: UUID | None
    question: str
    answer: str
    state: str
    language: str
    sources: list[dict[str, Any]]
    citations: list[int]
    unsupported: list[list[int]]
    notices: list[dict[str, Any]]
    grounded: bool
    model: str
    place: str
    usage: dict[str, Any]
    timings: dict[str, Any]
    failure: str
    rating: RatingOut | None
    edit: EditOut | None
    created: datetime


class ConversationDetail(ConversationOut):
    turns: list[TurnOut]


def _user_id(request: HttpRequest) -> int:
    if request.user.pk is None:
        raise AuthenticationError
    return request.user.pk


@router.get("/coaches", auth=None, response=list[CoachOut])
def list_coaches(request: HttpRequest) -> Any:
    return selectors.active_coaches()


@router.post("/conversations", auth=None, response={201: ConversationOut})
def create_conversation(request: HttpRequest, body: ConversationIn) -> Any:
    """Signed in, with a token, or as a guest where guests are allowed: a guest is made here, not on the page."""
    owner_id = _owner(request)
    language = body.language or translation.get_language() or settings.LANGUAGE_CODE
    if language not in dict(settings.LANGUAGES):
        language = settings.LANGUAGE_CODE
    conversation = services.start_conversation(
        owner_id=owner_id, coach=body.coach, language=language, private=body.private
    )
    transaction.on_commit(lambda: conversation_opened(conversation.pk))
    return 201, conversation_summary(conversation)


def _owner(request: HttpRequest) -> int:
    scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        user = user_for_token(token.strip())
        if user is None:
            raise AuthenticationError
        return int(user.pk)
    if check_csrf(request) is not None:
        raise HttpError(403, _("The page is too old: load it again."))
    if request.user.is_authenticated:
        return _user_id(request)
    if not settings.COACH_GUESTS:
        raise AuthenticationError
    if not GUESTS_FROM_ONE_ADDRESS.allow_request(request):
        raise TooMany
    guest = create_guest(language=translation.get_language() or "")
    login(request, guest, backend="django.contrib.auth.backends.ModelBackend")
    return int(guest.pk)


@router.get("/conversations", response=list[ConversationFound])
def list_conversations(
    request: HttpRequest,
    q: str = Query("", max_length=history.LONGEST_SEARCH),
    before: AwareDatetime | None = None,
    limit: int = Query(200, ge=1, le=200),
) -> Any:
    """The last used first; `q`: only those with all these words; `before`: those last used before, for the next page.

    `excerpt` is where the words were said, empty when they are in the title.
    """
    user = _user_id(request)
    if q.strip():
        found = history.search(user, q)[:limit]
        return [{**conversation_summary(each.conversation), "excerpt": each.excerpt} for each in found]
    return [conversation_summary(conversation) for conversation in history.page(user, before=before, most=limit)]


@router.get("/conversations/{conversation_id}", response=ConversationDetail)
def get_conversation(request: HttpRequest, conversation_id: UUID) -> Any:
    conversation = selectors.conversation_of(_user_id(request), conversation_id)
    if conversation is None:
        raise NotFound
    return conversation_data(conversation)


@router.patch("/conversations/{conversation_id}", response=ConversationOut)
def rename_conversation(request: HttpRequest, conversation_id: UUID, body: NameIn) -> Any:
    renamed = services.rename_conversation(
        owner_id=_user_id(request), conversation_id=conversation_id, title=body.title
    )
    return conversation_summary(renamed)


@router.get("/conversations/{conversation_id}/markdown")
def download_conversation(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    """The conversation as a Markdown file."""
    conversation = selectors.conversation_of(_user_id(request), conversation_id)
    if conversation is None:
        raise NotFound
    name = slugify(conversation.title, allow_unicode=True)[:60].strip("-") or "conversation"
    headers = {"Content-Disposition": content_disposition_header(True, f"{name}.md") or "attachment"}
    return HttpResponse(history.as_markdown(conversation), content_type="text/markdown; charset=utf-8", headers=headers)


@router.delete("/conversations/{conversation_id}", response={204: None})
def delete_conversation(request: HttpRequest, conversation_id: UUID) -> Any:
    services.delete_conversation(owner_id=_user_id(request), conversation_id=conversation_id)
    return 204, None


@router.get("/turns/{turn_id}", response=TurnOut)
def get_turn(request: HttpRequest, turn_id: UUID) -> Any:
    turn = selectors.turn_of(_user_id(request), turn_id)
    if turn is None:
        raise NotFound
    return turn_data(turn)


@router.put("/turns/{turn_id}/rating", response=RatingOut)
def rate_turn(request: HttpRequest, turn_id: UUID, body: RatingIn) -> Any:
    return services.rate(
        user_id=_user_id(request),
        turn_id=turn_id,
        rating=body.rating,
        helpful=body.helpful,
        reasons=body.reasons,
        comment=body.comment,
    )


@router.delete("/turns/{turn_id}/rating", response={204: None})
def take_rating_back(request: HttpRequest, turn_id: UUID) -> Any:
    services.take_rating_back(user_id=_user_id(request), turn_id=turn_id)
    return 204, None


@router.put("/turns/{turn_id}/edit", response=EditOut)
def improve_answer(request: HttpRequest, turn_id: UUID, body: EditIn) -> Any:
    """How the answer should have been; the answer itself stays what the model wrote."""
    return edits.improve(user_id=_user_id(request), turn_id=turn_id, text=body.text)


@router.delete("/turns/{turn_id}/edit", response={204: None})
def take_improvement_back(request: HttpRequest, turn_id: UUID) -> Any:
    edits.take_back(user_id=_user_id(request), turn_id=turn_id)
    return 204, None


@router.get("/rating-reasons", response=list[ReasonOut])
def list_rating_reasons(request: HttpRequest, language: str = "") -> Any:
    """The reasons one can give with a rating; `language`: empty for that of the request."""
    return selectors.rating_reasons(language or translation.get_language() or settings.LANGUAGE_CODE)


class SourceOut(Schema):
    n: int
    title: str
    location: str
    text: str
    before: str
    after: str
    document: str | None


@router.get("/conversations/{conversation_id}/sources/{n}", response=SourceOut)
def get_source(request: HttpRequest, conversation_id: UUID, n: int) -> Any:
    """The very passage with the text around it; `document` is null when it was deleted since."""
    found = selectors.source_in_context(_user_id(request), conversation_id, n)
    if found is None:
        raise NotFound
    return found
