"""What an export refuses, in one plain sentence.

Refusal (coach.errors)
├── WrongFilter       wrong_filter   training/filters.py
├── Forbidden         forbidden      not staff, or without the permission; of data sets, too
├── NothingPasses     empty          no turn passes; the message says why not
├── NoFile            no_file        the file is not there (yet)
└── CannotWrite       cannot_write   no such folder, no permission, disk full

Cancelled is no error: somebody asked for the end.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from coach.errors import Refusal

from ..filters import REASONS

MOST_REASONS = 4
# Why what passed the filter is still not in the file; codes of the kinds.
_OWN = {
    "too_long": gettext_lazy("more tokens than a model can be trained with"),
    "malformed": gettext_lazy("malformed"),
    "sibling": gettext_lazy("another answer to the same question is better"),
    "no_pair": gettext_lazy("no second answer to compare with"),
    "double": gettext_lazy("nearly the same as another one"),
    "unsafe_past": gettext_lazy("a turn with a safety flag comes before it"),
    "damaged": gettext_lazy("its stored prompt is damaged"),
}


class Cancelled(Exception):
    """Somebody asked for the end, or another worker has the export now."""


class Forbidden(Refusal):
    code = "forbidden"
    status = 403

    def __init__(self) -> None:
        super().__init__(_("You are not allowed to do this; ask an administrator."))


class NothingPasses(Refusal):
    code = "empty"
    status = 422

    def __init__(self, left_out: Mapping[str, int]) -> None:
        most = sorted(left_out.items(), key=lambda item: -item[1])[:MOST_REASONS]
        words = "; ".join(f"{reason_words(code)}: {n}" for code, n in most)
        super().__init__(_("Nothing passes this filter (%(why)s).") % {"why": words or _("there are no turns")})


class NoFile(Refusal):
    code = "no_file"
    status = 409

    def __init__(self) -> None:
        super().__init__(_("This export has no file; wait until it is done, or make it again."))


class CannotWrite(Refusal):
    code = "cannot_write"
    status = 507

    def __init__(self, name: str, error: OSError) -> None:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = _("the disk is full") if full else str(error.strerror or error)
        super().__init__(_("%(name)s cannot be written: %(why)s.") % {"name": name, "why": why})


def reason_words(code: str) -> str:
    return str(REASONS.get(code) or _OWN.get(code) or code)
