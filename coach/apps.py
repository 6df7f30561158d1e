from django.apps import AppConfig


class CoachConfig(AppConfig):
    name = "coach"
    verbose_name = "Coaching"

    def ready(self) -> None:
        """The map of a base shows what its coaches could not answer."""
        from knowledge.open_questions import register

        from .coverage import UnansweredQuestions

        register(UnansweredQuestions())
