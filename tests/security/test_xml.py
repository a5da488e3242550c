"""Definitions that a host sends: entities and giants are refused before they cost anything."""

import time

import pytest

from virt.xml import network, pool, summary
from virt.xml.tree import BadXml, parse_document

LAUGHS = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 12))
BOMBS = {
    "billion laughs": f"<!DOCTYPE domain [<!ENTITY l0 'lol'>{LAUGHS}]><domain><name>&l11;</name></domain>",
    "quadratic": "<!DOCTYPE domain [<!ENTITY a '" + "x" * 50_000 + "'>]><domain>" + "&a;" * 50_000 + "</domain>",
    "a file": "<!DOCTYPE domain [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><domain><name>&x;</name></domain>",
    "parameter entity": "<!DOCTYPE domain [<!ENTITY % p SYSTEM 'http://127.0.0.1:1/'>%p;]><domain/>",
    "deep": "<domain>" * 100_000,
    "giant": "<domain><name>" + "x" * (9 * 1024 * 1024) + "</name></domain>",
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_bombs(bomb: str) -> None:
    began = time.monotonic()
    with pytest.raises(BadXml):
        parse_document(bomb, "domain")
    with pytest.raises(BadXml):
        summary.parse(bomb)
    for parse in (network.parse, pool.parse):
        with pytest.raises(BadXml):
            parse(bomb.replace("domain", "network" if parse is network.parse else "pool"))
    assert time.monotonic() - began < 5
