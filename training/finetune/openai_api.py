"""OpenAI's files and fine-tuning endpoints, by its own SDK. The only file of training that imports it.

Every failure becomes one of two: Away (it may work later: network, too many requests, a server that failed) or
JobFailed (it will not: key refused, no quota, request refused). The SDK's own retries are off; the job retries.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils.translation import gettext as _

from llm.providers.faults import message_in
from llm.providers.places import place_of
from llm.types import Place

from .checks import openai_url
from .errors import JobFailed, JobLeft

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types.fine_tuning import FineTuningJob

CONNECT_SECONDS = 5.0
READ_SECONDS = 60.0
BEAT_SECONDS = 5.0
PAGE = 100
MOST_LISTED = 2000
_TEXT_LENGTH = 300


class Away(Exception):
    """It does not answer as it should just now; `wait` is how many seconds it asked for, or None."""

    def __init__(self, sentence: str, wait: float | None = None) -> None:
        super().__init__(sentence)
        self.sentence, self.wait = sentence, wait


class Refused(JobFailed):
    """The request itself was refused: HTTP status 400, 404, 409 or 422."""

    def __init__(self, code: str, sentence: str, status: int) -> None:
        super().__init__(code, sentence)
        self.status = status


class OpenAITraining:
    """A client for one slice of work; use it as a context manager."""

    def __init__(self) -> None:
        from openai import DefaultHttpxClient, OpenAI, Timeout

        url = openai_url()
        patience = Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
        http = DefaultHttpxClient(timeout=patience, trust_env=place_of(url) is Place.CLOUD)
        self._client: OpenAI = OpenAI(
            base_url=url,
            api_key=settings.OPENAI_API_KEY or "none",
            max_retries=0,
            timeout=patience,
            http_client=http,
        )

    def __enter__(self) -> OpenAITraining:
        return self

    def __exit__(self, *_error: object) -> None:
        self._client.close()

    # --- files -----------------------------------------------------------------------------------

    def upload(self, path: Path, name: str, beat: Callable[[], None]) -> str:
        """The id of the file there. `beat` is called every few seconds meanwhile and may raise JobLeft."""
        with _translated(), _Watched(path, beat) as file:
            return self._client.files.create(file=(name, file, "application/jsonl"), purpose="fine-tune").id

    def find_file(self, name: str, size: int) -> str:
        """A file that was uploaded whole under this name before, '' when there is none."""
        with _translated():
            for number, one in enumerate(self._client.files.list(purpose="fine-tune", limit=PAGE)):
                if one.filename == name and one.bytes == size and one.status != "error":
                    return one.id
                if number >= MOST_LISTED:
                    break
        return ""

    def delete_file(self, file_id: str) -> None:
        """No error when it is gone."""
        try:
            with _translated():
                self._client.files.delete(file_id)
        except Refused as error:
            if error.status != 404:
                raise

    # --- jobs ------------------------------------------------------------------------------------

    def create_job(self, **request: Any) -> FineTuningJob:
        with _translated():
            return self._client.fine_tuning.jobs.create(**request)

    def find_job(self, training_file: str) -> FineTuningJob | None:
        """The job that was made for this file before."""
        with _translated():
            for number, one in enumerate(self._client.fine_tuning.jobs.list(limit=PAGE)):
                if one.training_file == training_file:
                    return one
                if number >= MOST_LISTED:
                    break
        return None

    def job(self, job_id: str) -> FineTuningJob:
        with _translated():
            return self._client.fine_tuning.jobs.retrieve(job_id)

    def cancel_job(self, job_id: str) -> None:
        """No error when it is over or gone."""
        try:
            with _translated():
                self._client.fine_tuning.jobs.cancel(job_id)
        except Refused as error:
            if error.status not in (400, 404, 409):
                raise

    def events(self, job_id: str, known: str) -> list[dict[str, Any]]:
        """Those after the event `known`, oldest first: id, at (Unix seconds), level, text, type, data."""
        found: list[dict[str, Any]] = []
        with _translated():
            for one in self._client.fine_tuning.jobs.list_events(job_id, limit=PAGE):
                if one.id == known or len(found) >= MOST_LISTED:
                    break
                data = one.data if isinstance(one.data, dict) else {}
                found.append(
                    {
                        "id": one.id,
                        "at": one.created_at,
                        "level": one.level,
                        "text": one.message,
                        "type": one.type or "message",
                        "data": data,
                    }
                )
        return found[::-1]

    def checkpoints(self, job_id: str) -> list[dict[str, Any]]:
        """The measures of each checkpoint: step, train_loss, valid_loss, full_valid_loss …"""
        try:
            with _translated():
                found = list(self._client.fine_tuning.jobs.checkpoints.list(job_id, limit=PAGE))
        except Refused:  # compatible servers may not have them
            return []
        return [{"step": one.step_number, **one.metrics.model_dump(exclude_none=True)} for one in found]


class _Watched(io.FileIO):
    """A file that gives a sign of life while it is read."""

    def __init__(self, path: Path, beat: Callable[[], None]) -> None:
        super().__init__(path)
        self._beat = beat
        self._seen = time.monotonic()

    def read(self, size: int | None = -1, /) -> Any:
        if time.monotonic() - self._seen >= BEAT_SECONDS:
            self._seen = time.monotonic()
            self._beat()
        return super().read(-1 if size is None else size)


@contextmanager
def _translated() -> Iterator[None]:
    import openai

    try:
        yield
    except openai.APIStatusError as error:
        raise _of_status(error) from error
    except openai.APIConnectionError as error:
        # What `beat` raised within the request comes back in this wrapping.
        if isinstance(error.__cause__, JobLeft):
            raise error.__cause__ from None
        sentence = _("OpenAI cannot be reached at %(url)s; it is tried again.") % {"url": openai_url()}
        raise Away(sentence) from error
    except openai.OpenAIError as error:
        raise JobFailed(
            "bad_answer",
            _("OpenAI answered in a way that is not understood: %(why)s") % {"why": str(error)[:_TEXT_LENGTH]},
        ) from error


def _of_status(error: Any) -> Exception:
    status, detail = int(error.status_code), message_in(error.response.text)
    says = partial(_sentence, detail)
    if status == 401:
        return JobFailed("key_refused", _("OpenAI refused the key; check OPENAI_API_KEY."))
    if status == 403:
        return JobFailed("not_allowed", says(_("The key may not do this at OpenAI: %(detail)s")))
    if status == 429 and error.code in ("insufficient_quota", "billing_hard_limit_reached"):
        return JobFailed("quota", _("The account at OpenAI has no quota left; add credit there and start it again."))
    if status in (408, 425, 429) or status >= 500:
        sentence = (
            _("OpenAI has too many requests just now; it is tried again.")
            if status == 429
            else says(_("OpenAI's server failed (%(detail)s); it is tried again."))
        )
        return Away(sentence, _seconds(error.response.headers.get("retry-after")))
    if status == 404:
        return Refused("not_found", says(_("OpenAI does not have it (any more): %(detail)s")), status)
    return Refused("refused", says(_("OpenAI refused the request: %(detail)s")), status)


def _sentence(detail: str, text: str) -> str:
    return text % {"detail": detail or "?"}


def _seconds(value: str | None) -> float | None:
    try:
        return max(0.0, float(value or ""))
    except ValueError:
        return None
