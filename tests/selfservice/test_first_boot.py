"""What an asker fills in gets into the structure of the template and nowhere else; names from patterns; Markdown."""

from typing import Any

import pytest
import yaml

from jobs.errors import Refused
from selfservice import first_boot, naming
from selfservice.first_boot import Field
from selfservice.markdown import rendered
from tests.factories import make_vm
from virt.user_data import parse_config

FIELDS = first_boot.read_fields(
    "zone*: Europe/Berlin | UTC: Time zone\nsize: number\nswap: yes\ncourse: text: Course: name"
)
TEMPLATE = """#cloud-config
timezone: <zone>
packages: [vim, <course>]
swap: {enabled: <swap>, size: <size>}
write_files:
- {path: /etc/course, content: <course>}
"""
HOSTILE = [
    "x\nruncmd: [reboot]",
    "]\nusers: [root",
    "{a: b}",
    "*anchor",
    "!!python/object:os.system ls",
    "'; reboot; '",
    "<zone>",
    "# x",
    "- y",
    "null",
    "1",
    "yes",
    "\\u2028",
]


def test_it_works() -> None:
    assert [one.kind for one in FIELDS] == ["choice", "number", "yes", "text"]
    assert (FIELDS[0].shown, FIELDS[3].shown, FIELDS[1].shown) == ("Time zone", "Course: name", "Size")
    assert first_boot.read_fields(first_boot.written(FIELDS)) == FIELDS
    assert first_boot.check(TEMPLATE, FIELDS) == []
    values = first_boot.clean(FIELDS, {"zone": "UTC", "size": "7", "swap": "on", "course": "Networks"})
    assert values == {"zone": "UTC", "size": 7, "swap": True, "course": "Networks"}
    assert parse_config(first_boot.filled(TEMPLATE, values)) == {
        "timezone": "UTC",
        "packages": ["vim", "Networks"],
        "swap": {"enabled": True, "size": 7},
        "write_files": [{"path": "/etc/course", "content": "Networks"}],
    }


def test_what_is_left_empty_is_left_out() -> None:
    values = first_boot.clean(FIELDS, {"zone": "UTC"})
    assert parse_config(first_boot.filled(TEMPLATE, values)) == {
        "timezone": "UTC",
        "packages": ["vim"],
        "swap": {"enabled": False},
        "write_files": [{"path": "/etc/course"}],
    }


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_stays_a_value(value: str) -> None:
    fields = [Field("course")]
    template = "#cloud-config\nwrite_files:\n- {path: /etc/course, content: <course>}\n"
    if "\n" in value:
        with pytest.raises(Refused):
            first_boot.clean(fields, {"course": value})
    found = yaml.safe_load(first_boot.filled(template, {"course": value}))
    assert found == {"write_files": [{"path": "/etc/course", "content": value}]}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "value-zone"),
        ({"zone": "Mars"}, "value-zone"),
        ({"zone": "UTC", "size": "1.5"}, "value-size"),
        ({"zone": "UTC", "size": "9" * 30}, "value-size"),
        ({"zone": "UTC", "course": "x" * 501}, "value-course"),
        ({"zone": "UTC", "course": "\x07"}, "value-course"),
        ({"zone": "UTC", "other": "x"}, "values"),
    ],
)
def test_values_that_are_not_taken(given: dict[str, Any], field: str) -> None:
    with pytest.raises(Refused) as refused:
        first_boot.clean(FIELDS, given)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("template", "word"),
    [
        ("#cloud-config\nruncmd: ['echo <a>']\n", "must stand alone"),
        ("#cloud-config\n<a>: x\n", "must stand alone"),
        ("#cloud-config\ntimezone: <b>\nlocale: <a>\n", "No field is called b"),
        ("#cloud-config\ntimezone: UTC\n", "is nowhere in the template"),
        ("#!/bin/sh\necho <a>\n", "is nowhere in the template"),
        ("", "is nowhere in the template"),
        ("#cloud-config\na: [<a>\n", "Line"),
        ("echo", "Line 1"),
    ],
)
def test_templates_that_can_not_work(template: str, word: str) -> None:
    assert word in " ".join(first_boot.check(template, [Field("a")]))


@pytest.mark.parametrize("line", ["A: text", "a b", "a: what", "a: x || y", "a: |", "<a>", "a*b"])
def test_fields_that_are_not_understood(line: str) -> None:
    with pytest.raises(Refused, match="Line 2"):
        first_boot.read_fields("ok\n" + line)


def test_a_script_is_left_as_it_is() -> None:
    assert first_boot.filled("#!/bin/sh\necho hi\n", {}) == "#!/bin/sh\necho hi\n"


@pytest.mark.parametrize(
    ("pattern", "count", "wanted"),
    [
        ("web", 1, ["web"]),
        ("web", 2, ["web-01", "web-02"]),
        ("web-#", 2, ["web-1", "web-2"]),
        ("w##.lab", 2, ["w01.lab", "w02.lab"]),
        ("web-##", 1, ["web-01"]),
    ],
)
def test_names(pattern: str, count: int, wanted: list[str]) -> None:
    naming.check(pattern, count)
    assert naming.first(pattern, count) == wanted


@pytest.mark.django_db
def test_names_that_somebody_has_are_passed_over() -> None:
    for name in ("web", "web-2", "db-01"):
        make_vm(None, name)
    assert naming.free("web", 1, 1) == ["web-3"]
    assert naming.free("db-##", 3, 2) == ["db-02", "db-03"]


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "[x](javascript:alert(1))",
        "![x](https://evil.example/pixel.png)",
        "<img src=x onerror=alert(1)>",
        '[x](https://a.example "t\' onclick=1")',
        "<a href='x' style='position:fixed'>x</a>",
        '<https://a.example/"onclick=1>',
    ],
)
def test_hostile_markdown(text: str) -> None:
    made = rendered(text)
    tags = [part.split(">")[0] for part in made.split("<")[1:]]
    assert not [tag for tag in tags if tag.split()[0].strip("/") in {"script", "img", "style", "iframe"}]
    assert not [tag for tag in tags if "onclick" in tag.replace("%22", "").split("href=")[0] or "style=" in tag]
    assert 'href="javascript' not in made


def test_markdown() -> None:
    made = rendered("# Hello\n\n- a **b**\n\n[x](https://a.example)\n\n| a | b |\n|---|---|\n| 1 | 2 |")
    for piece in (
        "<h3>Hello</h3>",
        "<strong>b</strong>",
        'href="https://a.example"',
        'rel="noopener noreferrer"',
        "<td>2</td>",
    ):
        assert piece in made, piece
