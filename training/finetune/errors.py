"""What fine-tuning refuses, and what ends a job; edges turn a refusal into `{"code", "message"}` with the status.

FineTuneError             code               status
├── NotFound              not_found          404
├── Forbidden             forbidden          403
├── BadOptions            bad_options        422
├── NotFrozen             not_frozen         409   people have not approved the data set yet
├── StaleData             stale              409   consent was taken back by somebody in it
├── HereOnly              here_only          409   somebody in it agreed to training on this machine only
├── TooFewExamples        too_few_examples   422
├── WrongKind             wrong_kind         422   the method needs the other kind of data set
├── BadExample            bad_example        422   an example that no model could be trained on
├── BadBase               bad_base           422
├── BadName               bad_name           422
├── NameTaken             name_taken         409
├── CloudOff              cloud_off          403   COACH_OPENAI_TRAINING is not set, or the coach is offline
├── NoKey                 no_key             409
└── AlreadyOver           over               409

JobFailed                 work that cannot be done: code and a sentence for people
JobLeft                   the worker must let go of the job
├── CancelRequested       somebody asked for the end
└── LeaseLost             another worker has it, or it is over
"""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from coach.errors import Refusal


class FineTuneError(Refusal):
    """One plain sentence in the active language."""


class NotFound(FineTuneError):
    code, status = "not_found", 404

    def __init__(self) -> None:
        super().__init__(_("This was not found."))


class Forbidden(FineTuneError):
    code, status = "forbidden", 403

    def __init__(self) -> None:
        super().__init__(_("You may not do this."))


class BadOptions(FineTuneError):
    code, status = "bad_options", 422


class NotFrozen(FineTuneError):
    code, status = "not_frozen", 409

    def __init__(self, dataset: object) -> None:
        super().__init__(_("The data set %(name)s is not frozen yet; approve its examples first.") % {"name": dataset})


class StaleData(FineTuneError):
    code, status = "stale", 409

    def __init__(self, dataset: object) -> None:
        super().__init__(
            _("Somebody in the data set %(name)s took consent back; build it anew and train on that.")
            % {"name": dataset}
        )


class HereOnly(FineTuneError):
    code, status = "here_only", 409

    def __init__(self, examples: int) -> None:
        super().__init__(
            ngettext(
                "%(n)d example is of somebody who agreed to training on this machine only; build a set of "
                "those who agreed to OpenAI, too.",
                "%(n)d examples are of people who agreed to training on this machine only; build a set of "
                "those who agreed to OpenAI, too.",
                examples,
            )
            % {"n": examples}
        )


class TooFewExamples(FineTuneError):
    code, status = "too_few_examples", 422

    def __init__(self, found: int, least: int) -> None:
        super().__init__(
            _("The data set has %(found)s approved examples for training; at least %(least)s are needed.")
            % {"found": found, "least": least}
        )


class WrongKind(FineTuneError):
    code, status = "wrong_kind", 422


class BadExample(FineTuneError):
    code, status = "bad_example", 422


class BadBase(FineTuneError):
    code, status = "bad_base", 422


class BadName(FineTuneError):
    code, status = "bad_name", 422

    def __init__(self) -> None:
        super().__init__(_("The name may have up to 60 letters, digits, hyphens and underscores."))


class NameTaken(FineTuneError):
    code, status = "name_taken", 409

    def __init__(self, name: str) -> None:
        super().__init__(
            _("There is a tuned model or a fine-tune called %(name)s; take another name.") % {"name": name}
        )


class CloudOff(FineTuneError):
    code, status = "cloud_off", 403


class NoKey(FineTuneError):
    code, status = "no_key", 409

    def __init__(self) -> None:
        super().__init__(_("OpenAI needs a key; set OPENAI_API_KEY."))


class AlreadyOver(FineTuneError):
    code, status = "over", 409

    def __init__(self) -> None:
        super().__init__(_("This fine-tune is over already."))


class JobFailed(Exception):
    """Work that cannot be done; `sentence` is for people: what happened and what to do."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code, self.sentence = code, sentence


class JobLeft(Exception):
    """The worker must let go of the job at once."""


class CancelRequested(JobLeft):
    """Somebody asked for the end: stop, clean up, then `jobs.cancelled`."""


class LeaseLost(JobLeft):
    """Another worker has the job, or it is over: stop and write nothing more."""
