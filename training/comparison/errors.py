"""What comparisons and promotions refuse; edges turn it into `{"code", "message"}` with the status.

ComparisonError           code               status
├── NotFound              not_found          404
├── Forbidden             forbidden          403
├── BadOptions            bad_options        422
├── CloudNotMeant         cloud_not_meant    422   answers of people would be sent to a cloud service
├── NothingToAsk          nothing_to_ask     422
├── SameModel             same_model         422
├── WrongModel            unknown_model      422   no provider, no server or no file of this name
├── StaleModel            stale              409   consent was taken back by somebody in its data
├── ModelGone             gone               409
├── NotLoaded             not_loaded         409   an adapter that the embedded server cannot serve now
│   └── StillLoading      not_loaded         409   it may be there in a moment
├── NotCompared           not_compared       409   promote it with a reason, or compare it first
├── GateFailed            gate               409   a gate said no and there is no reason to do it although
├── AlreadyLive           live               409
├── NotLive               not_live           409
├── AlreadyOver           over               409
└── NotOver               not_over           409   only one that failed or was cancelled is tried again
"""

from __future__ import annotations

from django.utils.translation import gettext as _


class ComparisonError(Exception):
    """One plain sentence in the active language."""

    code = "error"
    status = 400


class NotFound(ComparisonError):
    code, status = "not_found", 404

    def __init__(self) -> None:
        super().__init__(_("This was not found."))


class Forbidden(ComparisonError):
    code, status = "forbidden", 403

    def __init__(self) -> None:
        super().__init__(_("You may not do this."))


class BadOptions(ComparisonError):
    code, status = "bad_options", 422


class CloudNotMeant(ComparisonError):
    code, status = "cloud_not_meant", 422

    def __init__(self, models: str) -> None:
        super().__init__(
            _("%(models)s: held-out examples would be sent to a cloud service. Say that this is meant.")
            % {"models": models}
        )


class NothingToAsk(ComparisonError):
    code, status = "nothing_to_ask", 422

    def __init__(self) -> None:
        super().__init__(_("There is no question to ask: choose a data set with held-out examples, or the suite."))


class SameModel(ComparisonError):
    code, status = "same_model", 422

    def __init__(self, model: str) -> None:
        super().__init__(_("%(model)s is on both sides; compare it with another model.") % {"model": model})


class WrongModel(ComparisonError):
    code, status = "unknown_model", 422


class StaleModel(ComparisonError):
    code, status = "stale", 409

    def __init__(self, model: object) -> None:
        super().__init__(
            _("Somebody in the data of %(model)s took consent back; train it anew without them.") % {"model": model}
        )


class ModelGone(ComparisonError):
    code, status = "gone", 409

    def __init__(self, model: object) -> None:
        super().__init__(_("The files of %(model)s are gone; train it again.") % {"model": model})


class NotLoaded(ComparisonError):
    code, status = "not_loaded", 409


class StillLoading(NotLoaded):
    def __init__(self, name: str) -> None:
        super().__init__(_("%(name)s is still being loaded; try again in a moment.") % {"name": name})


class NotCompared(ComparisonError):
    code, status = "not_compared", 409

    def __init__(self, model: object) -> None:
        super().__init__(_("%(model)s was not compared yet; compare it first, or give a reason.") % {"model": model})


class GateFailed(ComparisonError):
    """`sentences`: why, one for each gate that said no."""

    code, status = "gate", 409

    def __init__(self, sentences: list[str]) -> None:
        self.sentences = sentences
        super().__init__(
            _("A gate said no: %(why)s Give a reason to do it all the same.") % {"why": " ".join(sentences)}
        )


class AlreadyLive(ComparisonError):
    code, status = "live", 409

    def __init__(self, model: object) -> None:
        super().__init__(_("%(model)s is live already, for all of these conversations.") % {"model": model})


class NotLive(ComparisonError):
    code, status = "not_live", 409

    def __init__(self) -> None:
        super().__init__(_("This promotion is over already; look at what is live now."))


class AlreadyOver(ComparisonError):
    code, status = "over", 409

    def __init__(self) -> None:
        super().__init__(_("This comparison is over already."))


class NotOver(ComparisonError):
    code, status = "not_over", 409

    def __init__(self) -> None:
        super().__init__(_("Only a comparison that failed or was cancelled can be tried again."))
