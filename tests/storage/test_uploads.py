"""Parts of a file from the browser to the queue, in order, bounded, and only one's own. Hosts: test_lab_uploads.py."""

import os
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from access.models import User
from jobs.errors import Failed
from jobs.models import Job
from jobs.states import State
from storage import uploads
from storage.models import Image, Pool, Upload
from storage.operations.uploads import clean_uploads
from tests.factories import GIB, make_host, make_pool

pytestmark = pytest.mark.django_db
PART = 1000


@pytest.fixture
def pool() -> Pool:
    return make_pool("vms", make_host())


@pytest.fixture
def upload(queue: "redis.Redis", admin_client: Client, pool: Pool) -> Upload:
    answer = begin(admin_client, pool)
    assert answer.status_code == 201, answer.content
    return Upload.objects.get(pk=answer.json()["id"])


def begin(client: Client, pool: Pool, **more: Any) -> Any:
    data = {"name": "debian", "version": "1", "pool": pool.pk, "file_name": "d.qcow2", "size_bytes": 10 * PART, **more}
    return client.post(reverse("storage:begin_upload"), data)


def send(client: Client, upload: Upload, offset: int, data: bytes) -> Any:
    return client.post(
        reverse("storage:send_upload", args=[upload.pk]),
        data,
        content_type="application/octet-stream",
        headers={"Upload-Offset": str(offset)},
    )


def test_it_works(admin_client: Client, upload: Upload) -> None:
    job = Job.objects.get()
    assert (job.operation, job.state) == ("storage.receive_upload", "queued")
    parts = [os.urandom(PART) for _number in range(3)]
    for number, part in enumerate(parts):
        assert send(admin_client, upload, number * PART, part).json()["accepted"] == (number + 1) * PART
    source = uploads.QueueSource(upload.pk).pieces(0)
    assert [next(source) for _number in range(3)] == parts
    state = admin_client.get(reverse("storage:upload", args=[upload.pk])).json()
    assert (state["accepted"], state["stored"], state["size"], state["is_active"]) == (3 * PART, 0, 10 * PART, True)


def test_parts_come_in_order(admin_client: Client, upload: Upload) -> None:
    send(admin_client, upload, 0, b"a" * PART)
    for offset in (0, 5 * PART, PART - 1):
        answer = send(admin_client, upload, offset, b"b" * PART)
        assert answer.status_code == 409
        assert answer.json()["accepted"] == PART
    assert send(admin_client, upload, PART, b"c" * (10 * PART)).status_code == 409  # beyond the end
    upload.refresh_from_db()
    assert upload.accepted_bytes == PART


def test_a_part_of_an_upload_that_was_ended_meanwhile(admin_client: Client, upload: Upload) -> None:
    with pytest.raises(Upload.DoesNotExist):
        uploads.accept(_ended(upload), 0, b"a" * PART)
    assert send(admin_client, upload, 0, b"a" * PART).status_code == 404


def _ended(upload: Upload) -> Upload:
    """As a request has it in hand that read it before the worker refused the file."""
    Upload.objects.filter(pk=upload.pk).delete()
    return upload


def test_the_window_is_bounded(admin_client: Client, upload: Upload) -> None:
    for number in range(uploads.WINDOW):
        answer = send(admin_client, upload, number * PART, b"x" * PART)
        assert answer.status_code == 200
    assert answer.json()["is_full"]
    late = send(admin_client, upload, uploads.WINDOW * PART, b"x" * PART)
    assert late.status_code == 429
    assert late["Retry-After"]
    assert late.json()["retry_ms"]


@pytest.mark.parametrize("offset", ["", "-1", "x", "1e3"])
def test_bad_offsets(admin_client: Client, upload: Upload, offset: str) -> None:
    url = reverse("storage:send_upload", args=[upload.pk])
    headers = {"Upload-Offset": offset}
    answer = admin_client.post(url, b"x", content_type="application/octet-stream", headers=headers)
    assert answer.status_code == 400


def test_parts_that_are_empty_or_too_large(admin_client: Client, upload: Upload) -> None:
    assert send(admin_client, upload, 0, b"").status_code == 400
    assert send(admin_client, upload, 0, b"x" * (uploads.CHUNK_BYTES + 1)).status_code == 400


def test_a_part_without_csrf_token_is_refused(admin: User, upload: Upload) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(admin)
    assert send(strict, upload, 0, b"x").status_code == 403


def test_another_person_cannot_touch_it(operator: User, upload: Upload) -> None:
    other = Client()
    other.force_login(operator)
    assert send(other, upload, 0, b"x").status_code == 404
    assert other.get(reverse("storage:upload", args=[upload.pk])).json() == {"is_over": True}
    for name in ("resume_upload", "give_up_upload"):
        assert other.post(reverse(f"storage:{name}", args=[upload.pk])).status_code == 404


def test_redis_away_is_told_and_nothing_counts(admin_client: Client, upload: Upload, settings: Any) -> None:
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    answer = send(admin_client, upload, 0, b"x" * PART)
    assert answer.status_code == 503
    upload.refresh_from_db()
    assert upload.accepted_bytes == 0


@pytest.mark.parametrize("size", ["0", "-1", "", "x", str(10**18), "9" * 30])
def test_sizes_that_cannot_be(queue: "redis.Redis", admin_client: Client, pool: Pool, size: str) -> None:
    answer = begin(admin_client, pool, size_bytes=size)
    assert answer.status_code == 422
    assert list(answer.json()["errors"]) == ["file"]
    assert not Image.objects.exists()


def test_a_file_larger_than_the_room(queue: "redis.Redis", admin_client: Client, pool: Pool) -> None:
    answer = begin(admin_client, pool, size_bytes=51 * GIB)
    assert answer.status_code == 422
    assert "room" in answer.json()["errors"]["file"][0]
    assert not Upload.objects.exists()


def test_hostile_names(queue: "redis.Redis", admin_client: Client, pool: Pool) -> None:
    answer = begin(admin_client, pool, name="../../etc/cron.d/x")
    assert list(answer.json()["errors"]) == ["name"]
    strange = begin(admin_client, pool, file_name="../../<b>'\"; rm -rf /🐧" + "x" * 400)
    assert strange.status_code == 201
    assert Image.objects.get().volume_name == "debian-1.img"


@pytest.mark.thorough
def test_a_part_lost_on_the_way_is_asked_for_again(queue: "redis.Redis", admin_client: Client, upload: Upload) -> None:
    for number in range(3):
        send(admin_client, upload, number * PART, bytes([number]) * PART)
    queue.lpop(f"drover:upload:{upload.pk}")
    source = uploads.QueueSource(upload.pk).pieces(0)
    assert next(source) == b""  # the queue began with another part: forgotten, and the browser sent back to 0
    upload.refresh_from_db()
    assert upload.accepted_bytes == 0
    send(admin_client, upload, 0, b"again")
    assert next(source) == b"again"


@pytest.mark.thorough
def test_a_part_that_is_just_coming_is_not_forgotten(queue: "redis.Redis", upload: Upload) -> None:
    """The row is written first, the queue a moment later: a worker that looks in between only waits."""
    source = uploads.QueueSource(upload.pk).pieces(0)
    Upload.objects.update(accepted_bytes=4)
    assert next(source) == b""
    queue.rpush(f"drover:upload:{upload.pk}", (0).to_bytes(8, "big") + b"here")
    assert next(source) == b"here"
    upload.refresh_from_db()
    assert upload.accepted_bytes == 4


@pytest.mark.thorough
def test_a_worker_that_begins_again_goes_on_where_it_stored(
    admin_client: Client, upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "LOST_AFTER_S", 0)
    for number in range(2):
        send(admin_client, upload, number * PART, bytes([number]) * PART)
    first = uploads.QueueSource(upload.pk).pieces(0)
    next(first)
    next(first)  # taken, but the worker dies before the host had stored it
    source = uploads.QueueSource(upload.pk).pieces(PART)
    assert next(source) == b""
    upload.refresh_from_db()
    assert upload.accepted_bytes == PART


@pytest.mark.thorough
def test_a_silent_browser_ends_the_run(upload: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "IDLE_S", 0.5)
    with pytest.raises(uploads.BrowserSilent, match="stopped sending"):
        list(uploads.QueueSource(upload.pk).pieces(0))


@pytest.mark.thorough
def test_redis_that_stays_away_ends_the_run(upload: Upload, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "REDIS_AWAY_S", 0.5)
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    with pytest.raises(Failed, match="Redis"):
        list(uploads.QueueSource(upload.pk).pieces(0))


def test_going_on_after_the_worker_let_go(admin_client: Client, upload: Upload) -> None:
    Job.objects.update(state=State.FAILED, finished_at=timezone.now())
    assert send(admin_client, upload, 0, b"x").status_code == 410
    answer = admin_client.post(reverse("storage:resume_upload", args=[upload.pk]))
    assert answer.json()["is_active"]
    assert Job.objects.filter(state=State.QUEUED).count() == 1
    assert send(admin_client, upload, 0, b"x").status_code == 200


def test_abandoned_uploads_are_cleaned(upload: Upload) -> None:
    clean_uploads()
    assert Job.objects.count() == 1
    Upload.objects.update(touched_at=timezone.now() - timedelta(days=2))
    clean_uploads()
    assert Job.objects.count() == 1  # its job is still active
    Job.objects.update(state=State.FAILED, finished_at=timezone.now())
    clean_uploads()
    assert Job.objects.filter(operation="storage.abandon_upload").exists()


def test_giving_up(admin_client: Client, upload: Upload) -> None:
    answer = admin_client.post(reverse("storage:give_up_upload", args=[upload.pk]))
    assert answer.json() == {"image": upload.image.get_absolute_url()}
    assert Job.objects.get().state == State.CANCELLED
    assert not Upload.objects.exists()
    assert Image.objects.get().error == "Cancelled."


def test_the_image_page_offers_to_go_on(admin_client: Client, upload: Upload) -> None:
    page = admin_client.get(upload.image.get_absolute_url()).content.decode()
    assert reverse("storage:upload", args=[upload.pk]) in page
    assert "js/upload.js" in page
