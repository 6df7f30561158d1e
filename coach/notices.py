"""What a coachee is told when an answer did not come about as usual."""

from __future__ import annotations

from django.utils.translation import gettext, ngettext

from knowledge.retrieval import DENSE_PRIVATE


def fallback(reason: str) -> str:
    """`reason` as in llm.types.FellBack."""
    if reason == "busy":
        return gettext("The first language model is busy, so another one took over.")
    if reason == "capability":
        return gettext("The first language model cannot do this, so another one took over.")
    if reason == "context":
        return gettext("The conversation is too long for the first language model, so another one took over.")
    return gettext("The first language model did not answer, so another one took over.")


def search(degraded: str) -> str:
    """`degraded` as in knowledge.types.SearchResult."""
    if degraded == DENSE_PRIVATE:
        return gettext("This conversation stays on this machine, so the knowledge base is searched by words only.")
    return gettext("The search in the knowledge base works only in part just now.")


def still_reading(documents: int) -> str:
    """When nothing was found, but so many documents are not searchable yet."""
    return ngettext(
        "The coach is still reading %(n)d document; ask again in a moment.",
        "The coach is still reading %(n)d documents; ask again in a moment.",
        documents,
    ) % {"n": documents}


def unsupported() -> str:
    return gettext("The sources that were found say nothing of this; the answer is the model's own.")


def answer_kept() -> str:
    return gettext("The same was asked before; this is the answer from then. You can ask for a new one.")


def guided(*, private: bool) -> str:
    if private:
        return gettext(
            "No language model is running on this machine, and a private conversation never leaves it. "
            "You get quoted passages instead of an answer."
        )
    return gettext("No language model is running. You get quoted passages instead of an answer.")


def left_out(turns: int) -> str:
    """When the oldest sources are no longer in the prompt, nor so many of the oldest turns."""
    if not turns:
        return gettext("The conversation is long: the coach no longer sees its oldest sources.")
    return ngettext(
        "The conversation is long: the coach no longer sees its oldest question and answer, nor old sources.",
        "The conversation is long: the coach no longer sees its %(n)d oldest questions and answers, nor old sources.",
        turns,
    ) % {"n": turns}
