"""Importing images on real hosts from a real web server: what is wrong leaves nothing behind."""

import hashlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from access.models import User
from hosts.models import Host
from jobs import engine, work
from jobs.models import Job
from storage.models import Image, Pool
from storage.operations.catalogue import DeleteImage
from storage.operations.images import begin_url_import, begin_volume_import, retry
from tests.labkit import Lab
from tests.storage.conftest import Do, finish
from tests.storage.webserver import Server, serving

pytestmark = [pytest.mark.lab, pytest.mark.django_db(transaction=True)]
MIB = 1024**2


@pytest.fixture
def server(lab: Lab) -> Iterator[Server]:
    """A web server that the lab's hosts reach."""
    with serving(lab.facts["gateway"]) as found:
        yield found


@pytest.fixture
def tiny(lab: Lab) -> bytes:
    return lab.image("tiny").read_bytes()


@pytest.fixture(params=["host", "worker"])
def downloader(request: pytest.FixtureRequest, lab: Lab) -> Iterator[str]:
    """Who downloads: the host by its curl, or, on hosts that have none, the worker."""
    away = request.param == "worker"
    if away:
        lab.ssh("vmhost1", "mv /usr/bin/curl /usr/bin/curl.away")
    yield request.param
    if away:
        lab.ssh("vmhost1", "mv /usr/bin/curl.away /usr/bin/curl")


def files(lab: Lab, pool: Pool) -> list[str]:
    return lab.ssh("vmhost2", f"ls -A {pool.target_path}").split()


def wish(pool: Pool, url: str, **more: Any) -> dict[str, Any]:
    return {"name": "tiny", "version": "1", "pool": pool.pk, "url": url, **more}


def make(folder: Path, *argv: str) -> bytes:
    """A file that qemu-img makes."""
    path = folder / "made"
    subprocess.run(["qemu-img", "create", "-q", *argv[:-1], str(path), argv[-1]], check=True, cwd=folder)
    return path.read_bytes()


def test_it_works(lab: Lab, shared: Pool, server: Server, tiny: bytes, downloader: str, do: Do, admin: User) -> None:
    checksum = server.put("/images/tiny.qcow2", tiny)
    job = finish(begin_url_import(admin, wish(shared, server.url("/images/tiny.qcow2"), checksum=checksum)))
    assert job.state == "succeeded", (job.error, job.technical)
    image = Image.objects.get()
    assert image.is_ready
    assert (image.format, image.is_iso, image.size_bytes) == ("qcow2", False, len(tiny))
    assert image.virtual_size_bytes > len(tiny)
    assert image.checksum == f"sha256:{checksum}"
    assert lab.ssh("vmhost3", f"stat -c '%a %s' {image.path}").split() == ["444", str(len(tiny))]
    assert lab.ssh("vmhost3", f"sha256sum {image.path}").split()[0] == checksum
    assert any("qemu-img check" in command for command in job.commands)
    assert do(DeleteImage(image), admin).state == "succeeded"
    assert files(lab, shared) == []


def test_a_list_of_checksums(lab: Lab, shared: Pool, server: Server, tiny: bytes, downloader: str, do: Do) -> None:
    checksum = hashlib.sha512(tiny).hexdigest()
    server.put("/tiny.qcow2", tiny)
    server.put("/SHA512SUMS", f"{'0' * 128}  other\n{checksum}  tiny.qcow2\n".encode())
    given = wish(shared, server.url("/tiny.qcow2"), checksum=server.url("/SHA512SUMS"))
    job = finish(begin_url_import(None, given))
    assert job.state == "succeeded", (job.error, job.technical)
    assert Image.objects.get().checksum == f"sha512:{checksum}"


def test_a_wrong_checksum(lab: Lab, shared: Pool, server: Server, tiny: bytes, downloader: str, do: Do) -> None:
    server.put("/tiny.qcow2", tiny)
    job = finish(begin_url_import(None, wish(shared, server.url("/tiny.qcow2"), checksum="0" * 64)))
    assert job.state == "failed"
    assert "checksum" in job.error
    image = Image.objects.get()
    assert (image.state, image.is_stored) == ("failed", False)
    assert image.error == job.error
    assert files(lab, shared) == []


def test_bad_images_leave_nothing(lab: Lab, shared: Pool, server: Server, tiny: bytes, do: Do, tmp_path: Path) -> None:
    bad = {
        "page": (b"<!doctype html><p>Not here", "web page"),
        "text": (b"Dear image,\n" * 5000, "text"),
        "packed": (b"\x1f\x8b\x08" + os.urandom(100_000), "packed"),
        "cut": (tiny[: len(tiny) // 2], "cut off"),
        "cut-early": (tiny[:100_000], "cut off"),
        "overlay": (make(tmp_path, "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", "10M"), "stands on another file"),
        "outside": (make(tmp_path, "-f", "qcow2", "-o", "data_file=d.raw,data_file_raw=on", "10M"), "another file"),
        "vmdk": (make(tmp_path, "-f", "vmdk", "10M"), "vmdk"),
        "uneven": (os.urandom(100_001), "sectors"),
        "empty": (b"", "empty"),
    }
    for name, (data, words) in bad.items():
        server.put(f"/{name}", data)
        job = finish(begin_url_import(None, wish(shared, server.url(f"/{name}"), name=name)))
        assert job.state == "failed", name
        assert words in job.error, (name, job.error)
        assert Image.objects.get(name=name).error == job.error
        assert files(lab, shared) == [], name


def test_an_iso(lab: Lab, shared: Pool, server: Server, do: Do, tmp_path: Path) -> None:
    from virt.seed import SeedSpec, iso, render

    data = iso(render(SeedSpec(hostname="x", instance_id="x")))
    server.put("/seed.iso", data)
    job = finish(begin_url_import(None, wish(shared, server.url("/seed.iso"))))
    assert job.state == "succeeded", job.error
    image = Image.objects.get()
    assert (image.is_iso, image.format, image.size_bytes) == (True, "raw", len(data))


def test_a_download_that_breaks_off_goes_on(
    lab: Lab, shared: Pool, server: Server, tiny: bytes, downloader: str, do: Do
) -> None:
    checksum = server.put("/tiny.qcow2", tiny)
    server.cut_after = len(tiny) // 3 + 1
    job = finish(begin_url_import(None, wish(shared, server.url("/tiny.qcow2"), checksum=checksum)))
    assert job.state == "succeeded", (job.error, list(job.lines.values_list("text", flat=True)))
    parts = [request for request in server.requests if "bytes=" in request and not request.endswith("=0-0")]
    assert len(parts) >= 2


def test_what_the_server_says_is_told(lab: Lab, shared: Pool, server: Server, downloader: str, do: Do) -> None:
    job = finish(begin_url_import(None, wish(shared, server.url("/nothing"))))
    assert job.state == "failed"
    assert "404" in job.error
    assert files(lab, shared) == []


def test_a_failed_import_can_be_tried_again(lab: Lab, shared: Pool, server: Server, tiny: bytes, do: Do) -> None:
    assert finish(begin_url_import(None, wish(shared, server.url("/tiny.qcow2")))).state == "failed"
    server.put("/tiny.qcow2", tiny)
    assert finish(retry(None, Image.objects.get())).state == "succeeded"
    assert Image.objects.get().is_ready


def test_a_file_of_somebody_else_is_not_overwritten(
    lab: Lab, shared: Pool, server: Server, tiny: bytes, do: Do
) -> None:
    server.put("/tiny.qcow2", tiny)
    lab.ssh("vmhost2", f"echo precious > {shared.target_path}/tiny-1.qcow2")
    job = finish(begin_url_import(None, wish(shared, server.url("/tiny.qcow2"))))
    assert job.state == "failed"
    assert "already" in job.error
    assert lab.ssh("vmhost1", f"cat {shared.target_path}/tiny-1.qcow2").strip() == "precious"


def test_a_pool_without_room(lab: Lab, small: Pool, server: Server, tiny: bytes, downloader: str, do: Do) -> None:
    checksum = server.put("/tiny.qcow2", tiny)
    job = finish(begin_url_import(None, wish(small, server.url("/tiny.qcow2"), checksum=checksum)))
    assert job.state == "failed"
    assert "room" in job.error
    server.knows_ranges = server.tells_size = False  # nobody knows how long it is: it fills up on the way
    job = finish(retry(None, Image.objects.get()))
    assert job.state == "failed"
    assert "space" in job.error.lower() or "full" in job.error.lower(), job.error
    assert not lab.ssh("vmhost1", "ls -A /srv/small").strip()


def in_background(job: Job) -> threading.Thread:
    """Run a job as a worker would, beside the test."""
    from django.db import connection

    def run() -> None:
        work.run(job.pk)
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def until_moving(job: Job, within_s: float = 30) -> None:
    until = time.monotonic() + within_s
    while not (job.detail.get("done_bytes") or 0):
        assert time.monotonic() < until
        time.sleep(0.2)
        job.refresh_from_db()


@pytest.fixture
def on_disk(transactional_db: None) -> None:
    """Threads of a test see its rows."""


def test_cancel_stops_the_download_and_removes_the_part(
    lab: Lab, shared: Pool, server: Server, tiny: bytes, downloader: str, do: Do, on_disk: None, admin: User
) -> None:
    server.put("/tiny.qcow2", tiny)
    server.bytes_per_s = 1 * MIB
    job = begin_url_import(admin, wish(shared, server.url("/tiny.qcow2")))
    thread = in_background(job)
    until_moving(job)
    with work._runs_lock:  # what the heartbeat does when it reads the wish
        work._runs[job.pk].cancel_asked.set()
    assert engine.cancel(job, admin)
    thread.join(30)
    job.refresh_from_db()
    assert job.state == "cancelled"
    assert Image.objects.get().error == "Cancelled."
    assert files(lab, shared) == []
    assert not lab.ssh("vmhost1", "pgrep -x curl", check=False).strip()


def test_libvirtd_restarted_in_the_middle(
    lab: Lab, shared: Pool, server: Server, tiny: bytes, downloader: str, do: Do, on_disk: None
) -> None:
    checksum = server.put("/tiny.qcow2", tiny)
    server.bytes_per_s = 3 * MIB
    job = begin_url_import(None, wish(shared, server.url("/tiny.qcow2"), checksum=checksum))
    thread = in_background(job)
    until_moving(job)
    lab.ssh("vmhost1", "systemctl restart libvirtd")
    thread.join(90)
    job.refresh_from_db()
    assert job.state == "succeeded", (job.error, job.technical)
    assert lab.ssh("vmhost2", f"sha256sum {Image.objects.get().path}").split()[0] == checksum


def test_a_run_whose_worker_died_is_repeated(
    lab: Lab, shared: Pool, server: Server, tiny: bytes, do: Do, on_disk: None, lab_up: list[Host]
) -> None:
    """The earlier run left half a file and its curl, which still writes."""
    checksum = server.put("/tiny.qcow2", tiny)
    server.bytes_per_s = 1 * MIB
    url = server.url("/tiny.qcow2")
    job = begin_url_import(None, wish(shared, url, checksum=checksum))
    path = f"{shared.target_path}/tiny-1.qcow2"
    left = lab.ssh("vmhost1", f"setsid curl -s -o {path} {url} >/dev/null 2>&1 & echo $!; sleep 2").split()[0]
    Image.objects.update(is_stored=True)
    Job.objects.filter(pk=job.pk).update(attempt=1, result={"curl": int(left)})
    server.bytes_per_s = 2 * MIB  # not faster: the one that was left must not have got it all before it is found
    assert finish(job).state == "succeeded"
    assert any("bytes=" in request for request in server.requests)
    assert lab.ssh("vmhost2", f"sha256sum {path}").split()[0] == checksum
    assert not lab.ssh("vmhost1", f"ps -o pid= -p {left}", check=False).strip()


def test_a_file_in_a_pool_becomes_an_image_where_it_is(
    lab: Lab, shared: Pool, tiny: bytes, do: Do, admin: User, lab_up: list[Host]
) -> None:
    from storage import sync, volumes

    volumes.upload_bytes(shared, lab_up[0], "golden.qcow2", tiny)
    lab.ssh("vmhost1", f"cd {shared.target_path} && qemu-img create -q -f qcow2 -F qcow2 -b golden.qcow2 top.qcow2")
    sync.refresh_pool(shared, lab_up[0], rescan=True)
    fields = {"name": "golden", "version": "1", "pool": shared.pk}
    job = finish(begin_volume_import(admin, fields | {"volume": "golden.qcow2"}))
    assert job.state == "succeeded", (job.error, job.technical)
    image = Image.objects.get()
    assert lab.ssh("vmhost2", f"stat -c %a {image.path}").strip() == "444"
    refused = finish(begin_volume_import(admin, fields | {"version": "2", "volume": "top.qcow2"}))
    assert refused.state == "failed"
    assert "another file" in refused.error
    assert sorted(files(lab, shared)) == ["golden.qcow2", "top.qcow2"]  # never removed: it was not made by us
    lab.ssh("vmhost1", f"rm {shared.target_path}/top.qcow2")
    sync.refresh_pool(shared, lab_up[0], rescan=True)
    assert do(DeleteImage(image, {"keep_file": True}), admin).state == "succeeded"
    assert files(lab, shared) == ["golden.qcow2"]
    assert lab.ssh("vmhost2", f"stat -c %a {image.path}").strip() == "644"


def test_not_deleted_while_a_disk_stands_on_it(
    lab: Lab, shared: Pool, server: Server, tiny: bytes, do: Do, admin: User
) -> None:
    server.put("/tiny.qcow2", tiny)
    assert finish(begin_url_import(admin, wish(shared, server.url("/tiny.qcow2")))).state == "succeeded"
    image = Image.objects.get()
    lab.ssh("vmhost3", f"cd {shared.target_path} && qemu-img create -q -f qcow2 -F qcow2 -b {image.path} top.qcow2")
    job = do(DeleteImage(image), admin)
    assert job.state == "failed"
    assert "top.qcow2" in job.error
    assert image.volume_name in files(lab, shared)
