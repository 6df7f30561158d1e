"""Tables of PDF pages: ruled ones stay tables, other lines make none; without lines: test_pdf_columns.py."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from knowledge.loaders import grids, pdf_tables, sandbox
from knowledge.loaders.grids import Edge
from knowledge.loaders.types import LoadedDocument

from .pdf_pages import Page, pdf
from .test_loaders import load

ROWS = [["Habit", "Trigger", "Days"], ["Walk", "After lunch", "21"], ["Read", "Before bed", "30"]]
MARKDOWN = "| Habit | Trigger | Days |\n|---|---|---|\n| Walk | After lunch | 21 |\n| Read | Before bed | 30 |"
WIDTHS = (100, 120, 60)
PROSE = "A habit is built slowly\nand with small steps, day by day,\nuntil nobody thinks of it any more."


def told(tmp_path: Path, *pages: Page) -> list[tuple[int | None, str]]:
    return pieces(load(tmp_path, pdf(*pages), ".pdf"))


def pieces(document: LoadedDocument) -> list[tuple[int | None, str]]:
    return [(block.page, document.text[block.start : block.end]) for block in document.blocks]


# --- what is a table -----------------------------------------------------------------------------


def test_a_table_stands_between_what_is_above_and_below_it(tmp_path: Path) -> None:
    page = Page().words(60, 80, "Habits of a year").table(60, 100, WIDTHS, ROWS).words(60, 200, "They were kept.")
    assert told(tmp_path, Page().words(60, 80, "Cover page"), page) == [
        (1, "Cover page"),
        (2, "Habits of a year"),
        (2, MARKDOWN),
        (2, "They were kept."),
    ]


def test_nothing_is_told_twice(tmp_path: Path) -> None:
    page = Page().words(60, 80, PROSE).table(60, 140, WIDTHS, ROWS).words(60, 240, "The end of it.")
    text = load(tmp_path, pdf(page), ".pdf").text
    assert [text.count(word) for word in ("Trigger", "Before bed", "small steps", "The end")] == [1, 1, 1, 1]


def test_korean_cells(tmp_path: Path) -> None:
    rows = [["습관", "시간"], ["산책", "점심 후"], ["독서", "자기 전"]]
    page = Page().words(60, 80, "좋은 습관 만들기").table(60, 100, (100, 100), rows)
    assert told(tmp_path, page) == [
        (1, "좋은 습관 만들기"),
        (1, "| 습관 | 시간 |\n|---|---|\n| 산책 | 점심 후 |\n| 독서 | 자기 전 |"),
    ]


def test_lines_of_a_cell_and_a_word_cut_at_their_end(tmp_path: Path) -> None:
    page = Page()
    for y in (100, 120, 160):
        page.line(60, y, 260, y)
    for x in (60, 160, 260):
        page.line(x, 100, x, 160)
    page.words(63, 113, "Name").words(163, 113, "Meaning").words(63, 133, "Promise").words(
        163, 133, "a commit-\nment made"
    )
    assert told(tmp_path, page) == [(1, "| Name | Meaning |\n|---|---|\n| Promise | a commitment made |")]


def test_lines_of_two_cells_side_by_side_are_not_mixed(tmp_path: Path) -> None:
    """Some programs write a page line by line, across the cells."""
    page = Page().box(60, 100, 100, 40).box(160, 100, 100, 40).box(60, 140, 100, 20).box(160, 140, 100, 20)
    page.words(63, 113, "one").words(163, 113, "three").words(63, 127, "two").words(163, 127, "four")
    page.words(63, 153, "a").words(163, 153, "b")
    assert told(tmp_path, page) == [(1, "| one two | three four |\n|---|---|\n| a | b |")]


def test_joined_cells(tmp_path: Path) -> None:
    """One over two rows is told in both, one over two columns in the first."""
    page = Page()
    for y in (100, 120, 180):
        page.line(60, y, 360, y)
    page.line(160, 140, 360, 140).line(60, 160, 360, 160)
    for x in (60, 160, 360):
        page.line(x, 100, x, 180)
    page.line(260, 120, 260, 180)
    page.cells(
        60, 100, (100, 100, 100), [["Day", "Time"], ["Monday", "8", "12"], ["", "13", "17"], ["Friday", "9", "11"]]
    )
    assert told(tmp_path, page) == [
        (1, "| Day | Time |  |\n|---|---|---|\n| Monday | 8 | 12 |\n| Monday | 13 | 17 |\n| Friday | 9 | 11 |")
    ]


def test_a_title_over_all_columns_goes_before_the_table(tmp_path: Path) -> None:
    page = Page().box(60, 80, 280, 20).words(63, 93, "Plan of the year").table(60, 100, WIDTHS, ROWS)
    assert told(tmp_path, page) == [(1, "Plan of the year"), (1, MARKDOWN)]


def test_shaded_cells_double_lines_and_no_lines_at_the_sides(tmp_path: Path) -> None:
    shaded = Page()
    for at in range(3):
        for column in range(3):
            shaded.box(60 + 90 * column, 100 + 20 * at, 89, 19, "0.9 g f 0 g")
    shaded.cells(60, 100, (90, 90, 90), ROWS)
    double = Page().table(60, 100, WIDTHS, ROWS).line(60, 122, 340, 122).line(60, 98, 340, 98)
    open_sides = Page().line(160, 100, 160, 160).line(280, 100, 280, 160).cells(60, 100, WIDTHS, ROWS)
    for y in (100, 120, 160):
        open_sides.line(60, y, 340, y)
    open_sides.line(60, 140, 340, 140)
    assert told(tmp_path, shaded, double, open_sides) == [(1, MARKDOWN), (2, MARKDOWN), (3, MARKDOWN)]


@pytest.mark.parametrize("turned", [90, 180, 270])
def test_a_page_that_is_turned(tmp_path: Path, turned: int) -> None:
    """As programs make landscape pages: the table lies on its side and the page is shown turned."""
    page = Page(turned)
    plain = Page().table(0, 0, WIDTHS, ROWS)
    matrix = {90: "0 1 -1 0 1100 60", 180: "-1 0 0 -1 500 1000", 270: "0 -1 1 0 -500 700"}[turned]
    page._drawn = [f"q {matrix} cm".encode(), plain.stream, b"Q"]
    assert told(tmp_path, page) == [(1, MARKDOWN)]


def test_letters_that_are_none_or_halves(tmp_path: Path) -> None:
    assert pdf_tables._paired("a \ud83d\ude80 b \ud83d") == "a \U0001f680 b \ufffd"
    assert [pdf_tables._letter(code) for code in (0, 65, 0x110000, 0xFFFFFFFF)] == [" ", "A", "\ufffd", "\ufffd"]


# --- over two pages ------------------------------------------------------------------------------


def test_a_table_that_goes_on_has_its_header_again(tmp_path: Path) -> None:
    more = [["Write", "At noon", "12"], ["Sing", "At work", "5"]]
    first = Page().words(60, 40, "Handbook").table(60, 700, WIDTHS, ROWS).words(300, 820, "1")
    second = Page().words(60, 40, "Handbook").table(80, 60, WIDTHS, more).words(300, 820, "2")
    rest = "| Habit | Trigger | Days |\n|---|---|---|\n| Write | At noon | 12 |\n| Sing | At work | 5 |"
    assert told(tmp_path, first, second) == [
        (1, "Handbook"),
        (1, MARKDOWN),
        (1, "1"),
        (2, "Handbook"),
        (2, rest),
        (2, "2"),
    ]
    with_header = Page().table(80, 60, WIDTHS, [ROWS[0], *more])
    assert told(tmp_path, first, with_header)[-1] == (2, rest)


def test_another_table_on_the_next_page_keeps_its_own_header(tmp_path: Path) -> None:
    other = [["Name", "Place", "Age"], ["Ada", "Lund", "36"]]
    first = Page().table(60, 700, WIDTHS, ROWS)
    narrow = Page().table(60, 60, (90, 120, 60), other)
    after_text = Page().words(60, 40, PROSE).words(60, 80, PROSE).table(60, 160, WIDTHS, other)
    further_down = Page().table(60, 400, WIDTHS, other)
    ends_early = Page().table(60, 300, WIDTHS, ROWS)
    own = "| Name | Place | Age |\n|---|---|---|\n| Ada | Lund | 36 |"
    for pages in (
        (first, narrow),
        (first, after_text),
        (first, further_down),
        (ends_early, Page().table(60, 60, WIDTHS, other)),
    ):
        assert told(tmp_path, *pages)[-1] == (2, own)


def test_forms_page_by_page_are_not_one_table(tmp_path: Path) -> None:
    def form(name: str) -> Page:
        return Page().table(
            60, 60, (200, 200), [["Name", name], *[[f"Question {n}", f"{name} {n}"] for n in range(36)]]
        )

    ada, bob = form("Ada"), form("Bob")
    assert all("Ada" not in text for page, text in told(tmp_path, ada, bob) if page == 2)


# --- what is none --------------------------------------------------------------------------------


def frame() -> Page:
    """Of a page with a line below its head, one above its foot, and one between two columns of prose."""
    page = Page().box(40, 40, 515, 760).line(40, 80, 555, 80).line(40, 770, 555, 770).line(300, 80, 300, 770)
    page.words(60, 60, "Newsletter").words(60, 785, "Page 1")
    for x in (50, 310):
        for part in range(15):
            page.words(x, 100 + 44 * part, PROSE)
    return page


def underlined() -> Page:
    page = Page()
    for at in range(6):
        page.words(60, 100 + 60 * at, f"Heading number {at}").line(60, 103 + 60 * at, 300, 103 + 60 * at)
        page.words(60, 120 + 60 * at, PROSE)
    return page.line(50, 80, 50, 480)


def boxes() -> Page:
    """Paragraphs in boxes that touch."""
    page = Page()
    for at in range(5):
        page.box(50, 100 + 60 * at, 400, 60).words(60, 115 + 60 * at, PROSE)
    return page


def boxes_apart() -> Page:
    """A diagram: boxes in two columns, with lines from one to the next."""
    page = Page()
    for at in range(4):
        for x in (50, 300):
            page.box(x, 100 + 90 * at, 150, 60).words(x + 5, 120 + 90 * at, f"Step {at}")
        page.line(200, 130 + 90 * at, 300, 130 + 90 * at).line(125, 160 + 90 * at, 125, 190 + 90 * at)
    return page


def chart() -> Page:
    page = Page().words(60, 80, "Steps of each month")
    for at in range(6):
        page.line(60, 100 + 40 * at, 400, 100 + 40 * at).words(40, 103 + 40 * at, str(5 - at))
    for at in range(8):
        page.box(70 + 40 * at, 120 + 15 * at, 20, 180 - 15 * at, "f").words(72 + 40 * at, 315, f"M{at}")
    return page.line(60, 100, 60, 300)


def empty_form() -> Page:
    return Page().table(60, 100, (100, 100, 100, 100), [["Name", "", "", ""], ["", "", "", ""], ["Sign", "", "", ""]])


def sideways() -> Page:
    """Read from top to bottom on a page that is not turned."""
    page = Page()
    page._drawn = [b"q 0 1 -1 0 1100 200 cm", Page().table(0, 0, WIDTHS, ROWS).stream, b"Q"]
    return page


@pytest.mark.parametrize("page", [frame(), underlined(), boxes(), boxes_apart(), chart(), empty_form(), sideways()])
def test_other_lines_make_no_table(tmp_path: Path, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    with_tables = load(tmp_path, pdf(page), ".pdf").text
    monkeypatch.setattr(pdf_tables, "MOST_PAGES", 0)
    assert "|" not in with_tables
    assert with_tables == load(tmp_path, pdf(page), ".pdf").text


# --- bounds --------------------------------------------------------------------------------------


def test_a_document_has_its_share_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_tables, "MOST_PAGES", 2)
    found = told(tmp_path, *[Page().table(60, 100, WIDTHS, ROWS) for _ in range(3)])
    assert [text.startswith("|") for _, text in found] == [True, True, False]
    assert "Before bed" in found[2][1]
    monkeypatch.setattr(pdf_tables, "SECONDS", 0.0)
    assert not any(text.startswith("|") for _, text in told(tmp_path, Page().table(60, 100, WIDTHS, ROWS)))


def test_a_page_of_nothing_but_lines_is_left_alone(tmp_path: Path) -> None:
    page = Page().words(60, 40, "A very fine net")
    for at in range(3000):
        page.line(0, at / 4, 500, at / 4).line(at / 6, 0, at / 6, 800)
    assert told(tmp_path, page) == [(1, "A very fine net")]
    path = tmp_path / "net.pdf"
    stream = b"\n".join(b"%d %d m %d %d l S" % (at % 590, at % 800, at * 7 % 590, at % 800) for at in range(300_000))
    net = Page().words(60, 40, "A very fine net")
    net._drawn.append(stream)
    path.write_bytes(pdf(net))
    assert pieces(sandbox.load(path, ".pdf")) == [(1, "A very fine net")]


def test_lines_at_random_end_in_bounded_grids() -> None:
    drawn = random.Random(7)
    for size in (5, 50, 600):
        across = [
            Edge(drawn.uniform(0, 800), low, low + drawn.uniform(0, 500)) for low in (drawn.uniform(0, 300),) * size
        ]
        upright = [
            Edge(drawn.uniform(0, 600), low, low + drawn.uniform(0, 500)) for low in (drawn.uniform(0, 300),) * size
        ]
        for grid in grids.grids(across, upright):
            assert len(grid.fields) == (len(grid.xs) - 1) * (len(grid.ys) - 1)
            for x, y in ((drawn.uniform(-9, 900), drawn.uniform(-9, 900)) for _ in range(50)):
                number = grid.cell_at(x, y)
                assert number == grids.OUTSIDE or 0 <= number < len(grid.cells)
