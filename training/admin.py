"""Admin of the training loop.

admin_comparisons   a candidate against the live model; admin_promotions: what is live, and what was when
admin_datasets      build, look through and freeze data sets; admin_exports: files, also by the clock
admin_evaluations   runs of `evaluate`, and each figure over time
admin_finetunes     fine-tunes: start, watch, cancel; tuned models; admin_calendar: jobs of a month
admin_review        the raters' desk, blind choice, funnel and trends
"""

from __future__ import annotations

from . import (  # noqa: F401 - they register their pages
    admin_comparisons,
    admin_datasets,
    admin_evaluations,
    admin_exports,
    admin_finetunes,
    admin_promotions,
    admin_review,
)
