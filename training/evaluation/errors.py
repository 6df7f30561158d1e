"""What can be wrong with evaluation data.

EvaluationError
└── BadDataset   a file is missing or does not read as its layout says
"""

from __future__ import annotations


class EvaluationError(Exception):
    """Its text is one plain sentence for the person at the command line."""


class BadDataset(EvaluationError):
    pass
