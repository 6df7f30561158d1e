"""The original pages of a PDF document as pictures, drawn when somebody looks at them."""

from __future__ import annotations

import threading
from pathlib import Path

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response, patch_cache_control
from django.utils.translation import gettext as _

from .loaders import sandbox
from .loaders.errors import LoadError, NoPage
from .models import Document

# Another number when the same page gives another picture than before.
_DRAWN_AS = 1
# Two pages at once leave the machine to the chat; a page that scrolls by asks for more.
AT_ONCE, WAIT_SECONDS = 2, 30.0
_turn = threading.BoundedSemaphore(AT_ONCE)


def has_pages(document: Document) -> bool:
    return Path(document.filename).suffix.lower() == ".pdf"


def picture(request: HttpRequest, document: Document, number: int) -> HttpResponse:
    """PNG, or a sentence of plain text: 422 for what PDFium cannot draw, 503 when too many wait. Raises Http404.

    The browser keeps it and asks each time: who may no longer see the document gets no picture from us.
    """
    if not has_pages(document):
        raise Http404
    etag = f'"{document.sha256}-{number}-{_DRAWN_AS}"'
    answer = get_conditional_response(request, etag=etag)
    if answer is None:
        answer = _drawn(document, number)
    if answer.status_code < 400:
        answer.headers["ETag"] = etag
        patch_cache_control(answer, private=True, no_cache=True)
    return answer


def _drawn(document: Document, number: int) -> HttpResponse:
    if not _turn.acquire(timeout=WAIT_SECONDS):
        return _not_drawn(503)
    try:
        path = Path(document.file.path)
        if not path.exists():
            raise Http404
        return HttpResponse(sandbox.draw(path, number), content_type="image/png")
    except NoPage:
        raise Http404 from None
    except LoadError:
        return _not_drawn(422)
    finally:
        _turn.release()


def _not_drawn(status: int) -> HttpResponse:
    sentence = _("This page cannot be shown as a picture.")
    answer = HttpResponse(sentence, content_type="text/plain; charset=utf-8", status=status)
    patch_cache_control(answer, no_store=True)
    return answer
