from django.apps import AppConfig


class CoachConfig(AppConfig):
    name = "coach"
    verbose_name = "Coaching"

    def ready(self) -> None:
        # A model that a coach names must not be removed.
        from llm import local_models

        from . import selectors

        local_models.ask_too(selectors.orders_of_models)
