"""What the coach may cite."""

from django.apps import AppConfig


class KnowledgeConfig(AppConfig):
    name = "knowledge"
    verbose_name = "Knowledge"

    def ready(self) -> None:
        """A COACH_EMBEDDER that nobody understands stops the start of every process."""
        from django.conf import settings

        from config.env import ConfigurationError

        from .embedding.registry import check

        wrong = check(settings.COACH_EMBEDDER)
        if wrong:
            raise ConfigurationError(wrong)
