"""What the review desk refuses; coach/errors.py has the root.

Refusal
├── MayNotReview   forbidden    neither a rater nor allowed by another role
└── WrongReview    invalid      a review that says nothing, or a value that does not exist
"""

from __future__ import annotations

from django.utils.translation import gettext as _

from coach.errors import Refusal


class MayNotReview(Refusal):
    code = "forbidden"
    status = 403

    def __init__(self) -> None:
        super().__init__(_("Only raters may do this. An administrator can make you one."))


class WrongReview(Refusal):
    code = "invalid"
    status = 422
