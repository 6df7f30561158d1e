"""Texts of the chat page: what its scripts show, and the coaches as they are presented."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts.models import User

from .models import Coach

# Names and descriptions of the default coaches, listed here so that makemessages finds them. What an
# admin wrote instead is no msgid and is shown as it is.
DEFAULT_COACH_TEXTS = frozenset(
    {
        gettext_noop("Personal coach"),
        gettext_noop("Goals, habits, work and life: think it through with a coach."),
        gettext_noop("University coach"),
        gettext_noop("Bring AI into teaching, assessment and administration."),
    }
)

# Each is answered by an article of the starter knowledge, in every language.
FIRST_QUESTIONS: dict[str, tuple[str, ...]] = {
    Coach.Mode.PERSONAL: (
        gettext_noop("How do I build a habit that lasts?"),
        gettext_noop("I keep putting things off. How do I get started?"),
        gettext_noop("How can I prepare for a difficult conversation?"),
        gettext_noop("How does the GROW model help me reach a goal?"),
    ),
    Coach.Mode.UNIVERSITY: (
        gettext_noop("How can we redesign assessment when students have generative AI?"),
        gettext_noop("What does the EU AI Act mean for a university?"),
        gettext_noop("Can we trust AI detectors?"),
        gettext_noop("How do we help staff build AI competence?"),
    ),
}


def _shown(text: str) -> str:
    return _(text) if text in DEFAULT_COACH_TEXTS else text


def coach_card(coach: Coach) -> dict[str, Any]:
    """A coach as the page shows it: `slug`, `mode`, `name`, `description`, `questions` (up to four)."""
    return {
        "slug": coach.slug,
        "mode": coach.mode,
        "name": _shown(coach.name),
        "description": _shown(coach.description),
        "questions": [_(question) for question in FIRST_QUESTIONS.get(coach.mode, ())],
    }


def coach_cards(coaches: Iterable[Coach]) -> list[dict[str, Any]]:
    return [coach_card(coach) for coach in coaches]


def consent_wording() -> list[str]:
    """What a person reads before agreeing to training, a paragraph each; kept with the answer."""
    here = _("The training runs on this machine. Nothing is sent to OpenAI.")
    there = _(
        "The training runs on this machine. An administrator has also allowed training at OpenAI: your examples are "
        "sent there only if you agree to that, too."
    )
    return [
        _(
            "Answers from your conversations may be used to train the language model of this installation, together "
            "with what was said before them and with your ratings. Private conversations and those you keep out are "
            "never used."
        ),
        _(
            "Before that, names, addresses, numbers and other personal data are replaced, and people who work here "
            "look through the examples. No such replacement is perfect."
        ),
        there if settings.COACH_OPENAI_TRAINING else here,
        _(
            "You can take this back at any time. Your conversations are then left out of everything new, and models "
            "that learned from them are marked; what a model has learned cannot be taken out of it again."
        ),
    ]


def consent_state(user: User) -> dict[str, Any]:
    """`training`, `since`; `cloud`: also at OpenAI, `cloud_offered`: which an administrator allows; `asked`: said yes
    or no before; `may`: no guest; `wording`."""
    return {
        "training": user.training_consent is not None,
        "cloud": user.training_consent_cloud,
        "cloud_offered": bool(settings.COACH_OPENAI_TRAINING),
        "since": user.training_consent,
        "asked": user.consent_changes.exists(),
        "may": not user.is_guest,
        "wording": consent_wording(),
    }


def page_texts() -> dict[str, str]:
    """Texts for static/js, by key; `{name}` in a text is filled in by the script."""
    parts = (_turn_texts, _source_texts, _rating_texts, _edit_texts, _consent_texts, _list_texts, _state_texts)
    return {key: text for part in parts for key, text in part().items()}


def _turn_texts() -> dict[str, str]:
    return {
        "you": _("You"),
        "coach": _("Coach"),
        "searching": _("Searching the knowledge…"),
        "reading_one": _("Reading one passage…"),
        "reading_many": _("Reading {n} passages…"),
        "thinking": _("Thinking…"),
        "still_working": _("The model is still reading. Your own machine takes its time."),
        "stopping": _("Stopping…"),
        "stopped": _("You stopped this answer."),
        "failed": _("The answer did not come through."),
        "try_again": _("Try again"),
        "copy": _("Copy the answer"),
        "copied": _("Copied"),
        "copy_failed": _("The browser did not allow copying. Select the text and copy it yourself."),
        "regenerate": _("Answer again"),
        "previous_answer": _("Previous answer"),
        "next_answer": _("Next answer"),
        "answer_of": _("Answer {n} of {all}"),
        "on_this_machine": _("on this machine"),
        "in_the_cloud": _("in the cloud"),
        "guided_mode": _("guided mode"),
        "answer_finished": _("The coach answered:"),
        "other_countries": _("Other countries"),
        "call": _("Call {name}"),
    }


def _source_texts() -> dict[str, str]:
    return {
        "sources": _("Sources"),
        "also_read": _("Also read ({n})"),
        "unsupported": _("No source says this"),
        "unsupported_legend": _("Underlined with dots: no source says this."),
        "source": _("Source {n}: {title}"),
        "document_gone": _("The document was deleted since. This is the passage as the coach read it."),
        "source_failed": _("The text around the passage could not be loaded."),
    }


def _rating_texts() -> dict[str, str]:
    return {
        "rate": _("Rate this answer"),
        "star_one": _("1 star"),
        "star_many": _("{n} stars"),
        "helpful": _("Did it help you?"),
        "yes": _("Yes"),
        "no": _("No"),
        "comment": _("Comment"),
        "comment_hint": _("What was good, what was missing?"),
        "reasons": _("What was it?"),
        "take_back": _("Take the rating back"),
        "taken_back": _("The rating is gone."),
        "save": _("Save"),
        "saving": _("Saving…"),
        "saved": _("Saved. Thank you."),
        "rating_failed": _("The rating could not be saved. Try again."),
    }


def _edit_texts() -> dict[str, str]:
    return {
        "improve": _("Improve this answer"),
        "improve_hint": _("Write how the coach should have answered. The answer above stays."),
        "your_version": _("Your version"),
        "version_removed": _("Your version is gone."),
        "change_question": _("Change the question"),
        "change": _("Change"),
        "remove": _("Remove"),
        "cancel": _("Cancel"),
        "send": _("Send"),
    }


def _consent_texts() -> dict[str, str]:
    return {
        "consent_ask": _(
            "Thank you. May answers like this one help to train this coach? You decide, and can change it at any time."
        ),
        "consent_read": _("Read what happens"),
        "consent_later": _("No, thank you"),
        "consent_on": _("You agreed. Thank you."),
        "consent_off": _("Your conversations are not used."),
        "consent_failed": _("That could not be saved. Try again."),
        "kept_out_on": _("This conversation is kept out."),
        "kept_out_off": _("This conversation is treated like your others."),
    }


def _list_texts() -> dict[str, str]:
    return {
        "new_conversation": _("New conversation"),
        "delete_named": _("Delete “{title}”"),
        "delete_failed": _("The conversation could not be deleted. Try again."),
        "rename_named": _("Rename “{title}”"),
        "name": _("Name of the conversation"),
        "rename_failed": _("The name could not be saved. Try again."),
        "found_none": _("No conversation has these words."),
        "found_one": _("1 conversation"),
        "found_many": _("{n} conversations"),
        "find_failed": _("The search did not work. Try again."),
        "older_failed": _("Older conversations could not be loaded. Try again."),
    }


def _state_texts() -> dict[str, str]:
    return {
        "morning": _("Good morning"),
        "afternoon": _("Good afternoon"),
        "evening": _("Good evening"),
        "today": _("Today"),
        "yesterday": _("Yesterday"),
        "left": _("{n} characters left"),
        "too_many": _("{n} characters too many"),
        "wait": _("The coach is still answering. Stop it first, or wait a moment."),
        "offline": _("The connection is lost. Trying again…"),
        "online": _("Connected again."),
        "signed_out": _("You are signed out. Load the page again to go on."),
        "reload": _("Load again"),
        "not_started": _("The conversation could not be started. Try again."),
    }
