"""A definition as people read it: lines with marked parts, and the difference between two versions."""

import difflib
import re
from typing import NamedTuple

TOKEN = re.compile(
    r"(?P<tag></?[A-Za-z_][\w:.-]*|/?>|<!--.*?-->|<\?.*?\?>)|(?P<name>\s[\w:.-]+(?==))|(?P<value>'[^']*'|\"[^\"]*\")"
)
MAX_LINES = 4000


class Piece(NamedTuple):
    """A part of a line and its kind: tag, name, value or "" for text."""

    kind: str
    text: str


def lines_of(xml: str) -> list[list[Piece]]:
    """The XML's lines in pieces, for a template that escapes each."""
    return [_pieces(line) for line in xml.splitlines()[:MAX_LINES]]


def _pieces(line: str) -> list[Piece]:
    pieces, end = [], 0
    for found in TOKEN.finditer(line):
        if found.start() > end:
            pieces.append(Piece("", line[end : found.start()]))
        pieces.append(Piece(found.lastgroup or "", found.group()))
        end = found.end()
    if end < len(line):
        pieces.append(Piece("", line[end:]))
    return pieces


class DiffLine(NamedTuple):
    """kind: add, remove, place or "" for an unchanged line."""

    kind: str
    text: str


def difference(old: str, new: str) -> list[DiffLine]:
    """A unified diff without its two header lines."""
    kinds = {"+": "add", "-": "remove", "@": "place"}
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), n=3, lineterm="")
    return [DiffLine(kinds.get(line[:1], ""), line) for line in list(lines)[2 : MAX_LINES + 2]]
