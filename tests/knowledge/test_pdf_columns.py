"""Tables of PDF pages without lines: few are taken for one, and nothing that is none."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from knowledge.loaders import pdf_columns, pdf_tables
from knowledge.loaders.pdf_columns import as_table

from .pdf_pages import Page, pdf
from .test_loaders import load
from .test_pdf_tables import MARKDOWN, PROSE, ROWS, WIDTHS, told

_DIGIT = 5.56  # points, Helvetica of size 10
SUBSTANCES = [["Habit", "2024", "2025"], ["Sleep", "9.6%", "14.0%"], ["Walks", "102.7%", "1.6%"], ["Sweets", "4", "-"]]
ROLES = [
    ["Phase", "Who speaks", "What for"],
    ["Goal", "The coachee", "A clear wish"],
    ["Reality", "Both", "What is so far"],
    ["Options", "The coachee", "Ways to go"],
    ["Will", "The coach", "A first step"],
]


def right(page: Page, y: float, rows: Sequence[Sequence[str]], pitch: float = 14) -> Page:
    """The first column begins at its left side, the others end at their right."""
    for at, (first, *others) in enumerate(rows):
        page.words(60, y + pitch * at, first)
        for column, text in enumerate(others):
            if text:
                page.words(260 + 80 * column - _DIGIT * len(text), y + pitch * at, text)
    return page


def left(page: Page, rows: Sequence[Sequence[str]], *, bold: bool = True, pitch: float = 14) -> Page:
    for at, row in enumerate(rows):
        for column, text in enumerate(row):
            page.words(60 + 130 * column, 100 + pitch * at, text, bold=bold and not at)
    return page


# --- what is a table -----------------------------------------------------------------------------


def test_numbers_at_their_right_side(tmp_path: Path) -> None:
    page = right(Page().words(60, 60, PROSE), 120, SUBSTANCES).words(60, 200, "They were counted.")
    assert told(tmp_path, page) == [
        (1, PROSE),
        (
            1,
            "| Habit | 2024 | 2025 |\n|---|---|---|\n"
            "| Sleep | 9.6% | 14.0% |\n| Walks | 102.7% | 1.6% |\n| Sweets | 4 | - |",
        ),
        (1, "They were counted."),
    ]


def test_columns_of_words_below_a_header_in_bold(tmp_path: Path) -> None:
    found = told(tmp_path, left(Page().words(60, 70, "The four phases"), ROLES).words(60, 190, "Nobody hurries."))
    assert [text for _, text in found] == [
        "The four phases",
        "| Phase | Who speaks | What for |\n|---|---|---|\n| Goal | The coachee | A clear wish |\n"
        "| Reality | Both | What is so far |\n| Options | The coachee | Ways to go |\n"
        "| Will | The coach | A first step |",
        "Nobody hurries.",
    ]


def test_words_and_numbers_with_much_air(tmp_path: Path) -> None:
    assert told(tmp_path, Page().cells(60, 100, WIDTHS, ROWS)) == [(1, MARKDOWN)]


def test_a_header_in_two_lines(tmp_path: Path) -> None:
    rows = [["Country", "Mean", "Longest"], ["", "days", "days"], ["Norway", "12", "90"], ["Korea", "7", "31"]]
    assert told(tmp_path, right(Page(), 100, rows))[0][1].startswith(
        "| Country | Mean days | Longest days |\n|---|---|---|\n| Norway"
    )


@pytest.mark.parametrize("turned", [90, 180, 270])
def test_a_page_that_is_turned(tmp_path: Path, turned: int) -> None:
    page, plain = Page(turned), Page().cells(0, 0, WIDTHS, ROWS)
    matrix = {90: "0 1 -1 0 1100 60", 180: "-1 0 0 -1 500 1000", 270: "0 -1 1 0 -500 700"}[turned]
    page._drawn = [f"q {matrix} cm".encode(), plain.stream, b"Q"]
    assert told(tmp_path, page) == [(1, MARKDOWN)]


def test_beside_a_ruled_table_and_never_within_one(tmp_path: Path) -> None:
    page = right(Page().table(60, 100, WIDTHS, ROWS), 300, SUBSTANCES)
    found = [text for _, text in told(tmp_path, page)]
    assert found[0] == MARKDOWN
    assert found[1].startswith("| Habit | 2024 |")
    assert len(found) == 2


def test_korean_names_of_columns(tmp_path: Path) -> None:
    page = Page().cells(60, 100, (120, 80), [["습관", "일수"], ["산책", "21"], ["독서", "300"], ["명상", "7"]])
    assert told(tmp_path, page)[0][1].startswith("| 습관 | 일수 |\n|---|---|\n| 산책 | 21 |")


# --- what is none --------------------------------------------------------------------------------

_SENTENCE = "A habit is built slowly and with small steps day by day until nobody thinks of it any more because it is"


def prose(columns: int, *, by_line: bool) -> Page:
    """An article in columns; some programs write it line by line across them."""
    drawn = random.Random(columns)
    width = {2: 34, 3: 21}[columns]
    lines = [[_SENTENCE[at : at + width] for at in (drawn.randrange(60) for _ in range(30))] for _ in range(columns)]
    places = [(column, row) for column in range(columns) for row in range(30)]
    page = Page()
    for column, row in sorted(places, key=lambda place: place[::-1]) if by_line else places:
        page.words(50 + 500 / columns * column, 80 + 12 * row, lines[column][row].strip())
    return page


def contents(*, leaders: bool = False, header: bool = False, numbered: bool = False) -> Page:
    page = Page()
    if header:
        page.words(60, 86, "Chapter").words(480, 86, "Page")
    for at, title in enumerate(("Beginning", "What is a goal", "Asking well", "Small steps", "The end of it")):
        if numbered:
            page.words(40, 100 + 14 * at, f"{at + 1}.")
        page.words(60, 100 + 14 * at, title).words(480, 100 + 14 * at, str(3 + 11 * at))
        if leaders:
            page.words(200, 100 + 14 * at, "." * 60)
    return page


ADDRESSES = [
    ["Ada Lovelace", "Bob Smith", "Coaching AB"],
    ["Storgatan 1", "Kirkegata 22", "Box 12"],
    ["223 50 Lund", "0153 Oslo", "113 30 Stockholm"],
    ["Sweden", "Norway", "+46 8 123 45 67"],
]
AUTHORS = [
    ["Ada Lovelace", "Bob Smith", "Carl Jung"],
    ["Dept. of Mathematics", "Institute of Coaching", "Clinic"],
    ["Lund University", "University of Oslo", "Zurich"],
    ["ada@example.org", "bob@example.org", "carl@example.org"],
]
NAMES = [["Ada Lovelace", "Bob Smith", "Carl Jung"], ["Dag Berg", "Eva Lind", "Finn Moe"]] * 4
FIELDS = [["Name:", "Ada Lovelace"], ["Born:", "1815"], ["Version:", "1.0"], ["Height:", "160 cm"]]
AGENDA = [["09:00", "Welcome", "Hall"], ["10:30", "How to ask", "Room 2"], ["12:00", "Lunch", "Garden"]]
BARE = [["Norway", "12", "90"], ["Sweden", "9", "40"], ["Korea", "7", "31"]]
STEPS = [["1.", "Say what you want."], ["2.", "Say what is."], ["3.", "Choose one way."], ["4.", "Begin."]]
SPARSE = [["Item", "A", "B", "C"], ["Walk", "1", "", ""], ["Read", "", "2", ""], ["Sing", "", "", "3"]]


@pytest.mark.parametrize(
    "page",
    [
        prose(2, by_line=True),
        prose(2, by_line=False),
        prose(3, by_line=True),
        contents(),
        contents(leaders=True),
        contents(header=True),
        contents(header=True, numbered=True),
        left(Page(), ADDRESSES),
        left(Page(), ADDRESSES, bold=False),
        left(Page(), AUTHORS),
        left(Page(), NAMES, bold=False),
        left(Page(), ROLES, bold=False),
        left(Page(), FIELDS, bold=False),
        left(Page(), AGENDA, bold=False),
        right(Page(), 100, BARE),
        left(Page(), STEPS, bold=False),
        right(Page(), 100, SPARSE),
        right(Page(), 100, SUBSTANCES, pitch=60),
    ],
)
def test_stays_running_text(tmp_path: Path, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    found = load(tmp_path, pdf(page), ".pdf").text
    monkeypatch.setattr(pdf_tables, "MOST_PAGES", 0)
    assert "|" not in found
    assert found == load(tmp_path, pdf(page), ".pdf").text


def test_two_columns_stay_two_columns(tmp_path: Path) -> None:
    page = Page()
    for column, words in enumerate(("left", "right")):
        for row in range(20):
            page.words(50 + 260 * column, 80 + 12 * row, f"The {words} column says in line {row} what it says")
    text = load(tmp_path, pdf(page), ".pdf").text
    assert text.index("left column says in line 19") < text.index("right column says in line 0 ")


def test_sideways_on_a_page_that_is_not_turned(tmp_path: Path) -> None:
    page = Page()
    page._drawn = [b"q 0 1 -1 0 1100 200 cm", right(Page(), 0, SUBSTANCES).stream, b"Q"]
    assert "|" not in load(tmp_path, pdf(page), ".pdf").text


def no() -> bool:
    return False


@pytest.mark.parametrize(
    "rows",
    [
        [["Film", "from 12 years", "11:00"], ["Breakfast", "117 min", ""], ["Tea", "99 min", "11:00"]],
        [["Item", "-"], ["Walk", "12"], ["Read", "7"]],
        [["0", ","], [",", "6"], ["0", "1"]],
        [["Item", "Days", "Days"], ["Walk", "12", "3"], ["Read", "7", "4"]],
        [["Item", "Days"], ["Walk\nWalk", "12"], ["Read", "7"]],
        [["Item", "Days"], ["Walk " * 20, "12"], ["Read", "7"]],
        [["Item", "Days"], ["Walk", "12 days and many more of them, one by one"], ["Read", "7"]],
    ],
)
def test_rows_that_are_no_table(rows: list[list[str]]) -> None:
    assert as_table(rows, flush=True, named=no) == []


# --- bounds --------------------------------------------------------------------------------------


def test_a_page_of_a_thousand_shreds_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_tables, "MOST_BOXES", 8)
    assert "|" not in load(tmp_path, pdf(Page().cells(60, 100, WIDTHS, ROWS)), ".pdf").text


def test_boxes_at_random_end_in_grids_that_hold_them() -> None:
    drawn = random.Random(7)
    for size in (0, 1, 9, 200, 3000):
        boxes = []
        for _ in range(size):
            x, y = drawn.uniform(0, 600), 12 * drawn.randrange(70)
            boxes.append((x, y, x + drawn.uniform(0, 30), y + drawn.uniform(0, 12)))
        for found in pdf_columns.find(boxes):
            grid = found.grid
            assert grid.rows >= pdf_columns.LEAST_ROWS
            assert grid.columns >= 2
            assert len(grid.fields) == len(grid.cells) == grid.rows * grid.columns
            assert list(grid.xs) == sorted(grid.xs)
            assert list(grid.ys) == sorted(grid.ys, reverse=True)
