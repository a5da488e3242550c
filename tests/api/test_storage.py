"""Pools, images and uploads by the API."""

import json
from typing import Any

import pytest
import redis

from access.models import ApiToken, User
from jobs.models import Job
from storage.models import Image, Pool, Upload, Volume
from tests.api.kit import call
from tests.factories import make_host, make_pool, make_vm

pytestmark = pytest.mark.django_db


def job_of(answer: Any) -> Job:
    assert answer.status_code == 202, answer.content
    return Job.objects.get(pk=answer.json()["id"])


@pytest.fixture
def pool() -> Pool:
    source = {"host": "10.7.7.7", "path": "vms"}
    return make_pool("vmstorage", make_host("vmhost1"), make_host("vmhost2"), source=source)


@pytest.fixture
def image(pool: Pool) -> Image:
    return Image.objects.create(name="tiny", version="1", pool=pool, volume_name="tiny.qcow2", state="ready")


def test_it_works(admin: User) -> None:
    host = make_host("vmhost1")
    source = {"host": "10.1.2.3", "path": "/srv/vms"}
    job = job_of(call(admin, "POST", "/pools/", {"name": "vms", "kind": "nfs", "source": source, "hosts": [host.pk]}))
    found = Pool.objects.get()
    assert (job.operation, job.target_key) == ("storage.place_pool", str(found.pk))
    assert (found.source, found.is_shared, found.target_path) == (source, True, "/var/lib/libvirt/drover/vms")
    assert call(admin, "GET", f"/pools/{found.pk}").json()["presences"][0]["host_id"] == host.pk


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"kind": "floppy"}, "kind"),
        ({"name": "a/b"}, "name"),
        ({"hosts": []}, "hosts"),
        ({"hosts": [4711]}, "hosts"),
        ({"target_path": "/etc/pool"}, "target_path"),
        ({"source": {"host": "a;b", "path": "/srv"}}, "source.host"),
        ({"source": {"host": "10.1.2.3"}}, "source.path"),
        ({"name": "vmstorage", "kind": "dir", "source": {}}, "name"),
        ({"source": {"host": "10.9.9.9", "path": "/there"}}, "source.path"),
    ],
)
def test_bad_pools(admin: User, pool: Pool, wish: dict[str, Any], field: str) -> None:
    make_pool("first", kind="nfs", source={"host": "10.9.9.9", "path": "/there"})
    good: dict[str, Any] = {"name": "vms", "kind": "nfs", "source": {"host": "10.1.2.3", "path": "/srv"}}
    good["hosts"] = list(pool.presences.values_list("host_id", flat=True))
    answer = call(admin, "POST", "/pools/", {**good, **wish})
    assert (answer.status_code in {409, 422}, answer.json()["field"]) == (True, field), answer.content
    assert (Pool.objects.count(), Job.objects.count()) == (2, 0)


def test_starting_stopping_and_removing(admin: User, pool: Pool) -> None:
    first = pool.presences.order_by("pk")[0].host
    wish = {"hosts": [first.pk]}
    for verb, operation in (("start", "storage.start_pool"), ("stop", "storage.stop_pool")):
        job = job_of(call(admin, "POST", f"/pools/{pool.pk}/actions/{verb}", wish))
        assert (job.operation, job.params) == (operation, wish)
    third = {"hosts": [make_host("vmhost3").pk]}
    assert job_of(call(admin, "POST", f"/pools/{pool.pk}/actions/place", third)).operation == "storage.place_pool"
    assert call(admin, "POST", f"/pools/{pool.pk}/actions/start", third).json()["field"] == "hosts"
    assert call(admin, "POST", f"/pools/{pool.pk}/actions/explode", wish).status_code == 404
    assert job_of(call(admin, "DELETE", f"/pools/{pool.pk}")).params == {"forget": True}


def test_a_pool_in_use_stays(admin: User, pool: Pool) -> None:
    host = pool.presences.order_by("pk")[0].host
    vm = make_vm(host, pool=pool)
    Volume.objects.create(pool=pool, name="disk", path=vm.disks[0]["path"])
    for method, path, body in (
        ("POST", f"/pools/{pool.pk}/actions/stop", {"hosts": [host.pk]}),
        ("DELETE", f"/pools/{pool.pk}", None),
    ):
        answer = call(admin, method, path, body)
        assert answer.status_code == 409
        assert "web-07" in answer.json()["detail"]


def test_import_by_url(operator: User, pool: Pool) -> None:
    wish = {"name": "debian", "version": "12", "pool": pool.pk, "url": "https://images.example/debian.qcow2"}
    job = job_of(call(operator, "POST", "/images/from-url", {**wish, "checksum": "a" * 64}))
    made = Image.objects.get()
    assert (job.operation, job.target_key) == ("storage.import_url", str(made.pk))
    assert (made.owner, made.expected_checksum) == (operator, "sha256:" + "a" * 64)
    again = call(operator, "POST", "/images/from-url", wish)
    assert (again.status_code, again.json()["field"]) == (409, "version")


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"url": "http://169.254.169.254/latest"}, "url"),
        ({"url": "ftp://images.example/x"}, "url"),
        ({"checksum": "123"}, "checksum"),
        ({"name": "a b"}, "name"),
        ({"pool": 4711}, "pool"),
        ({"host": 4711}, "host"),
    ],
)
def test_bad_imports(operator: User, pool: Pool, wish: dict[str, Any], field: str) -> None:
    good = {"name": "debian", "version": "12", "pool": pool.pk, "url": "https://images.example/debian.qcow2"}
    answer = call(operator, "POST", "/images/from-url", {**good, **wish})
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert not Image.objects.exists()


def test_import_from_a_volume(operator: User, pool: Pool) -> None:
    volume = Volume.objects.create(pool=pool, name="spare.qcow2", path=f"{pool.target_path}/spare.qcow2", format="raw")
    listed = call(operator, "GET", f"/pools/{pool.pk}/volumes").json()["items"]
    assert [(one["id"], one["name"]) for one in listed] == [(volume.pk, "spare.qcow2")]
    wish = {"name": "spare", "version": "1", "volume": volume.pk}
    assert job_of(call(operator, "POST", "/images/from-volume", wish)).operation == "storage.import_volume"
    Volume.objects.update(backing_path="/etc/passwd")
    answer = call(operator, "POST", "/images/from-volume", {**wish, "version": "2"})
    assert (answer.status_code, answer.json()["field"]) == (422, "volume")


def test_renaming(operator: User, image: Image) -> None:
    Image.objects.create(name="other", version="1", pool=image.pool, volume_name="other.qcow2")
    job = job_of(call(operator, "PATCH", f"/images/{image.pk}", {"version": "2"}))
    assert job.params == {"name": "tiny", "version": "2", "os_name": "", "description": ""}
    for wish, field in (({"name": "other"}, "version"), ({"name": "a/b"}, "name")):
        assert call(operator, "PATCH", f"/images/{image.pk}", wish).json()["field"] == field


def test_deleting(operator: User, image: Image) -> None:
    job = job_of(call(operator, "DELETE", f"/images/{image.pk}", {"keep_file": True}))
    assert (job.operation, job.params) == ("storage.delete_image", {"keep_file": True})


def test_an_upload_in_parts(operator: User, pool: Pool, queue: "redis.Redis") -> None:
    wish = {"name": "mine", "version": "1", "pool": pool.pk, "file_name": "mine\x1b.raw", "size_bytes": 6}
    begun = call(operator, "POST", "/uploads/", wish)
    assert begun.status_code == 201, begun.content
    path = f"/uploads/{begun.json()['id']}"
    assert begun.json()["file_name"] == "mine.raw"
    assert call(operator, "PUT", path, b"abc", **{"Upload-Offset": "0"}).json()["accepted"] == 3
    wrong = call(operator, "PUT", path, b"abc", **{"Upload-Offset": "0"})
    assert (wrong.status_code, wrong.json()["accepted"]) == (409, 3)
    assert call(operator, "PUT", path, b"def", **{"Upload-Offset": "3"}).json()["accepted"] == 6
    assert call(operator, "PUT", path, b"x").json()["field"] == "Upload-Offset"
    assert [part[8:] for part in queue.lrange(f"drover:upload:{begun.json()['id']}", 0, -1)] == [b"abc", b"def"]
    job = Job.objects.get(pk=begun.json()["job_id"])
    assert (job.operation, job.user) == ("storage.receive_upload", operator)
    assert call(operator, "DELETE", path).status_code == 202
    job.refresh_from_db()
    assert job.state == "cancelled"


def test_a_part_that_is_too_large(operator: User, pool: Pool) -> None:
    wish = {"name": "mine", "version": "1", "pool": pool.pk, "size_bytes": 2**30}
    path = f"/uploads/{call(operator, 'POST', '/uploads/', wish).json()['id']}"
    for size, status in ((9 * 2**20, 422), (21 * 2**20, 413)):
        answer = call(operator, "PUT", path, bytes(size), **{"Upload-Offset": "0"})
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert Upload.objects.get().accepted_bytes == 0


def test_nobody_elses_upload(admin: User, operator: User, pool: Pool) -> None:
    wish = {"name": "mine", "version": "1", "pool": pool.pk, "size_bytes": 6}
    path = f"/uploads/{call(operator, 'POST', '/uploads/', wish).json()['id']}"
    assert call(operator, "GET", path).status_code == 200
    for method in ("GET", "PUT", "DELETE"):
        assert call(admin, method, path, b"abc").status_code == 404
    assert call(admin, "POST", f"{path}/resume").status_code == 404


def test_a_revoked_token_ends_an_upload_at_its_next_part(operator: User, pool: Pool, client: Any) -> None:
    token, secret = ApiToken.make(operator, "script")
    headers = {"Authorization": f"Bearer {secret}", "Upload-Offset": "0"}
    wish = json.dumps({"name": "mine", "version": "1", "pool": pool.pk, "size_bytes": 6})
    begun = client.post("/api/v1/uploads/", wish, content_type="application/json", headers=headers).json()
    token.delete()
    answer = client.generic("PUT", f"/api/v1/uploads/{begun['id']}", b"abc", headers=headers)
    assert answer.status_code == 401
    assert Upload.objects.get().accepted_bytes == 0
