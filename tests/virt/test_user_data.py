"""What people paste as user-data, and what they are told about it."""

import pytest

from virt.user_data import content_type, validate_user_data

BOMB = "#cloud-config\na: &a [x,x]\n" + "".join(
    f"b{n}: &{chr(98 + n)} [*{chr(97 + n)},*{chr(97 + n)}]\n" for n in range(24)
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \n",
        "#cloud-config\n",
        "#cloud-config\n# only a comment\n",
        "#cloud-config\r\npackages:\r\n  - vim\r\n",
        "\ufeff#cloud-config\npackages: [vim]\n",
        "#cloud-config\nwhen: 2026-01-02\nmac: 52:54:00:00:00:01\n",
        "#cloud-config\nbase: &b {a: 1}\nother:\n  <<: *b\n  a: 2\n",
        "#!/usr/bin/env python3\nprint('ü')",
        "#include https://example.org/x\n",
        "#cloud-config-archive\n- type: x\n",
        "## template: jinja\n#cloud-config\n{% if x %}\n",
        "#cloud-config\nusers: default\n",
    ],
)
def test_it_works(text: str) -> None:
    assert validate_user_data(text) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("packages: [vim]\n", "Line 1: begin with #cloud-config"),
        ("# cloud-config\npackages: [vim]\n", "Line 1: the first line must be exactly #cloud-config"),
        ("#Cloud-Config\n", "Line 1: the first line must be exactly #cloud-config"),
        ("\n#cloud-config\n", "Line 1: there must be nothing before"),
        ("<html>", "Line 1: begin with"),
        ("#cloud-config\na: 1\n\tb: 2\n", "Line 3: a tab is used"),
        ("#cloud-config\na:\n  - b\n c: 1\n", "Line 4:"),
        ("#cloud-config\nruncmd:\n  - echo: hi: there\n", "Line 3: a colon stands"),
        ("#cloud-config\na: [1, 2\n", "this is not YAML"),
        ("#cloud-config\na: 'x\n", "this is not YAML"),
        ("#cloud-config\na: *nowhere\n", "Line 2:"),
        ("#cloud-config\na: 1\nb: 2\na: 3\n", "Line 4: 'a' is given twice."),
        ("#cloud-config\na:\n  b: 1\n  b: 2\n", "Line 4: 'b' is given twice."),
        ("#cloud-config\na: !!python/object/apply:os.system [id]\n", "Line 2: tags"),
        ("#cloud-config\n- a\n- b\n", "there must be settings"),
        ("#cloud-config\njust words\n", "there must be settings"),
        ("#cloud-config\n1: a\n", "is not a text"),
        ("#cloud-config\npackages: vim\n", "packages must be a list"),
        ("#cloud-config\nruncmd: id\n", "runcmd must be a list"),
        ("#cloud-config\nhostname: 1e3\n---\nb: 1\n", "Line 3:"),
        ("#cloud-config\nd: 2026-13-45\n", "cannot be read"),
        ("#cloud-config\nn: " + "9" * 5000 + "\n", "cannot be read"),
        ("#cloud-config\na: " + "[" * 5000 + "]" * 5000 + "\n", "nested too deeply"),
        ("#cloud-config\n[a]: 1\n", "Line 2:"),
        ("#cloud-config\na: b\x07\n", "Line 2: there is a control character (U+0007)."),
        ("#cloud-config\na: \ud800\n", "Line 2: there is a control character (U+D800)."),
        ("#!/bin/sh\n\x00", "Line 2: there is a control character"),
        ("#!/bin/sh\n" + "x" * 600_000, "larger than 512 KiB"),
        (BOMB, "repeats itself too often"),
        ("#cloud-config\na: &a [*a]\n", "repeats itself too often"),
        ("Content-Type: multipart/mixed; boundary=b\n\nno parts\n", "has no parts"),
        ("MIME-Version: 1.0\nContent-Type: text/plain\n\nx\n", "has no parts"),
        (
            'Content-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: text/cloud-config\n\n'
            "#cloud-config\na: 1\na: 2\n--b--\n",
            "Part 1: Line 3: 'a' is given twice.",
        ),
    ],
)
def test_people_are_told_what_is_wrong(text: str, words: str) -> None:
    messages = validate_user_data(text)

    assert len(messages) == 1
    assert words in messages[0]


def test_all_findings_of_one_kind_are_told_at_once() -> None:
    assert validate_user_data("#cloud-config\npackages: vim\nruncmd: id\n1: a\n") == [
        "The setting 1 is not a text; put it into quotes.",
        "packages must be a list (one line with - per package).",
        "runcmd must be a list (one line with - per command).",
    ]


def test_kinds() -> None:
    assert content_type("#cloud-config-archive\n") == "text/cloud-config-archive"
    assert content_type("#include-once\n") == "text/x-include-once-url"
    assert content_type("MIME-Version: 1.0\n") == "multipart"
    assert content_type("hello") == ""
