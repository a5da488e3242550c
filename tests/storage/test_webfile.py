"""Downloads by the worker, from a real web server that behaves badly."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.errors import Failed
from storage import webfile
from storage.transfer import Digest
from storage.webfile import WebFile
from tests.resolver import own_address, with_names
from tests.storage.webserver import Server, serving

DATA = os.urandom(3 * 1024 * 1024 + 17)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(own_address()) as found:
        found.put("/image.qcow2", DATA)
        yield found


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webfile.time, "sleep", lambda _seconds: None)


def read(url: str, offset: int = 0) -> bytes:
    return b"".join(WebFile(url).pieces(offset))


def test_it_works(server: Server) -> None:
    found = WebFile(server.url("/image.qcow2"))
    assert (found.size_bytes, found.can_resume) == (len(DATA), True)
    assert b"".join(found.pieces(0)) == DATA


def test_going_on_from_an_offset(server: Server) -> None:
    assert read(server.url("/image.qcow2"), 1_000_000) == DATA[1_000_000:]
    assert server.requests[-1].endswith("bytes=1000000-")
    server.knows_ranges = False
    assert read(server.url("/image.qcow2"), 1_000_000) == DATA[1_000_000:]


def test_a_connection_that_breaks_off_goes_on(server: Server) -> None:
    server.cut_after = 1024 * 1024
    assert read(server.url("/image.qcow2")) == DATA
    assert len(server.requests) >= 4


def test_no_size(server: Server) -> None:
    server.knows_ranges = server.tells_size = False
    found = WebFile(server.url("/image.qcow2"))
    assert found.size_bytes is None
    assert b"".join(found.pieces(0)) == DATA


def test_redirects_are_followed_but_not_for_ever_nor_elsewhere(server: Server) -> None:
    server.redirects["/latest"] = "/image.qcow2"
    assert read(server.url("/latest")) == DATA
    server.redirects["/loop"] = "/loop"
    with pytest.raises(Failed):
        read(server.url("/loop"))
    for other in ("file:///etc/passwd", "ftp://127.0.0.1/x"):
        server.redirects["/out"] = other
        with pytest.raises(Failed):
            read(server.url("/out"))


FIND = """
from jobs.errors import Failed
from storage.webfile import WebFile
found = []
for url in sys.argv[1:]:
    try:
        found.append(WebFile(url).text())
    except Failed as error:
        found.append(str(error.message))
print(json.dumps(found))
"""


@pytest.mark.thorough
def test_neither_a_name_nor_a_redirect_leads_inside(server: Server, tmp_path: Path) -> None:
    server.put("/SUMS", b"sums")
    with serving("127.0.0.1") as inside:
        inside.put("/secret", b"secret")
        there = inside.server_address[1]
        server.redirects["/spelled"] = inside.url("/secret")
        server.redirects["/named"] = f"http://sneaky.test:{there}/secret"
        names = {"fine.test": own_address(), "sneaky.test": "127.0.0.1", "cloud.test": "169.254.169.254"}
        fine = f"http://fine.test:{server.server_address[1]}"
        urls = [f"http://sneaky.test:{there}/secret", "http://cloud.test/x", fine + "/spelled", fine + "/named"]
        found = with_names(tmp_path, names, FIND, fine + "/SUMS", *urls)
        assert inside.requests == []
    assert found[0] == "sums"
    assert all("nothing is fetched from there" in text for text in found[1:]), found


def test_errors_are_told(server: Server) -> None:
    with pytest.raises(Failed, match="404"):
        WebFile(server.url("/nothing"))
    with pytest.raises(Failed, match="refused"):
        WebFile(f"http://{own_address()}:1/x")
    with pytest.raises(Failed):
        WebFile("file:///etc/passwd")
    server.put("/empty", b"")
    with pytest.raises(Failed, match="empty"):
        WebFile(server.url("/empty"))


def test_a_digest_counts_each_byte_once() -> None:
    whole, again = Digest(0), Digest(0)
    whole.update(0, b"abcdef")
    again.update(0, b"abcd")
    again.update(2, b"cdef")  # sent again after an interruption
    assert whole.hex == again.hex
    assert Digest(4).hex is None
