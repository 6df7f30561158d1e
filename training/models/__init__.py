"""What the training loop keeps.

Turn ─► Review (a rater) ─► Example *─1 DataSet 1─* FineTune 1─0..1 TunedModel 1─* Comparison 1─* AnswerPair 1─* Choice
                                                                        └──* Promotion: what was live when
"""

from .comparisons import Comparison, Promotion
from .datasets import DataSet, Example, Export, ExportSchedule
from .evaluation import EvaluationRun
from .finetunes import FineTune, TunedModel
from .funnel import FunnelCount
from .reviews import AnswerPair, Choice, Review

__all__ = [
    "AnswerPair",
    "Choice",
    "Comparison",
    "DataSet",
    "EvaluationRun",
    "Example",
    "Export",
    "ExportSchedule",
    "FineTune",
    "FunnelCount",
    "Promotion",
    "Review",
    "TunedModel",
]
