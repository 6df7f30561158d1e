from django.apps import AppConfig
from django.utils.translation import gettext_lazy


class CoachConfig(AppConfig):
    name = "coach"
    verbose_name = gettext_lazy("Coaching")

    def ready(self) -> None:
        # Lower floors ask what they cannot know: which models coaches name (they must stay), and what coaches could
        # not answer (shown on the map of a base).
        from knowledge.open_questions import register
        from llm import local_models

        from . import selectors
        from .coverage import UnansweredQuestions

        local_models.ask_too(selectors.orders_of_models)
        register(UnansweredQuestions())
