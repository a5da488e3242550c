"""The tiles of the map: hundreds on a page, so they are written without a template each."""

from collections.abc import Iterable

from django import template
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from cluster.map import Tile

register = template.Library()
START = '<a class="tile tile-{} w{}" draggable="{}"{} href="{}'
REST = '{}/" title="{}"></a>'
NO_ONE = "00000000-0000-0000-0000-000000000000"
MOVES = SafeString(" data-vm")


@register.simple_tag
def tiles(made: Iterable[Tile]) -> SafeString:
    """All of a card at once: one format for all costs half of one each."""
    base = reverse("vms:detail", args=[NO_ONE]).removesuffix(f"{NO_ONE}/")
    starts: dict[tuple[str, int, bool], SafeString] = {}
    formats: list[str] = []
    values: list[object] = []
    for one in made:
        kind = one.look, one.wide, one.can_move
        if kind not in starts:
            moves = ("true", MOVES) if one.can_move else ("false", "")
            starts[kind] = format_html(START, one.look, one.wide, *moves, base)
        formats.append(starts[kind] + REST)
        values += one.uuid, one.label
    return format_html("".join(formats), *values) if values else SafeString()
