"""The model layer as a Django app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy


class LlmConfig(AppConfig):
    name = "llm"
    verbose_name = gettext_lazy("Language models")

    def ready(self) -> None:
        """A COACH_MODELS, COACH_JUDGE or COACH_MODERATION that nobody understands stops the start of every process."""
        from django.conf import settings

        from config.env import ConfigurationError

        from . import moderation
        from .errors import UnknownModel
        from .registry import parse_models

        for name in ("COACH_MODELS", "COACH_JUDGE"):
            try:
                parse_models(getattr(settings, name))
            except UnknownModel as error:
                raise ConfigurationError(f"{name}: {error}") from error
        try:
            moderation.check(settings.COACH_MODERATION)
        except UnknownModel as error:
            raise ConfigurationError(f"COACH_MODERATION: {error}") from error
