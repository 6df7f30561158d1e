"""What a data set refuses, in one plain sentence.

Refusal (coach.errors)
├── WrongFilter, NothingPasses   of filters and exports
├── BadSet        bad_dataset    no name, a share that is none, an unknown kind
├── NotOpen       not_open       it is being built, frozen or over: nothing can be changed
├── TooFew        too_few        not enough approved examples to freeze
└── Changed       changed        what is stored of a frozen set is not what was frozen
"""

from __future__ import annotations

from django.utils.translation import gettext as _

from coach.errors import Refusal


class BadSet(Refusal):
    code = "bad_dataset"
    status = 422


class NotOpen(Refusal):
    code = "not_open"
    status = 409

    def __init__(self) -> None:
        super().__init__(_("This data set is not open for changes: only one that waits for approval is."))


class TooFew(Refusal):
    code = "too_few"
    status = 422

    def __init__(self, train: int, held_out: int, least: int) -> None:
        words = {"train": train, "held": held_out, "least": least}
        super().__init__(
            _(
                "There are %(train)d approved examples for training and %(held)d held out; at least %(least)d and 1 are"
                " needed. Approve more, or build a set with a wider filter."
            )
            % words
        )


class Changed(Refusal):
    code = "changed"
    status = 409

    def __init__(self) -> None:
        super().__init__(_("The examples of this data set are not what was frozen; do not train on it."))
