"""Template tags of every page: icons, figures, ages, states, bars, forms. `{% load ui %}`."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from django import template
from django.conf import settings
from django.core.paginator import Page
from django.forms import BaseForm
from django.forms.boundfield import BoundField
from django.http import QueryDict
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from ui import forms as ui_forms
from ui import nodes, text

register = template.Library()
ICON_PATH = re.compile(r'<path d="([^"]+)"')
ICON_NAME = re.compile(r"[a-z0-9-]+")
SPARK_WIDTH, SPARK_HEIGHT = 80, 20


@register.simple_tag
def fixed(name: str, **given: bool | str) -> SafeString:
    """A part that depends on nothing but the language and what is given, drawn once for each:
    {% fixed "components/_palette.html" %}."""
    key = tuple(sorted(given.items()))
    return _fixed.__wrapped__("", name, key) if settings.DEBUG else _fixed(get_language() or "", name, key)


@lru_cache(maxsize=1000)
def _fixed(_language: str, name: str, given: tuple[tuple[str, bool | str], ...]) -> SafeString:
    return render_to_string(name, dict(given))


@register.simple_tag
def sidebar(nav: Sequence[Mapping[str, Any]]) -> SafeString:
    """The main menu, drawn once for all who have the same one and are on the same page of it."""
    items = tuple((one["url"], one["icon"], str(one["label"]), str(one["short"]), one["now"]) for one in nav)
    return _sidebar(get_language() or "", items)


@lru_cache(maxsize=500)
def _sidebar(_language: str, items: tuple[tuple[Any, ...], ...]) -> SafeString:
    names = ("url", "icon", "label", "short", "now")
    nav = [dict(zip(names, item, strict=True)) for item in items]
    return render_to_string("components/_sidebar.html", {"nav": nav, "version": settings.VERSION})


@register.simple_tag
def icon(name: str, css: str = "") -> SafeString:
    """An icon of the Tabler set, inline: {% icon "server" %}. Decoration only: name the thing in text."""
    return _icon(name, css)


@lru_cache(maxsize=512)
def _icon(name: str, css: str) -> SafeString:
    if not ICON_NAME.fullmatch(name):
        raise ValueError(f"not an icon's name: {name!r}")
    folder = settings.BASE_DIR / "node_modules" / "@tabler" / "icons" / "icons" / "outline"
    drawing = (folder / f"{name}.svg").read_text()
    paths = format_html_join("", '<path d="{}"/>', ((path,) for path in ICON_PATH.findall(drawing)))
    return format_html('<svg class="icon {}" viewBox="0 0 24 24" aria-hidden="true">{}</svg>', css, paths)


# in place of Django's, of which a page has hundreds
register.tag("translate", nodes.translate)
register.tag("url", nodes.url)

register.filter("size", text.size)
register.filter("rate", text.rate)
register.filter("percent", text.percent)
register.filter("duration", text.duration)
register.filter("number", text.number)


@register.filter
def dash(value: Any) -> Any:
    """The value, or a dash where nothing was observed (0 is an observation)."""
    return text.DASH if value is None or value == "" else value


@register.filter
def milliseconds(value: float) -> str:
    """A short time that was measured in milliseconds: "38 ms", "50 s"."""
    return text.duration(value / 1000)


@register.filter
def without(title: str, name: str) -> str:
    """A title beside the name it is about: "Migrate web-01 → vmhost3" becomes "Migrate → vmhost3"."""
    return " ".join(word for word in str(title).split(" ") if word != name)


@register.simple_tag
def age(when: datetime | None, prefix: str = "") -> str | SafeString:
    """ "14 s ago" that goes on counting, the exact time on hover; a dash for never."""
    if when is None:
        return text.DASH
    exact = timezone.localtime(when).replace(tzinfo=None).isoformat(" ", "seconds")
    return format_html(
        '<time datetime="{}" title="{}" data-age>{}{}</time>', when.isoformat(), exact, prefix, text.ago(when)
    )


@register.simple_tag
def lasting(start: datetime | None, end: datetime | None = None) -> str | SafeString:
    """How long from start to end; without an end it goes on counting."""
    if start is None:
        return text.DASH
    seconds = ((end or timezone.now()) - start).total_seconds()
    if end is not None:
        return text.duration(max(0.0, seconds))
    return format_html('<time datetime="{}" data-since>{}</time>', start.isoformat(), text.duration(int(seconds)))


@register.simple_tag
def left(until: datetime | None) -> str | SafeString:
    """How long until then; it goes on counting down. "over" when it is."""
    if until is None:
        return text.DASH
    seconds = (until - timezone.now()).total_seconds()
    shown = text.duration(int(seconds)) if seconds > 0 else _("over")
    return format_html('<time datetime="{}" data-until>{}</time>', until.isoformat(), shown)


@register.simple_tag
def dot(thing: Any) -> SafeString:
    """A coloured dot for a thing's state (needs .colour, .get_state_display)."""
    label = thing.get_state_display()
    return format_html('<span class="dot dot-{}" title="{}"></span>', thing.colour, label)


@register.simple_tag
def state(thing: Any) -> SafeString:
    """Dot and word of a thing's state (needs .colour, .get_state_display)."""
    label = thing.get_state_display()
    return format_html('<span class="state"><span class="dot dot-{0}"></span>{1}</span>', thing.colour, label)


@register.simple_tag
def badge(label: Any, colour: str = "secondary") -> SafeString:
    return format_html('<span class="badge tone-{}">{}</span>', colour, label)


@register.simple_tag
def bar(value: float | None, label: str = "", warn: float = 101, danger: float = 101) -> SafeString:
    """A bar of percent. None is drawn as unknown, never as 0. Orange from `warn`, red from `danger`."""
    if value is None:
        return format_html('<span class="bar bar-unknown" title="{}"></span>', _("not known"))
    tone = " bar-danger" if value >= danger else " bar-warn" if value >= warn else ""
    return format_html(
        '<progress class="bar{}" max="100" value="{}" aria-label="{}">{}</progress>',
        tone,
        f"{min(100.0, max(0.0, value)):.1f}",
        label or _("used"),
        text.percent(value),
    )


@register.inclusion_tag("components/_job_bar.html")
def job_bar(job: Any, steps: bool = True) -> dict[str, Any]:
    """The moving bar of a job: percent and step change live without a request."""
    return {"job": job, "steps": steps}


@register.simple_tag
def sparkline(values: Sequence[float | None], top: float = 100, label: str = "") -> SafeString | str:
    """A small line of figures 0..top, oldest first; gaps where a figure is missing."""
    if sum(value is not None for value in values) < 2:
        return format_html('<span class="sparkline text-secondary">{}</span>', text.DASH)
    highest = max(top, *(value for value in values if value is not None)) or 1
    step = SPARK_WIDTH / (len(values) - 1)
    lines: list[list[str]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            lines.append([])
        else:
            lines[-1].append(f"{place * step:.1f},{SPARK_HEIGHT - 1 - (SPARK_HEIGHT - 2) * value / highest:.1f}")
    drawn = format_html_join("", '<polyline points="{}"/>', ((" ".join(line),) for line in lines if len(line) > 1))
    return format_html(
        '<svg class="sparkline" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>',
        SPARK_WIDTH,
        SPARK_HEIGHT,
        label or _("last hour"),
        drawn,
    )


@register.simple_tag
def copy(value: Any) -> SafeString:
    """A small button that copies the text."""
    return format_html(
        '<button type="button" class="copy" data-copy="{}" title="{}" aria-label="{} {}">{}</button>',
        value,
        _("Copy"),
        _("Copy"),
        value,
        _icon("copy", ""),
    )


@register.simple_tag
def act_button(url: str, name: str, label: str, about: str, icon_only: bool = False) -> SafeString:
    """A small button, inside a form, that posts to an address of its own and changes nothing on the page by itself."""
    return format_html(
        '<button class="btn btn-sm{}" formaction="{}" hx-post="{}" hx-swap="none" title="{}" aria-label="{}: {}">'
        "{}{}</button>",
        " btn-icon" if icon_only else "",
        url,
        url,
        label,
        label,
        about,
        _icon(name, ""),
        "" if icon_only else label,
    )


@register.inclusion_tag("components/_by_hand.html")
def by_hand(commands: Sequence[str]) -> dict[str, Any]:
    """ "The same by hand": commands to read and copy (law 7)."""
    return {"commands": commands}


@register.inclusion_tag("components/_empty.html")
def empty(title: str, text: str = "", icon: str = "inbox", url: str = "", action: str = "") -> dict[str, Any]:
    """An empty state that says what to do first."""
    return {"title": title, "text": text, "icon": icon, "url": url, "action": action}


@register.inclusion_tag("components/_pages.html", takes_context=True)
def pages(
    context: dict[str, Any],
    page: Page,
    target: str = "",
    key: str = "page",
    path: str = "",
    query: QueryDict | None = None,
) -> dict[str, Any]:
    """Links to the pages of a list; `target` is the CSS selector htmx replaces (else whole page loads).

    key: what the number is called in the address. path: of the page that shows the list, if a part of it was asked for.
    query: what else is in the address, if not all of the present one.
    """
    request = context["request"]
    path, query = path or request.path, (request.GET if query is None else query).copy()

    def link(number: int | str) -> tuple[int | str, str]:
        if number == page.paginator.ELLIPSIS:
            return number, ""
        query[key] = str(number)
        return number, f"{path}?{query.urlencode()}"

    numbers = page.paginator.get_elided_page_range(page.number, on_each_side=1, on_ends=1)
    return {
        "page": page,
        "links": [link(number) for number in numbers],
        "previous": link(page.previous_page_number())[1] if page.has_previous() else "",
        "next": link(page.next_page_number())[1] if page.has_next() else "",
        "target": target,
        "push": _is_shown(request, path),
    }


def _is_shown(request: Any, path: str) -> bool:
    """Whether the browser is on that page: only then its address may be the list's."""
    htmx = getattr(request, "htmx", None)
    return not htmx or (htmx.current_url_abs_path or "").partition("?")[0] == path


@register.inclusion_tag("components/_field.html")
def field(bound: BoundField, suffix: str = "", autofocus: bool = False) -> dict[str, Any]:
    """One field of a form: label, input, help, errors."""
    attrs: dict[str, Any] = {"class": ui_forms.widget_class(bound)}
    if bound.help_text:
        attrs["aria-describedby"] = f"{bound.auto_id}_helptext"
    if autofocus:
        attrs["autofocus"] = True
    kind = ui_forms.kind_of(bound)
    widget = None if kind == "choices" else bound.as_widget(attrs=attrs)
    is_long = kind == "choices" and ui_forms.has_many(bound)
    return {"bound": bound, "widget": widget, "kind": kind, "suffix": suffix, "is_long": is_long}


@register.simple_tag
def filter_input(bound: BoundField) -> SafeString:
    """The bare input of a filter; the page gives it its label."""
    return bound.as_widget(attrs={"class": ui_forms.widget_class(bound)})


@register.inclusion_tag("components/_fields.html")
def fields(form: BaseForm) -> dict[str, Any]:
    """All fields of a form, with what is wrong with it as a whole on top."""
    return {"form": form}
