"""Refusals at the edge: each has a code that goes over the wire and one plain sentence.

Refusal
├── NotFound        not_found      not yours and not there are the same answer
├── Empty           empty          a question without text
├── TooLong         too_long       more characters than QUESTION_MAX_CHARACTERS
├── NotFinished     not_finished   the turn to regenerate, rate or improve is still being answered
├── NoAnswer        no_answer      it was stopped or failed: there is no whole answer to improve
├── Unchanged       unchanged      the improved answer is the answer
├── NotLast         not_last       another question was asked after the one to change
├── UnknownReason   unknown_reason a reason for a rating that is not offered
├── NoGuests        guest          guests cannot agree to training: they could not take it back
├── TooMany         rate_limited   more turns a minute than TURNS_PER_MINUTE
└── LimitReached    limit          what an admin allows a day or a month is used up (llm/limits.py)
"""

from django.utils.translation import gettext as _


class Refusal(Exception):
    code = "refused"
    status = 400

    @property
    def message(self) -> str:
        return str(self)


class NotFound(Refusal):
    code = "not_found"
    status = 404

    def __init__(self) -> None:
        super().__init__(_("This was not found."))


class Empty(Refusal):
    code = "empty"
    status = 422

    def __init__(self) -> None:
        super().__init__(_("Write something first."))


class TooLong(Refusal):
    code = "too_long"
    status = 422

    def __init__(self, limit: int) -> None:
        super().__init__(_("The message is too long: at most %(limit)d characters.") % {"limit": limit})


class NotFinished(Refusal):
    code = "not_finished"
    status = 409

    def __init__(self) -> None:
        super().__init__(_("The coach is still answering."))


class NoAnswer(Refusal):
    code = "no_answer"
    status = 409

    def __init__(self) -> None:
        super().__init__(_("There is no finished answer here."))


class Unchanged(Refusal):
    code = "unchanged"
    status = 422

    def __init__(self) -> None:
        super().__init__(_("This is what the coach wrote. Change something first."))


class NotLast(Refusal):
    code = "not_last"
    status = 409

    def __init__(self) -> None:
        super().__init__(_("Only the last question can be changed."))


class UnknownReason(Refusal):
    code = "unknown_reason"
    status = 422

    def __init__(self, slug: str) -> None:
        super().__init__(_("“%(slug)s” is not a reason that is offered here.") % {"slug": slug})


class NoGuests(Refusal):
    code = "guest"
    status = 403

    def __init__(self) -> None:
        super().__init__(
            _("Guests cannot agree to this, because they could not take it back later. Create an account first.")
        )


class TooMany(Refusal):
    code = "rate_limited"
    status = 429

    def __init__(self) -> None:
        super().__init__(_("That was many messages in a short time. Wait a minute and go on."))


class LimitReached(Refusal):
    """The message says when it is free again."""

    code = "limit"
    status = 429
