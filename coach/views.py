"""The chat page and the reading page of a document."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required, user_passes_test
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import get_language
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

from accounts.selectors import setup_needed
from knowledge.selectors import cloud_embedders
from llm.cloud import cloud_judges, cloud_models

from . import edits, history, selectors, services
from .runner_channel import conversation_opened
from .texts import coach_card, coach_cards, consent_state, consent_wording, page_texts
from .wire import conversation_data

TRY_FIRST = "try_first"


@require_safe
@ensure_csrf_cookie
def chat(request: HttpRequest, conversation_id: UUID | None = None) -> HttpResponse:
    """One page for everything: pick a coach, or go on with a conversation of one's own."""
    if not request.user.is_authenticated:
        if "try" in request.GET:
            request.session[TRY_FIRST] = True
        elif not request.session.get(TRY_FIRST) and setup_needed():
            return redirect("welcome")
        if not settings.COACH_GUESTS:
            return redirect(f"{reverse('login')}?next={request.path}")
    conversation = None
    if conversation_id is not None:
        if request.user.is_authenticated:
            conversation = selectors.conversation_of(int(request.user.pk), conversation_id)
        if conversation is None:
            raise Http404
        conversation_opened(conversation.pk)
    conversations = history.page(int(request.user.pk)) if request.user.is_authenticated else []
    start: dict[str, Any] = {
        "texts": page_texts(),
        "limits": _limits(),
        "conversation": conversation_data(conversation) if conversation else None,
        "signed_in": request.user.is_authenticated,
        "reasons": selectors.rating_reasons(get_language() or settings.LANGUAGE_CODE),
        "consent": consent_state(request.user) if request.user.is_authenticated else None,
    }
    coaches = [conversation.coach] if conversation else list(selectors.active_coaches())
    context = {
        "cloud": sorted(
            {str(model) for coach in coaches for model in cloud_models(coach.language_models, coach=coach.slug)}
            | {str(model) for model in cloud_judges() if coaches}
            | set(cloud_embedders(coach.pk for coach in coaches))
        )
        if not (conversation and conversation.private)
        else [],
        "coaches": coach_cards(selectors.active_coaches()),
        "coach": coach_card(conversation.coach) if conversation else None,
        "conversations": conversations,
        "page_of_conversations": history.PAGE,
        "conversation": conversation,
        "start": start,
        "consent_wording": consent_wording(),
        "consent_cloud_offered": settings.COACH_OPENAI_TRAINING,
        "signup_open": settings.COACH_SIGNUP == "open",
    }
    return render(request, "coach/chat.html", context)


def _limits() -> dict[str, int]:
    """In characters."""
    return {"question": settings.QUESTION_MAX_CHARACTERS, "answer": edits.LONGEST}


@require_safe
@login_required
def document(request: HttpRequest, document_id: UUID) -> HttpResponse:
    """A document as the coach read it, with the passage of `?chunk=` marked."""
    found = selectors.readable_document(document_id)
    if found is None:
        raise Http404
    chunk_id = request.GET.get("chunk", "")
    chunk = found.chunks.filter(pk=int(chunk_id)).first() if chunk_id.isdecimal() and len(chunk_id) < 19 else None
    start, end = (chunk.start, chunk.end) if chunk else (0, 0)
    context = {
        "document": found,
        "chunk": chunk,
        "before": found.text[:start],
        "passage": found.text[start:end],
        "after": found.text[end:],
    }
    return render(request, "coach/document.html", context)


class SignIn(LoginView):
    """A guest who signs in takes the conversations along."""

    template_name = "accounts/login.html"

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        guest = self.request.user
        person = form.get_user()
        if guest.is_authenticated and guest.is_guest and guest.pk != person.pk:
            services.take_over_conversations(guest_id=int(guest.pk), owner_id=int(person.pk))
        return super().form_valid(form)


@require_safe
@user_passes_test(lambda user: user.is_staff)
def styleguide(request: HttpRequest) -> HttpResponse:
    """Every component of the pages, for those who work on them."""
    start = {
        "texts": page_texts(),
        "limits": _limits(),
        "reasons": selectors.rating_reasons(get_language() or settings.LANGUAGE_CODE),
    }
    return render(request, "coach/styleguide.html", {"start": start})
