"""A thousand different questions in four languages, so that nothing is answered from a cache by accident."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

_TOPICS = {
    "en": (
        "setting goals", "building a habit", "active listening", "giving feedback", "receiving feedback",
        "stress and recovery", "sleep", "values", "a difficult conversation", "changing careers",
        "procrastination", "time management", "saying no", "self-compassion", "making a decision",
        "motivation", "impostor feelings", "work-life balance", "an AI policy", "assessment with AI",
        "academic integrity", "data protection and AI", "prompt literacy", "course design with AI", "buying AI",
    ),
    "sv": (
        "att sätta mål", "att bygga en vana", "aktivt lyssnande", "att ge återkoppling", "att ta emot återkoppling",
        "stress och återhämtning", "sömn", "värderingar", "ett svårt samtal", "att byta karriär",
        "att skjuta upp saker", "tidsplanering", "att säga nej", "självmedkänsla", "att fatta beslut",
        "motivation", "känslan av att vara en bluff", "balans i livet", "en AI-policy", "examination med AI",
        "akademisk hederlighet", "dataskydd och AI", "att skriva promptar", "kursdesign med AI", "upphandling av AI",
    ),
    "nb": (
        "å sette mål", "å bygge en vane", "aktiv lytting", "å gi tilbakemelding", "å ta imot tilbakemelding",
        "stress og restitusjon", "søvn", "verdier", "en vanskelig samtale", "å bytte karriere",
        "å utsette ting", "tidsbruk", "å si nei", "selvmedfølelse", "å ta en beslutning",
        "motivasjon", "følelsen av å være en bløff", "balanse i livet", "en KI-policy", "vurdering med KI",
        "akademisk redelighet", "personvern og KI", "å skrive ledetekster", "emnedesign med KI", "anskaffelse av KI",
    ),
    "ko": (
        "목표 설정", "습관 만들기", "적극적 경청", "피드백 주기", "피드백 받기",
        "스트레스와 회복", "수면", "가치관", "어려운 대화", "경력 전환",
        "미루는 버릇", "시간 관리", "거절하기", "자기 자비", "의사 결정",
        "동기", "가면 증후군", "일과 삶의 균형", "AI 정책", "AI 시대의 평가",
        "학문적 진실성", "개인정보 보호와 AI", "프롬프트 활용 능력", "AI를 활용한 수업 설계", "AI 시스템 조달",
    ),
}  # fmt: skip
_PHRASES = {
    "en": (
        "How do I begin with {}?", "What helps most with {}?", "Which mistakes are common with {}?",
        "Can you give me an example of {}?", "Why is {} so hard for me?", "What is the first step when it comes to {}?",
        "How can I talk with my team about {}?", "How do I know that I get better at {}?",
        "What do researchers say about {}?", "I have ten minutes a day. What can I do about {}?",
    ),
    "sv": (
        "Hur börjar jag med {}?", "Vad hjälper mest när det gäller {}?", "Vilka misstag är vanliga med {}?",
        "Kan du ge mig ett exempel på {}?", "Varför är {} så svårt för mig?", "Vad är första steget när det gäller {}?",
        "Hur kan jag prata med min arbetsgrupp om {}?", "Hur vet jag att jag blir bättre på {}?",
        "Vad säger forskningen om {}?", "Jag har tio minuter om dagen. Vad kan jag göra åt {}?",
    ),
    "nb": (
        "Hvordan begynner jeg med {}?", "Hva hjelper mest når det gjelder {}?", "Hvilke feil er vanlige med {}?",
        "Kan du gi meg et eksempel på {}?", "Hvorfor er {} så vanskelig for meg?", "Hva er første steg med {}?",
        "Hvordan kan jeg snakke med gruppen min om {}?", "Hvordan vet jeg at jeg blir bedre på {}?",
        "Hva sier forskningen om {}?", "Jeg har ti minutter om dagen. Hva kan jeg gjøre med {}?",
    ),
    "ko": (
        "{}, 어떻게 시작하면 좋을까요?", "{}에 가장 도움이 되는 것은 무엇인가요?", "{}에서 흔한 실수는 무엇인가요?",
        "{}의 예를 하나 들어 주실 수 있나요?", "저에게 {} 문제는 왜 이렇게 어려울까요?", "{}의 첫걸음은 무엇인가요?",
        "{}에 대해 팀과 어떻게 이야기할 수 있을까요?", "{}, 나아지고 있는지 어떻게 알 수 있나요?",
        "{}에 대해 연구에서는 뭐라고 하나요?", "하루에 10분이 있습니다. {}, 무엇을 할 수 있을까요?",
    ),
}  # fmt: skip


def questions() -> Iterator[str]:
    """All thousand, the languages in turn; none comes twice."""
    for phrase in range(10):
        for topic in range(25):
            for language in ("en", "sv", "nb", "ko"):
                yield _PHRASES[language][(phrase + topic) % 10].format(_TOPICS[language][topic])


def take(count: int, skip: int = 0) -> list[str]:
    """`count` questions; after a thousand they come again with a number, so that they still differ."""
    thousand = list(questions())
    numbered = (
        f"{thousand[n % 1000]} ({n // 1000 + 1})" if n >= 1000 else thousand[n] for n in range(skip, skip + count)
    )
    return list(islice(numbered, count))
