"""Uploads into the pool of a real host: through the queue and libvirt's stream, over everything that can break."""

import hashlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.db import connection
from django.test import Client
from django.urls import reverse

from access.models import User
from jobs import work
from jobs.models import Job
from storage import transfer, uploads
from storage.models import Image, Pool, Upload
from storage.operations.uploads import AbandonUpload
from tests.labkit import Lab
from tests.storage.conftest import Do

pytestmark = [pytest.mark.lab, pytest.mark.django_db(transaction=True)]
PART = 1024 * 1024


class Browser:
    """What static/js/upload.js does: part after part from where the server says, and again after a break."""

    def __init__(self, client: Client, data: bytes) -> None:
        self.client, self.data, self.pauses = client, data, 0

    def begin(self, pool: Pool, **more: Any) -> Upload:
        given = {"name": "up", "version": "1", "pool": pool.pk, "file_name": "up.qcow2", "size_bytes": len(self.data)}
        answer = self.client.post(reverse("storage:begin_upload"), given | more)
        assert answer.status_code == 201, answer.content
        return Upload.objects.get(pk=answer.json()["id"])

    def send(self, upload: Upload, *, until: int | None = None, within_s: float = 90) -> None:
        """Send up to an offset, or until the host has everything."""
        end, offset, give_up = until or len(self.data), 0, time.monotonic() + within_s
        while time.monotonic() < give_up:
            state = self.client.get(reverse("storage:upload", args=[upload.pk])).json()
            if state.get("is_over") or not state["is_active"] or (until and state["accepted"] >= until):
                return
            offset = state["accepted"]
            if offset >= end:
                time.sleep(0.1)
                continue
            answer = self.client.post(
                reverse("storage:send_upload", args=[upload.pk]),
                self.data[offset : min(offset + PART, end)],
                content_type="application/octet-stream",
                headers={"Upload-Offset": str(offset)},
            )
            if answer.status_code in {429, 503}:
                self.pauses += 1
                time.sleep(0.1)
        raise AssertionError("the upload does not end")


@pytest.fixture
def data(lab: Lab) -> bytes:
    return lab.image("tiny").read_bytes()


@pytest.fixture
def browser(admin_client: Client, data: bytes, queue: "redis.Redis", do: Do) -> Browser:
    return Browser(admin_client, data)


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Runs a job beside the test, as the worker would."""
    threads: list[threading.Thread] = []

    def start(job: Job) -> threading.Thread:
        def run() -> None:
            work.run(job.pk)
            connection.close()

        thread = threading.Thread(target=run)
        threads.append(thread)
        thread.start()
        return thread

    yield start
    for thread in threads:
        thread.join(120)


def ended(job: Job) -> Job:
    job.refresh_from_db()
    return job


def test_it_works(lab: Lab, shared: Pool, browser: Browser, worker: Any, data: bytes) -> None:
    upload = browser.begin(shared, checksum=hashlib.sha256(data).hexdigest())
    assert upload.job is not None
    thread = worker(upload.job)
    browser.send(upload)
    thread.join(60)
    job = ended(upload.job)
    assert job.state == "succeeded", (job.error, job.technical)
    image = Image.objects.get()
    assert image.is_ready
    assert image.checksum == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert lab.ssh("vmhost3", f"sha256sum {image.path}").split()[0] == hashlib.sha256(data).hexdigest()
    assert lab.ssh("vmhost3", f"stat -c %a {image.path}").strip() == "444"
    assert not Upload.objects.exists()


def test_a_wrong_file_is_refused_after_its_first_part(lab: Lab, shared: Pool, browser: Browser, worker: Any) -> None:
    browser.data = b"<!doctype html>" + b"x" * (20 * PART)
    upload = browser.begin(shared)
    assert upload.job is not None
    thread = worker(upload.job)
    browser.send(upload)
    thread.join(60)
    assert "web page" in ended(upload.job).error
    assert Image.objects.get().state == "failed"
    assert not Upload.objects.exists()
    assert not lab.ssh("vmhost1", f"ls -A {shared.target_path}").strip()


def test_a_browser_that_is_closed_goes_on_later(
    lab: Lab, shared: Pool, browser: Browser, worker: Any, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "IDLE_S", 2.0)
    upload = browser.begin(shared)
    assert upload.job is not None
    thread = worker(upload.job)
    browser.send(upload, until=6 * PART)
    thread.join(60)
    job = ended(upload.job)
    assert job.state == "failed"
    assert "stopped sending" in job.error
    upload.refresh_from_db()
    assert upload.stored_bytes == 6 * PART
    answer = browser.client.post(reverse("storage:resume_upload", args=[upload.pk])).json()
    assert (answer["accepted"], answer["is_active"]) == (6 * PART, True)
    upload = Upload.objects.select_related("job").get()
    assert upload.job is not None
    thread = worker(upload.job)
    browser.send(upload)
    thread.join(60)
    assert ended(upload.job).state == "succeeded", upload.job.error
    assert Image.objects.get().checksum == f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_libvirtd_restarted_in_the_middle(
    lab: Lab, shared: Pool, browser: Browser, worker: Any, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "FLUSH_BYTES", 2 * PART)
    upload = browser.begin(shared)
    assert upload.job is not None
    thread = worker(upload.job)
    browser.send(upload, until=5 * PART)
    lab.ssh("vmhost1", "systemctl restart libvirtd")
    browser.send(upload)
    thread.join(90)
    job = ended(upload.job)
    assert job.state == "succeeded", (job.error, job.technical)
    image = Image.objects.get()
    assert image.checksum == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert lab.ssh("vmhost2", f"sha256sum {image.path}").split()[0] == hashlib.sha256(data).hexdigest()


def test_redis_away_for_a_while(
    lab: Lab, shared: Pool, browser: Browser, worker: Any, data: bytes, queue: "redis.Redis"
) -> None:
    upload = browser.begin(shared)
    assert upload.job is not None
    thread = worker(upload.job)
    browser.send(upload, until=4 * PART)
    queue.execute_command("CLIENT", "PAUSE", "4000", "ALL")
    began = time.monotonic()
    browser.send(upload)
    thread.join(90)
    assert time.monotonic() - began > 2
    assert ended(upload.job).state == "succeeded", (upload.job.error, upload.job.technical)
    assert Image.objects.get().checksum == f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_everything_redis_held_is_lost(
    lab: Lab, shared: Pool, browser: Browser, worker: Any, data: bytes, queue: "redis.Redis"
) -> None:
    upload = browser.begin(shared)
    assert upload.job is not None
    browser.send(upload, until=3 * PART)
    queue.flushall()
    thread = worker(upload.job)
    browser.send(upload)
    thread.join(60)
    assert ended(upload.job).state == "succeeded", (upload.job.error, upload.job.technical)
    assert Image.objects.get().checksum == f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_a_worker_that_died_is_followed_by_another(
    lab: Lab, shared: Pool, browser: Browser, worker: Any, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first run stored a part and took more from the queue; then its process was gone."""
    monkeypatch.setattr(uploads, "IDLE_S", 2.0)
    upload = browser.begin(shared)
    assert upload.job is not None
    job = upload.job
    thread = worker(job)
    browser.send(upload, until=5 * PART)
    thread.join(60)
    Job.objects.filter(pk=job.pk).update(state="queued", finished_at=None, worker="")
    Image.objects.update(state="importing")
    Upload.objects.update(accepted_bytes=8 * PART)  # three parts died with it
    monkeypatch.setattr(uploads, "IDLE_S", 60.0)
    thread = worker(job)
    browser.send(upload)
    thread.join(60)
    assert ended(job).state == "succeeded", (job.error, job.technical)
    assert job.attempt == 2
    image = Image.objects.get()
    assert image.checksum == f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_cancel_and_abandon(
    lab: Lab, shared: Pool, browser: Browser, worker: Any, do: Do, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "IDLE_S", 1.0)
    upload = browser.begin(shared)
    assert upload.job is not None
    thread = worker(upload.job)
    browser.send(upload, until=2 * PART)
    thread.join(60)
    assert lab.ssh("vmhost2", f"ls -A {shared.target_path}").strip()
    job = do(AbandonUpload(upload.image, {"upload": str(upload.pk)}))
    assert job.state == "succeeded", job.error
    assert not lab.ssh("vmhost2", f"ls -A {shared.target_path}").strip()
    assert Image.objects.get().state == "failed"
    assert not Upload.objects.exists()
