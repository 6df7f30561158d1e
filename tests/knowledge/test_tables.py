"""Tables become Markdown, whatever they come from; what only lays a page out does not."""

from __future__ import annotations

from pathlib import Path

from knowledge.loaders import tables
from knowledge.loaders.types import TextBuilder

from . import files
from .test_loaders import blocks, load

TABLE = "| a | b |\n|---|---|\n| 1 | 2 |"


def test_rows_of_any_length_make_a_table() -> None:
    assert tables.markdown([["a", "", "b"], ["1"], [], ["x | y", "", "two\nlines"]]) == (
        "| a | b |\n|---|---|\n| 1 |  |\n| x \\| y | two lines |"
    )


def test_one_column_is_a_list_of_lines() -> None:
    assert tables.markdown([["", "one"], ["", "two"]]) == "one\ntwo"


def test_nothing_is_nothing() -> None:
    assert tables.markdown([["", " "], []]) == ""


def test_a_long_first_row_is_not_repeated() -> None:
    builder = TextBuilder()
    tables.add(builder, [["word " * 100, "b"], *[["x" * 200, "y"]] * 20])
    document = builder.finish()
    starts = [document.text[block.start : block.end].split("\n")[0] for block in document.blocks]
    assert len(starts) > 2
    assert starts[0].startswith("| word word")
    assert set(starts[1:]) == {"| | |"}


def test_html_cells_that_span(tmp_path: Path) -> None:
    page = (
        "<html><table><caption>Opening hours</caption><thead><tr><th>Day<th colspan=2>Time</thead>"
        "<tr><td rowspan=2>Monday<td>8<td>12<tr><td>13<td>17<script>x()</script></table>tail</html>"
    )
    assert blocks(load(tmp_path, page, ".html")) == [
        ((), "Opening hours"),
        ((), "| Day | Time |  |\n|---|---|---|\n| Monday | 8 | 12 |\n| Monday | 13 | 17 |"),
        ((), "tail"),
    ]


def test_a_page_laid_out_with_tables_is_read_as_a_page(tmp_path: Path) -> None:
    inner = "<table><tr><td>a<td>b<tr><td>1<td>2</table>"
    page = f"<html><table><tr><td>Menu<td><h2>Part</h2><p>First.</p><p>Second.</p>{inner}</table></html>"
    assert blocks(load(tmp_path, page, ".html")) == [
        ((), "Menu"),
        (("Part",), "First."),
        (("Part",), "Second."),
        (("Part",), TABLE),
    ]


def test_a_table_within_a_list_stays_in_it(tmp_path: Path) -> None:
    page = "<html><ul><li>one<table><tr><td>a<td>b<tr><td>1<td>2</table><li>two</ul></html>"
    assert blocks(load(tmp_path, page, ".html")) == [((), f"- one\n{TABLE}\n- two")]


def test_html_spans_without_end_are_bounded(tmp_path: Path) -> None:
    page = "<html><table><tr>" + "<td rowspan=9999 colspan=9999>x" * 500 + "</tr>" + "<tr><td>y</tr>" * 500
    document = load(tmp_path, page, ".html")
    assert len(document.text) < 1_000_000


def test_a_word_table_with_a_wide_cell_and_one_inside(tmp_path: Path) -> None:
    def cell(inside: str, span: int = 1) -> str:
        return f'<w:tc><w:tcPr><w:gridSpan w:val="{span}"/></w:tcPr>{inside}</w:tc>'

    inner = "<w:tbl><w:tr>" + cell(files.paragraph("in")) + cell(files.paragraph("side")) + "</w:tr></w:tbl>"
    rows = [
        cell(files.paragraph("Time"), 2) + cell(files.paragraph("Who")),
        cell(files.paragraph("8")) + cell(files.paragraph("12")) + cell(inner + files.paragraph("all")),
    ]
    body = "<w:tbl>" + "".join(f"<w:tr>{row}</w:tr>" for row in rows) + "</w:tbl>"
    assert blocks(load(tmp_path, files.docx(body), ".docx")) == [
        ((), "| Time |  | Who |\n|---|---|---|\n| 8 | 12 | in side all |")
    ]


def test_a_markdown_table_within_a_list(tmp_path: Path) -> None:
    text = "- one\n\n  | a | b |\n  |---|---|\n  | 1 | 2 |\n\n- two\n"
    assert blocks(load(tmp_path, text, ".md")) == [((), f"- one\n{TABLE}\n- two")]
