import pytest

from coach.language import detect_language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How do I build a habit that lasts?", "en"),
        ("Hur bygger jag en vana som håller?", "sv"),
        ("Hvordan bygger jeg en vane som varer?", "nb"),
        ("습관을 어떻게 만들까요?", "ko"),
        ("Jag vill bli bättre på att ge feedback", "sv"),
        ("Jeg vil bli bedre til å gi tilbakemeldinger", "nb"),
        ("Vad säger GDPR om AI-tjänster?", "sv"),
        ("Hva sier personvernforordningen om KI?", "nb"),
        ("GROW 모델이 뭐예요?", "ko"),
    ],
)
def test_one_line_questions_are_told_apart(text: str, language: str) -> None:
    assert detect_language(text, "en") == language


@pytest.mark.parametrize("default", ["sv", "nb", "ko", "en"])
def test_no_sign_keeps_the_language_of_the_conversation(default: str) -> None:
    assert detect_language("SMART", default) == default
    assert detect_language("👍", default) == default


def test_a_word_that_two_languages_share_keeps_the_conversation_language() -> None:
    assert detect_language("stress", "nb") == "nb"
    assert detect_language("det er", "nb") == "nb"
