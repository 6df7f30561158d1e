"""What the coach may cite."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy


class KnowledgeConfig(AppConfig):
    name = "knowledge"
    verbose_name = gettext_lazy("Knowledge")

    def ready(self) -> None:
        """A COACH_EMBEDDER or COACH_RERANKER that nobody understands stops the start of every process."""
        from django.conf import settings

        from config.env import ConfigurationError

        from . import rerank
        from .embedding.registry import check

        wrong = check(settings.COACH_EMBEDDER) or (settings.COACH_RERANKER and rerank.check(settings.COACH_RERANKER))
        if wrong:
            raise ConfigurationError(wrong)
