import pytest

from llm.cloud import cloud_models


@pytest.mark.parametrize(
    ("models", "base_url", "expected"),
    [
        ("openai:gpt-4o-mini,llamacpp", "", ["openai:gpt-4o-mini"]),
        ("openai:local", "http://127.0.0.1:8000/v1", []),
        ("openai:far", "https://models.example.org/v1", ["openai:far"]),
        ("llamacpp,guided", "", []),
        ("", "", []),
    ],
)
def test_what_leaves_the_network_is_named(settings, models: str, base_url: str, expected: list[str]) -> None:
    settings.COACH_MODELS, settings.OPENAI_BASE_URL = models, base_url
    assert [str(model) for model in cloud_models()] == expected


def test_a_coach_with_its_own_list_is_judged_by_it(settings) -> None:
    settings.COACH_MODELS, settings.OPENAI_BASE_URL = "openai:gpt-4o-mini", ""
    assert cloud_models("llamacpp") == []
