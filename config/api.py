"""`/api/v1/`: one API object, two ways to sign in, one shape for every error."""

from __future__ import annotations

import json
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.parser import Parser
from ninja.security import HttpBearer, SessionAuth

from accounts.selectors import user_for_token
from coach import errors as coach_errors
from coach.api import router as coach_router
from knowledge import errors as knowledge_errors
from knowledge.api import router as knowledge_router
from knowledge.api_generations import router as generations_router
from llm import local_errors
from llm.api import router as models_router
from llm.api_usage import router as usage_router
from llm.download import DownloadError
from llm.errors import LanguageModelError
from training.api_comparisons import router as comparisons_router
from training.api_consent import router as consent_router
from training.api_datasets import router as datasets_router
from training.api_exports import router as exports_router
from training.api_finetunes import router as finetunes_router
from training.api_jobs import router as jobs_router
from training.api_reviews import router as reviews_router
from training.comparison.errors import ComparisonError


class Bearer(HttpBearer):
    def authenticate(self, request: HttpRequest, token: str) -> Any:
        user = user_for_token(token)
        if user is not None:
            request.user = user
        return user


class JsonOfText(Parser):
    """Half a surrogate pair is valid JSON but no text; a database would refuse it."""

    def parse_body(self, request: HttpRequest) -> Any:
        return _whole(json.loads(request.body))


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_whole(one) for one in value]
    if isinstance(value, dict):
        return {_whole(key): _whole(one) for key, one in value.items()}
    return value


AUTH = [Bearer(), SessionAuth()]

api = NinjaAPI(title="AI Coach", version="1", urls_namespace="api", docs_url=None, auth=AUTH, parser=JsonOfText())
api.add_router("", coach_router)
api.add_router("", consent_router)
api.add_router("", knowledge_router)
api.add_router("", generations_router)
api.add_router("", usage_router)
api.add_router("", models_router)
api.add_router("", reviews_router)
api.add_router("", finetunes_router)
api.add_router("", comparisons_router)
api.add_router("", jobs_router)
api.add_router("", datasets_router)
api.add_router("", exports_router)


def _error(request: HttpRequest, code: str, message: str, status: int) -> HttpResponse:
    return api.create_response(request, {"code": code, "message": message}, status=status)


@api.exception_handler(coach_errors.Refusal)
def on_refusal(request: HttpRequest, error: coach_errors.Refusal) -> HttpResponse:
    return _error(request, error.code, error.message, error.status)


@api.exception_handler(knowledge_errors.KnowledgeError)
def on_knowledge_error(request: HttpRequest, error: knowledge_errors.KnowledgeError) -> HttpResponse:
    return _error(request, error.code, str(error), error.status)


@api.exception_handler(local_errors.Refusal)
@api.exception_handler(DownloadError)
def on_model_refusal(request: HttpRequest, error: local_errors.Refusal | DownloadError) -> HttpResponse:
    return _error(request, error.code, str(error), error.status)


@api.exception_handler(ComparisonError)
def on_comparison_refusal(request: HttpRequest, error: ComparisonError) -> HttpResponse:
    return _error(request, error.code, str(error), error.status)


@api.exception_handler(LanguageModelError)
def on_model_error(request: HttpRequest, error: LanguageModelError) -> HttpResponse:
    return _error(request, error.code, str(error), 422 if error.code == "unknown_model" else 503)


@api.exception_handler(AuthenticationError)
def on_unauthenticated(request: HttpRequest, _error_: AuthenticationError) -> HttpResponse:
    return _error(request, "unauthenticated", _("Sign in or send a valid token."), 401)


@api.exception_handler(ValidationError)
def on_invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    places = ", ".join(".".join(str(part) for part in item["loc"][1:]) or "body" for item in error.errors)
    return _error(request, "invalid", _("These fields are missing or wrong: %(places)s.") % {"places": places}, 422)


@api.exception_handler(Http404)
def on_missing(request: HttpRequest, _error_: Http404) -> HttpResponse:
    return _error(request, "not_found", _("This was not found."), 404)


@api.exception_handler(HttpError)
def on_http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    codes = {400: "bad_request", 401: "unauthenticated", 403: "forbidden", 404: "not_found", 429: "rate_limited"}
    return _error(request, codes.get(error.status_code, "error"), str(error), error.status_code)
