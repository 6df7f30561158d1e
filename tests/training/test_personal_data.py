"""Planted personal data in four languages, and what must stay."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from training.datasets.personal import Replacer, names, structured

ROOT = Path(__file__).resolve().parents[2]
EACH = 60
Rng = random.Random


def digits(rng: Rng, n: int, first: str = "0123456789") -> str:
    return rng.choice(first) + "".join(rng.choices("0123456789", k=n - 1))


def date6(rng: Rng, *, day_first: bool = False) -> str:
    year, month, day = f"{rng.randrange(100):02}", f"{rng.randint(1, 12):02}", f"{rng.randint(1, 28):02}"
    return f"{day}{month}{year}" if day_first else f"{year}{month}{day}"


def mail(rng: Rng) -> str:
    name = rng.choice(("anna.berg", "kim_minsu", "ola-nordmann", "j.smith+work", "åsa", "per1987", "MinJi.Park"))
    host = rng.choice(("example.com", "mail.example.se", "uni-x.no", "example.co.kr", "företag.se", "EXAMPLE.ORG"))
    form = rng.choice(
        ("{0}@{1}", "{0}@{1}", "{0} (at) {1}", "{0}[at]{1}", "{0} @ {1}", "{0} snabel-a {1}", "<{0}@{1}>")
    )
    return form.format(name, host)


def phone_se(rng: Rng) -> str:
    mobile = "7" + rng.choice("02369")
    return rng.choice(
        (
            f"0{mobile}-{digits(rng, 3)} {digits(rng, 2)} {digits(rng, 2)}",
            f"0{mobile}{digits(rng, 7)}",
            f"0{mobile} {digits(rng, 3)} {digits(rng, 4)}",
            f"+46 {mobile} {digits(rng, 3)} {digits(rng, 2)} {digits(rng, 2)}",
            f"+46(0){mobile}-{digits(rng, 7)}",
            f"0046{mobile}{digits(rng, 7)}",
            f"08-{digits(rng, 3, '456')} {digits(rng, 3)} {digits(rng, 2)}",
            f"031/{digits(rng, 2, '1237')} {digits(rng, 2)} {digits(rng, 2)}",
        )
    )


def phone_no(rng: Rng) -> str:
    a, b, c, d = rng.choice("49") + digits(rng, 1), digits(rng, 2), digits(rng, 2), digits(rng, 2)
    return rng.choice(
        (
            f"{a}{b[0]} {c} {d}{digits(rng, 1)}",
            f"{a} {b} {c} {d}",
            f"{a}{b}{c}{d}",
            f"+47 {a} {b} {c} {d}",
            f"+47{a}{b}{c}{d}",
            f"0047 {a}{b}{c}{d}",
            f"(+47) {a}{b}{c}{d}",
        )
    )


def phone_kr(rng: Rng) -> str:
    a, b = digits(rng, 4, "23456789"), digits(rng, 4)
    return rng.choice(
        (
            f"010-{a}-{b}",
            f"010{a}{b}",
            f"010 {a} {b}",
            f"010.{a}.{b}",
            f"+82 10-{a}-{b}",
            f"+82-10-{a}-{b}",
            f"02-{digits(rng, 3, '23456')}-{b}",
            f"031-{digits(rng, 3, '23456')}-{b}",
            f"(02) {a}-{b}",
            f"０１０－{a}－{b}",
        )
    )


def phone_en(rng: Rng) -> str:
    area, middle = rng.choice(("415", "212", "617", "503")), digits(rng, 3, "23456789")
    return rng.choice(
        (
            f"({area}) {middle}-{digits(rng, 4)}",
            f"{area}-{middle}-{digits(rng, 4)}",
            f"{area}.{middle}.{digits(rng, 4)}",
            f"+1 {area} {middle} {digits(rng, 4)}",
            f"07{digits(rng, 3, '4578')} {digits(rng, 6)}",
            f"+44 7{digits(rng, 3, '4578')} {digits(rng, 6)}",
            f"020 7{digits(rng, 3)} {digits(rng, 4)}",
            f"0161 496 0{digits(rng, 3)}",
        )
    )


def id_se(rng: Rng) -> str:
    date, last = date6(rng), digits(rng, 4)
    return rng.choice(
        (f"{date}-{last}", f"19{date}-{last}", f"{date}{last}", f"20{date}{last}", f"{date}+{last}", f"19{date} {last}")
    )


def id_no(rng: Rng) -> str:
    date, last = date6(rng, day_first=True), digits(rng, 5)
    date = str(int(date[0]) + rng.choice((0, 0, 4))) + date[1:]
    return rng.choice((f"{date}{last}", f"{date} {last}", f"{date}-{last}", f"{date} {last[:3]} {last[3:]}"))


def id_kr(rng: Rng) -> str:
    date, last = date6(rng), digits(rng, 7, "1234")
    return rng.choice((f"{date}-{last}", f"{date}{last}", f"{date} - {last}", f"{date}-{last[0]}******"))


def id_en(rng: Rng) -> str:
    return rng.choice(
        (
            f"{digits(rng, 3)}-{digits(rng, 2)}-{digits(rng, 4)}",
            f"AB {digits(rng, 2)} {digits(rng, 2)} {digits(rng, 2)} C",
            f"JK{digits(rng, 6)}B",
        )
    )


def account(rng: Rng) -> str:
    body = digits(rng, 20)
    return rng.choice(
        (
            f"SE{digits(rng, 2)} {body[:4]} {body[4:8]} {body[8:12]} {body[12:16]} {body[16:20]}",
            f"SE{digits(rng, 2)}{body}",
            f"NO{digits(rng, 2)} {body[:4]} {body[4:8]} {body[8:11]}",
            f"NO{digits(rng, 2)}{body[:11]}",
            f"GB{digits(rng, 2)} NWBK {body[:4]} {body[4:8]} {body[8:12]} {body[12:14]}",
            f"{body[:4]} {digits(rng, 4)} {body[4:8]} {body[8:12]}",
            f"4{digits(rng, 15)}",
            f"{digits(rng, 4, '45')}-{body[:4]}-{body[4:8]}-{body[8:12]}",
            f"37{digits(rng, 2)} {body[:6]} {body[6:11]}",
        )
    )


def link(rng: Rng) -> str:
    name = rng.choice(("anna-berg-81", "minsu.kim", "olanordmann", "jsmith"))
    form = rng.choice(
        (
            "https://www.linkedin.com/in/{0}",
            "linkedin.com/in/{0}",
            "https://github.com/{0}",
            "https://instagram.com/{0}/",
            "www.facebook.com/{0}",
            "https://blog.naver.com/{0}",
            "https://example.com/users/{0}?tab=all",
            "https://example.se/~{0}/",
            "https://{0}:secret@example.com/",
            "https://example.com/p?email={0}%40example.com",
            "https://x.com/{0}",
        )
    )
    return form.format(name)


def internet(rng: Rng) -> str:
    return rng.choice(
        (
            f"192.168.{rng.randrange(256)}.{rng.randrange(256)}",
            f"{rng.randint(1, 223)}.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randint(1, 254)}",
            f"2001:db8::{rng.randrange(65536):x}:{rng.randrange(65536):x}",
            f"fe80::{rng.randrange(65536):x}:{rng.randrange(65536):x}:{rng.randrange(65536):x}:1",
        )
    )


def address_se(rng: Rng) -> str:
    street = rng.choice(("Storgatan", "Sveavägen", "Kungsgatan", "Stora Nygatan", "Sankt Eriksgatan", "Björkstigen"))
    number = rng.choice(("5", "12 B", "144", "7A", "3-5", "21, lgh 1203"))
    city = rng.choice(("", ", 123 45 Stockholm", ", 41122 Göteborg", ", SE-753 10 Uppsala"))
    return f"{street} {number}{city}"


def address_no(rng: Rng) -> str:
    street = rng.choice(
        ("Storgata", "Karl Johans gate", "Nils Hansens vei", "Bogstadveien", "Kirkegata", "Lillebakken")
    )
    city = rng.choice(("", ", 0150 Oslo", ", 5003 Bergen", ", N-7010 Trondheim"))
    return f"{street} {rng.choice(('5', '12 B', '114', '7a'))}{city}"


def address_kr(rng: Rng) -> str:
    return rng.choice(
        (
            f"서울특별시 강남구 테헤란로 {rng.randint(1, 500)}",
            f"서울시 마포구 월드컵북로 {rng.randint(1, 90)}길 {rng.randint(1, 50)}",
            f"부산광역시 해운대구 우동 {rng.randint(1, 900)}-{rng.randint(1, 50)}",
            f"경기도 성남시 분당구 판교역로 {rng.randint(1, 300)}, 3층",
            f"세종대로 {rng.randint(1, 200)}",
            f"대전 유성구 대학로 {rng.randint(1, 300)} 101동 {rng.randint(1, 20)}02호",
        )
    )


def address_en(rng: Rng) -> str:
    street = rng.choice(("Baker Street", "Elm St", "Queen's Road", "Old Mill Lane", "North Park Avenue", "Oak Drive"))
    city = rng.choice(("", ", London NW1 6XE", ", Springfield, IL 62704", ", Apt 4B", ", Bristol BS8 1QU"))
    return f"{rng.choice(('5', '221B', '742', '1600'))} {street}{city}"


COMMON: tuple[Callable[[Rng], str], ...] = (mail, account, link, internet)
PLANTED: dict[str, tuple[Callable[[Rng], str], ...]] = {
    "sv": (*COMMON, phone_se, id_se, address_se),
    "nb": (*COMMON, phone_no, id_no, address_no),
    "ko": (*COMMON, phone_kr, id_kr, address_kr),
    "en": (*COMMON, phone_en, id_en, address_en),
}
AROUND: dict[str, tuple[str, ...]] = {
    "sv": ("Du når mig på {0}, går det bra?", "Min uppgift är {0}.", "Skriv {0} i mejlet\noch vänta.", "Det är ({0})"),
    "nb": ("Du når meg på {0}, går det bra?", "Her er det: {0}.", "Skriv {0} i meldingen\nog vent.", "Det er ({0})"),
    "ko": ("제 정보는 {0} 입니다.", "여기로 연락 주세요: {0}", "{0}, 이렇게 적어 두었어요.", "이것은 ({0}) 맞나요?"),
    "en": ("You can use {0}, is that fine?", "Here it is: {0}.", "Write {0} in the mail\nand wait.", "It is ({0})"),
}


@pytest.mark.parametrize("language", list(PLANTED))
def test_planted_identifiers_are_replaced(language):
    """At least 99 of 100 wholly: no part of what was planted is left, and what stood around it is."""
    rng = random.Random(f"planted {language}")
    missed, total = [], 0
    for make in PLANTED[language]:
        for _ in range(EACH):
            secret, around = make(rng), rng.choice(AROUND[language])
            text = around.format(secret)
            found = Replacer().replace(text, Counter())
            total += 1
            left = [part for part in re.findall(r"\w{2,}", secret) if part in found and part not in around]
            if left or secret in found or len(found) < len(around) / 2:
                missed.append((make.__name__, secret, found))
    assert len(missed) <= total * 0.01, missed


def test_few_false_alarms_in_the_starter_knowledge():
    """450,000 characters in four languages without personal data; two hits are a helpline's number."""
    found = []
    for path in sorted((ROOT / "starter_knowledge").rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        found += [(path.name, text[span.start : span.end]) for span in structured.find(text)]
    assert len(found) <= 4, found


@pytest.mark.parametrize(
    "text",
    [
        "Between 2019–2023 sales were 1 000 000 kr, or 12 345 678 in all, 3.14 times 10 000.",
        "On 2026-01-31 at 12.30–13.15, see p. 1360–1380 and (EU) 2016/679.",
        "Call 116 123 or 22 40 00 40 when it is too much; 1577-0199 in Korea.",
        "앞으로 3가지를 2주 동안 하루 10분씩 해 보세요. 지금 바로 119로 전화하세요.",
        "In 2020 Norway had 5 steps; step 3 was the hardest. På väg 3 gick det bra.",
        "https://example.com/articles/2026/how-to-sleep and www.example.org",
        "Version 2 of the plan: 1-2-3, then 5 x 5 minutes at 10:30.",
    ],
)
def test_plain_numbers_stay(text):
    assert Replacer().replace(text, Counter()) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("My name is Zebulon Quix and I am tired.", "My name is [NAME_1] and I am tired."),
        ("I told Anna's manager about it.", "I told [NAME_1]'s manager about it."),
        ("my boss Ruxandra never listens", "my boss [NAME_1] never listens"),
        ("Dr. Okonkwo said no.", "Dr. [NAME_1] said no."),
        ("Jag heter Ylvali Strömqvist.", "Jag heter [NAME_1]."),
        ("min chef Torkel Ekblad är arg på mig", "min chef [NAME_1] är arg på mig"),
        ("Karins bror ringde.", "[NAME_1]s bror ringde."),
        ("Jeg heter Snefrid Tufte, sjefen min Geirmund maser.", "Jeg heter [NAME_1], sjefen min [NAME_2] maser."),
        ("제 이름은 김민수입니다.", "제 이름은 [NAME_1]입니다."),
        ("저는 박서연이라고 합니다. 서연이가 말했어요.", "저는 [NAME_1]이라고 합니다. [NAME_1]이가 말했어요."),
        ("이정훈 팀장님이 화를 냈어요.", "[NAME_1] 팀장님이 화를 냈어요."),
        ("최지우 씨와 다퉜어요.", "[NAME_1] 씨와 다퉜어요."),
        ("Hi Bjorn,\ncan you help me?", "Hi [NAME_1],\ncan you help me?"),
    ],
)  # fmt: skip
def test_names(text, expected):
    replacer = Replacer()
    replacer.learn([text])
    assert replacer.replace(text, Counter()) == expected


@pytest.mark.parametrize(
    "text",
    [
        "I want to grow and to hope for a better May. Will it help? Mark my words.",
        "My boss The Great never listens.",
        "What would Monday look like? Thanks!",
        "Jag vill må bättre. Björnar sover på vintern. Vi har en dag kvar.",
        "Livet er kort, og dagen er lang. Hei, hvordan går det?",
        "저는 학생입니다. 고객님께 말씀드렸어요. 선생님은 친절해요. 글씨가 작아요.",
    ],
)
def test_words_that_are_no_names_stay(text):
    assert names.found_in(text) == []


def test_the_same_has_the_same_name():
    replacer, counts = Replacer(), Counter()
    texts = ["Mail anna@example.com or 070-123 45 67.", "ANNA@example.com, 070 1234567 or eva@example.com"]
    found = [replacer.replace(text, counts) for text in texts]
    assert found == ["Mail [MAIL_1] or [PHONE_1].", "[MAIL_1], [PHONE_1] or [MAIL_2]"]
    assert counts == {"mail": 3, "phone": 2}


def test_a_link_that_ends_with_a_stop():
    assert Replacer().replace("See https://github.com/anna.", Counter()) == "See [URL_1]."


def test_nothing_hostile_takes_long():
    """Rows of digits, blanks and capitals: the rules read them in linear time."""
    import time

    for text in (
        "1 " * 20_000,
        "A" * 20_000,
        "Aa " * 10_000,
        "@" * 20_000,
        "가로 1 " * 5_000,
        "a." * 10_000,
        ":" * 20_000,
    ):
        began = time.process_time()
        replacer = Replacer()
        replacer.learn([text])
        replacer.replace(text, Counter())
        assert time.process_time() - began < 5, text[:10]
