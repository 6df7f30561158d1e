"""What guided mode says, in each language; written by hand, not translated word by word."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GuidedTexts:
    """`label` says that no model is running; `quote` has {text}, {title} and {n}; `questions` are open questions."""

    label: str
    found: str
    nothing_found: str
    quote: str
    questions: tuple[str, ...]


_TEXTS = {
    "en": GuidedTexts(
        label="No language model is running right now, so this is not a written answer.",
        found="Here is what the knowledge base says, word for word:",
        nothing_found="The knowledge base holds nothing on this either, and I would rather say so than guess.",
        quote="“{text}”\n— {title} [{n}]",
        questions=(
            "What in this matters most to you right now?",
            "What would be a first small step that you could take this week?",
            "What have you already tried, and what did it teach you?",
            "How would you notice that things are going in the right direction?",
            "What would you say to a good friend in the same situation?",
            "What makes this important to you?",
        ),
    ),
    "sv": GuidedTexts(
        label="Just nu körs ingen språkmodell, så det här är inget formulerat svar.",
        found="Så här står det ordagrant i kunskapsbasen:",
        nothing_found="Kunskapsbasen innehåller inte heller något om detta, och det säger jag hellre än att gissa.",
        quote="”{text}”\n— {title} [{n}]",
        questions=(
            "Vad i det här känns viktigast för dig just nu?",
            "Vilket första litet steg skulle du kunna ta den här veckan?",
            "Vad har du redan prövat, och vad lärde du dig av det?",
            "Hur skulle du märka att det går åt rätt håll?",
            "Vad skulle du säga till en god vän i samma situation?",
            "Vad är det som gör det här viktigt för dig?",
        ),
    ),
    "nb": GuidedTexts(
        label="Akkurat nå kjører det ingen språkmodell, så dette er ikke et formulert svar.",
        found="Dette står ordrett i kunnskapsbasen:",
        nothing_found="Kunnskapsbasen har heller ikke noe om dette, og det sier jeg heller enn å gjette.",
        quote="«{text}»\n— {title} [{n}]",
        questions=(
            "Hva i dette er viktigst for deg akkurat nå?",
            "Hvilket lite første skritt kunne du ta denne uken?",
            "Hva har du allerede prøvd, og hva lærte du av det?",
            "Hvordan ville du merke at det går i riktig retning?",
            "Hva ville du sagt til en god venn i samme situasjon?",
            "Hva er det som gjør dette viktig for deg?",
        ),
    ),
    "ko": GuidedTexts(
        label="지금은 언어 모델이 실행되고 있지 않아서, 이 글은 모델이 작성한 답변이 아닙니다.",
        found="지식 베이스에 있는 내용을 그대로 옮깁니다.",
        nothing_found="지식 베이스에도 이 주제에 관한 내용이 없습니다. 짐작하기보다 없다고 말씀드리겠습니다.",
        quote="“{text}”\n— {title} [{n}]",
        questions=(
            "이 가운데 지금 가장 중요하게 느껴지는 것은 무엇인가요?",
            "이번 주에 해 볼 수 있는 작은 첫걸음은 무엇일까요?",
            "지금까지 어떤 것을 시도해 보셨고, 거기서 무엇을 배우셨나요?",
            "일이 잘 풀리고 있다는 것을 무엇을 보고 알 수 있을까요?",
            "같은 상황에 있는 친한 친구에게는 어떤 말을 해 주고 싶으신가요?",
            "이 일이 중요하게 느껴지는 이유는 무엇인가요?",
        ),
    ),
}
_ALIASES = {"no": "nb", "nn": "nb"}


def texts_for(language: str) -> GuidedTexts:
    """The texts of a language code such as `sv` or `sv-FI`; English for any other."""
    code = language.lower().replace("_", "-").partition("-")[0]
    return _TEXTS.get(_ALIASES.get(code, code), _TEXTS["en"])
