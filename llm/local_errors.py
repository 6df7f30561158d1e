"""What the management of local models refuses; edges turn it into `{"code", "message"}` with the status.

Refusal              code             status
├── Forbidden        forbidden        403
├── NotFound         not_found        404
├── NotInstalled     not_installed    404
├── InUse            in_use           409
├── NotPulling       not_pulling      409   a download that is over cannot be cancelled
├── BadFile          bad_file         422
└── TestFailed       test_failed      503
"""

from __future__ import annotations

from django.utils.translation import gettext as _


class Refusal(Exception):
    """One plain sentence in the active language."""

    code = "error"
    status = 400


class Forbidden(Refusal):
    code, status = "forbidden", 403

    def __init__(self) -> None:
        super().__init__(_("Only staff may do this."))


class NotFound(Refusal):
    code, status = "not_found", 404

    def __init__(self) -> None:
        super().__init__(_("This was not found."))


class NotInstalled(Refusal):
    code, status = "not_installed", 404

    def __init__(self, model: object) -> None:
        super().__init__(_("%(model)s is not installed on this machine.") % {"model": model})


class InUse(Refusal):
    code, status = "in_use", 409

    def __init__(self, model: object) -> None:
        super().__init__(
            _("%(model)s is in use; take it out of the order of language models first.") % {"model": model}
        )


class NotPulling(Refusal):
    code, status = "not_pulling", 409

    def __init__(self) -> None:
        super().__init__(_("This download is over already."))


class BadFile(Refusal):
    code, status = "bad_file", 422


class TestFailed(Refusal):
    code, status = "test_failed", 503
    __test__ = False  # no test class, whatever pytest thinks
