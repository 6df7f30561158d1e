"""What every loader gives back."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import NoText, TooLargeInside

# A 10,000-page book has about 30 million characters.
MAX_CHARACTERS = 40_000_000


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, list, table or code block: `document.text[start:end]`.

    headings   the path of headings above it, outermost first, without the document's title
    page       from 1; None where the format has no pages
    """

    start: int
    end: int
    headings: tuple[str, ...] = ()
    page: int | None = None


@dataclass(frozen=True, slots=True)
class LoadedDocument:
    """title: '' when the file names none. text: all of it, headings included. blocks: in order, not overlapping."""

    title: str
    text: str
    blocks: tuple[Block, ...]


class TextBuilder:
    """Collects the text and its blocks; pieces are separated by one empty line.

    Headings stand in the text between the blocks. A heading with nothing below it becomes a block itself,
    because its words would be lost for the search otherwise.
    """

    def __init__(self) -> None:
        self.title = ""
        self._parts: list[str] = []
        self._length = 0
        self._blocks: list[Block] = []
        self._path: list[tuple[int, str]] = []
        self._bare: Block | None = None  # the last heading while nothing stands below it

    def add(self, text: str, page: int | None = None) -> None:
        """A block of text; blanks around it are dropped, an empty one is ignored."""
        span = self._append(text)
        if span is not None:
            self._blocks.append(Block(*span, self.headings, page))
            self._bare = None

    def heading(self, level: int, text: str, page: int | None = None) -> None:
        """A heading of level 1 (outermost) and up; the first one of level 1 is the title if nothing precedes it."""
        text = " ".join(text.split())
        if not text:
            return
        self.leave(level)
        span = self._append(text)
        if span is None:
            return
        if level == 1 and not self._blocks and len(self._parts) == 1:
            self.title = text
            return
        self._bare = Block(*span, self.headings, page)
        self._path.append((level, text))

    def leave(self, level: int) -> None:
        """End the headings of `level` and below: what follows stands under none of them."""
        if self._path and level <= self._path[-1][0]:
            self._keep_bare()
        while self._path and self._path[-1][0] >= level:
            self._path.pop()

    @property
    def headings(self) -> tuple[str, ...]:
        return tuple(text for _, text in self._path)

    def finish(self, title: str = "") -> LoadedDocument:
        """Raises NoText when no block was added."""
        self._keep_bare()
        if not self._blocks:
            raise NoText
        return LoadedDocument(self.title or " ".join(title.split()), "\n\n".join(self._parts), tuple(self._blocks))

    def _keep_bare(self) -> None:
        if self._bare is not None:
            self._blocks.append(self._bare)
            self._bare = None

    def _append(self, text: str) -> tuple[int, int] | None:
        text = text.replace("\x00", "").strip()
        if not text:
            return None
        start = self._length + (2 if self._parts else 0)
        self._length = start + len(text)
        if self._length > MAX_CHARACTERS:
            raise TooLargeInside
        self._parts.append(text)
        return start, self._length
