"""What `{% load ui %}` draws."""

import re
from pathlib import Path

import pytest
from django import forms
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.template import Context, RequestContext, Template
from django.test import RequestFactory
from django.test.html import Element, parse_html
from django.utils import timezone
from django_htmx.middleware import HtmxMiddleware

from jobs.errors import Refused
from ui.forms import LongSelect, add_refusal

ROOT = Path(__file__).resolve().parents[2]
EVIL = '"><script>alert(1)</script>'


def draw(source: str, **context: object) -> str:
    return Template("{% load ui %}" + source).render(Context(context))


def test_every_icon_that_is_named_exists() -> None:
    icons = ROOT / "node_modules" / "@tabler" / "icons" / "icons" / "outline"
    named = {
        (name, path.name)
        for path in (ROOT / "templates").rglob("*.html")
        for name in re.findall(r"""{%\s*icon\s+["']([^"']+)["']""", path.read_text())
    }
    assert named
    assert {(name, page) for name, page in named if not (icons / f"{name}.svg").exists()} == set()


def test_no_template_breaks_the_content_security_policy() -> None:
    inline = re.compile(r"<script(?![^>]*\bsrc=)|\sstyle=|\son[a-z]+=|\shx-on|javascript:|\|safe\b|mark_safe")
    found = {
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in (ROOT / "templates").rglob("*.html")
        for match in inline.finditer(path.read_text())
    }
    assert found == set()


def test_fragments_say_what_they_need() -> None:
    silent = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "templates").rglob("_*.html")
        if not path.read_text().startswith("{# needs:")
    }
    assert silent == set()


def test_icon() -> None:
    assert draw('{% icon "server" %}').startswith('<svg class="icon ')
    with pytest.raises(ValueError, match="not an icon"):
        draw('{% icon "../secret" %}')


def test_what_was_not_observed_is_never_zero() -> None:
    assert "bar-unknown" in draw("{% bar value %}", value=None)
    assert "progress" not in draw("{% bar value %}", value=None)
    assert draw("{{ a|percent }} {{ a|size }} {{ a|dash }} {{ z|dash }} {% age a %}", a=None, z=0) == "– – – 0 –"


def test_bar() -> None:
    assert 'value="84.0"' in draw("{% bar 84 'used' 80 90 %}")
    assert "bar-warn" in draw("{% bar 84 'used' 80 90 %}")
    assert "bar-danger" in draw("{% bar 90 'used' 80 90 %}")
    assert 'value="100.0"' in draw("{% bar 250 %}")


def test_age_tells_the_exact_time_too() -> None:
    now = timezone.now()
    drawn = draw("{% age when %}", when=now)
    assert f'datetime="{now.isoformat()}"' in drawn
    assert f'title="{timezone.localtime(now):%Y-%m-%d %H:%M:%S}"' in drawn


def test_sparkline_has_gaps() -> None:
    assert draw("{% sparkline values %}", values=[1, 2, None, 3, 4]).count("<polyline") == 2
    assert "–" in draw("{% sparkline values %}", values=[None, 5])


@pytest.mark.parametrize("tag", ["{% copy x %}", "{% badge x %}", "{% by_hand xs %}", "{% sparkline v 1 x %}"])
def test_text_cannot_break_out(tag: str) -> None:
    assert "<script>" not in draw(tag, x=EVIL, xs=[EVIL], v=[1, 2])


class Example(forms.Form):
    name = forms.CharField(help_text="Letters.")
    size = forms.IntegerField()
    live = forms.BooleanField(required=False)
    kind = forms.ChoiceField(choices=[("a", "A"), ("b", "B")], widget=forms.RadioSelect)


def test_fields_tie_label_help_and_error_to_the_input() -> None:
    form = Example({"name": EVIL, "size": "many", "kind": "a"})
    page = draw("{% fields form %}", form=form)
    assert "<script>" not in page
    assert '<label class="form-label required" for="id_name">' in page
    assert 'aria-describedby="id_name_helptext"' in page
    assert 'id="id_name_helptext"' in page
    assert "form-control is-invalid" in page
    assert "Enter a whole number." in page
    assert page.count('type="radio"') == 2


def test_a_pause_that_is_long_is_told_in_seconds() -> None:
    drawn = Template("{% load ui %}{{ short|milliseconds }}, {{ long|milliseconds }}")
    assert drawn.render(Context({"short": 38, "long": 50_216})).replace("\u00a0", " ") == "38 ms, 50 s"


@pytest.mark.parametrize(("number", "is_long"), [(12, False), (13, True)])
def test_many_boxes_get_a_field_to_find_them(number: int, is_long: bool) -> None:
    field = forms.MultipleChoiceField(
        choices=[(str(one), f"vmhost{one}") for one in range(number)], widget=forms.CheckboxSelectMultiple
    )
    form = type("Hosts", (forms.Form,), {"hosts": field})()
    text = Template("{% load ui %}{% field form.hosts %}").render(Context({"form": form}))
    assert text.count('type="checkbox"') == number
    assert ("choices-find" in text) is is_long
    assert ('name=""' in text) is False


def test_a_refused_operation_is_shown_beside_its_field() -> None:
    form = Example({"name": "web", "size": 1, "kind": "a"})
    assert form.is_valid()
    add_refusal(form, Refused("Already taken.", field="name"))
    assert form.errors["name"] == ["Already taken."]
    add_refusal(form, Refused("Already taken.", field="nowhere"))
    assert form.non_field_errors() == ["Already taken."]


def test_pages_keep_the_rest_of_the_address() -> None:
    page = Paginator(range(95), 10).page(4)
    request = RequestFactory().get("/vms/?state=running&page=4")
    drawn = Template('{% load ui %}{% pages page "#list" %}').render(RequestContext(request, {"page": page}))
    assert "31 to 40 of 95" in drawn
    assert 'hx-get="/vms/?state=running&amp;page=5"' in drawn
    assert 'aria-current="page">4<' in drawn


@pytest.mark.parametrize(
    ("title", "name", "told"),
    [
        ("Migrate web-01 → vmhost3", "web-01", "Migrate → vmhost3"),
        ("Start a", "a", "Start"),
        ("Start a b", "a b", "Start a b"),
    ],
)
def test_a_title_without_the_name_beside_it(title: str, name: str, told: str) -> None:
    assert draw("{{ title|without:name }}", title=title, name=name) == told


def test_pages_of_a_part_lead_to_the_page_it_belongs_to() -> None:
    page = Paginator(range(100), 10).page(3)
    source = '{% pages page "#part" key="hosts" path="/pools/1/" %}'
    asked = {"HX-Request": "true", "HX-Current-URL": "http://testserver/pools/1/?q=a"}

    def drawn(path: str, headers: dict[str, str] | None = None) -> str:
        request = RequestFactory().get(path, {"q": "a", "hosts": "3"}, headers=headers)
        HtmxMiddleware(lambda _request: HttpResponse())(request)
        return Template("{% load ui %}" + source).render(RequestContext(request, {"page": page}))

    part = drawn("/pools/1/part", asked)
    assert 'hx-get="/pools/1/?q=a&amp;hosts=4"' in part
    assert 'hx-push-url="true"' in part
    assert 'hx-push-url="true"' in drawn("/pools/1/")
    elsewhere = drawn("/pools/1/part", {**asked, "HX-Current-URL": "http://testserver/"})
    assert 'hx-push-url="false"' in elsewhere


@pytest.mark.parametrize("value", ["", "b", "network:lan", EVIL, None])
def test_a_long_select_is_the_same_select(value: str | None) -> None:
    choices = [("", "none"), ("Networks", [("network:lan", "lan"), (EVIL, EVIL)]), ("Empty", []), ("b", "<b>")]

    def drawn(kind: type[forms.Select]) -> Element:
        html = kind(choices=choices, attrs={"class": "x"}).render("field", value, {"id": "id_field", "required": True})
        return parse_html(html)

    assert drawn(LongSelect) == drawn(forms.Select)
