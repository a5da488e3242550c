"""Downloads by curl, on this machine as a host: what it fetches, and where neither a name nor a redirect leads it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.resolver import own_address, with_names
from tests.storage.webserver import Server, serving
from virt import downloads
from virt.downloads import DownloadFailed, ForbiddenPlace
from virt.target import Target

HERE = Target(key="here", transport="local")
DATA = os.urandom(200_000)
FIND = """
from virt import downloads
from virt.errors import VirtError
from virt.target import Target
here, found = Target(key="here", transport="local"), []
for url in sys.argv[1:]:
    try:
        found.append(downloads.fetch_text(here, url))
    except VirtError as error:
        found.append(type(error).__name__ + ": " + error.message)
print(json.dumps(found))
"""


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(own_address()) as found:
        found.put("/image.qcow2", DATA)
        found.put("/SUMS", b"sums")
        yield found


@pytest.fixture
def inside() -> Iterator[Server]:
    """What listens on the host's own loopback, with something that is nobody's business."""
    with serving("127.0.0.1") as found:
        found.put("/secret", b"secret")
        yield found


def fetch(url: str, path: Path) -> bytes:
    download = downloads.Download(HERE, downloads.find(HERE, url), str(path), 10**9)
    try:
        while not download.wait(5):
            pass
    finally:
        download.stop()
    return path.read_bytes()


def test_it_works(server: Server, tmp_path: Path) -> None:
    assert fetch(server.url("/image.qcow2"), tmp_path / "image") == DATA
    assert downloads.find(HERE, server.url("/image.qcow2")).size_bytes == len(DATA)


def test_going_on(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(DATA[:1000])
    assert fetch(server.url("/image.qcow2"), path) == DATA
    assert server.requests[-1].endswith("bytes=1000-")


def test_redirects_are_followed_and_not_for_ever(server: Server, tmp_path: Path) -> None:
    server.redirects |= {"/latest": "/newest", "/newest": server.url("/image.qcow2"), "/loop": "/loop"}
    assert downloads.find(HERE, server.url("/latest")).url == server.url("/image.qcow2")
    assert fetch(server.url("/latest"), tmp_path / "image") == DATA
    with pytest.raises(DownloadFailed, match="on and on"):
        downloads.find(HERE, server.url("/loop"))


def test_a_server_without_head(server: Server, tmp_path: Path) -> None:
    server.knows_head = False
    server.redirects["/latest"] = "/image.qcow2"
    assert downloads.find(HERE, server.url("/latest")).size_bytes == len(DATA)
    assert fetch(server.url("/latest"), tmp_path / "image") == DATA


def test_a_redirect_that_comes_later_is_not_followed(server: Server, inside: Server, tmp_path: Path) -> None:
    place = downloads.find(HERE, server.url("/image.qcow2"))
    server.redirects["/image.qcow2"] = inside.url("/secret")
    download = downloads.Download(HERE, place, str(tmp_path / "image"), 10**9)
    with pytest.raises(DownloadFailed):
        download.wait(10)
    assert inside.requests == []


@pytest.mark.parametrize(
    "kind", ["{loop}", "http://localhost:{port}/secret", "http://0x7f.1:{port}/secret", "file:///etc/passwd"]
)
def test_a_redirect_does_not_lead_inside(server: Server, inside: Server, kind: str) -> None:
    port = inside.server_address[1]
    server.redirects["/out"] = kind.format(loop=inside.url("/secret"), port=port)
    for url in (server.url("/out"), inside.url("/secret")):
        with pytest.raises(ForbiddenPlace):
            downloads.fetch_text(HERE, url)
    assert inside.requests == []


@pytest.mark.thorough
def test_a_name_does_not_lead_inside(server: Server, inside: Server, tmp_path: Path) -> None:
    own, port = own_address(), server.server_address[1]
    names = {"fine.test": own, "sneaky.test": "127.0.0.1", "both.test": own, "BOTH.test": "127.0.0.2"}
    names |= {"cloud.test": "169.254.169.254", "six.test": "::1"}
    server.redirects["/out"] = f"http://sneaky.test:{inside.server_address[1]}/secret"
    urls = [
        f"http://{name}:{port}/SUMS" for name in ("fine.test", "sneaky.test", "both.test", "cloud.test", "six.test")
    ]
    found: list[Any] = with_names(tmp_path, names, FIND, *urls, f"http://fine.test:{port}/out", "http://none.test/x")
    assert found[0] == "sums"
    words = [text.partition(": ")[0] for text in found[1:]]
    assert words == ["ForbiddenPlace"] * 5 + ["DownloadFailed"]
    assert "sneaky.test leads to 127.0.0.1" in found[1]
    assert inside.requests == []


def test_settings_of_the_account_send_it_nowhere_else(
    server: Server, inside: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".curlrc").write_text(f'proxy = "{inside.url("")}"\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("http_proxy", inside.url(""))
    assert downloads.fetch_text(HERE, server.url("/SUMS")) == "sums"
    assert inside.requests == []


def test_a_pattern_is_one_address(server: Server) -> None:
    server.put("/{a,b}[1-3]", b"one")
    assert downloads.fetch_text(HERE, server.url("/{a,b}[1-3]")) == "one"
    assert len(server.requests) == 2
