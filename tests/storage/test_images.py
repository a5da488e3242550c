"""The catalogue of images: versions, who uses one, importing forms, deleting. Bytes are in test_lab_images.py."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from access.models import User
from jobs.engine import enqueue
from jobs.errors import Refused
from jobs.models import Job
from storage import images
from storage.models import Image, ImageState, Pool, Volume
from storage.operations.catalogue import DeleteImage, EditImage
from storage.operations.images import begin_url_import, begin_volume_import, retry
from tests.factories import make_host, make_pool, make_vm, note_files
from tests.storage.conftest import Do, make_image

pytestmark = pytest.mark.django_db
URL = "https://images.example/debian-12.qcow2"


@pytest.fixture
def pool() -> Pool:
    return make_pool("vms", make_host())


def fields(pool: Pool, **more: Any) -> dict[str, Any]:
    return {"name": "debian-12", "version": "1", "pool": pool.pk, "url": URL, **more}


def test_it_works(pool: Pool, operator: User) -> None:
    job = begin_url_import(operator, fields(pool, checksum="A" * 64))
    image = Image.objects.get()
    assert (image.state, image.volume_name, image.owner) == ("importing", "debian-12-1.qcow2", operator)
    assert image.expected_checksum == "sha256:" + "a" * 64
    assert job.target_key == str(image.pk)
    assert job.cancellable


def test_a_lab_user_may_not(pool: Pool, lab_user: User, client: Client) -> None:
    client.force_login(lab_user)
    for name in ("storage:images", "storage:import", "storage:begin_upload"):
        assert client.get(reverse(name)).status_code in {404, 405}
    assert client.post(reverse("storage:import"), {"name": "x"}).status_code == 404


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "../x"),
        ("name", "<b>"),
        ("name", "a" * 65),
        ("name", "🐧"),
        ("version", "1;id"),
        ("url", "file:///etc/passwd"),
        ("url", "http://a:b@h/x"),
        ("url", ""),
        ("checksum", "zz"),
        ("pool", "999"),
        ("host", "999"),
    ],
)
def test_bad_input_is_refused_beside_its_field(admin_client: Client, pool: Pool, field: str, value: str) -> None:
    answer = admin_client.post(reverse("storage:import") + "?from=url", fields(pool) | {field: value})
    assert answer.status_code == 422
    assert set(answer.context["form"].errors) == {field}
    assert not Image.objects.exists()
    assert not Job.objects.exists()


def test_the_form_begins_an_import(admin_client: Client, pool: Pool) -> None:
    answer = admin_client.post(reverse("storage:import") + "?from=url", fields(pool))
    assert answer.status_code == 302
    assert answer["Location"] == Image.objects.get().get_absolute_url()


def test_a_version_is_there_once(pool: Pool, operator: User) -> None:
    begin_url_import(operator, fields(pool))
    with pytest.raises(Refused) as refused:
        begin_url_import(operator, fields(pool))
    assert refused.value.field == "version"
    assert Image.objects.count() == 1


def test_latest_is_the_newest_that_is_ready() -> None:
    pool = make_pool("vms")
    now = timezone.now()
    old = make_image(pool, version="1", created_at=now - timedelta(days=2))
    new = make_image(pool, version="2", created_at=now - timedelta(days=1))
    make_image(pool, version="3", created_at=now, state=ImageState.IMPORTING)
    other = make_image(pool, "alpine", "1")
    assert images.latest("debian-12") == new
    assert images.latest("nothing") is None
    assert images.latest_of_each() == {"debian-12": new, "alpine": other}
    assert old in images.ready()


def test_hosts_of_an_image() -> None:
    one, two = make_host("one"), make_host("two")
    shared = make_image(make_pool("vms", one, two))
    assert set(images.hosts_with_image(shared)) == {one, two}
    local = make_image(make_pool("local", one, two, kind="dir"), "alpine", host=two)
    assert list(images.hosts_with_image(local)) == [two]


def test_delete_is_refused_with_the_users_named(pool: Pool, admin: User) -> None:
    image = make_image(pool)
    Volume.objects.create(pool=pool, name="web.qcow2", path="/x/web.qcow2", backing_path=image.path)
    with pytest.raises(Refused, match="vms/web.qcow2"):
        enqueue(DeleteImage(image), user=admin)
    vm = make_vm(pool.presences.get().host, "web-07")
    vm.hardware["disks"][0]["path"] = "/x/web.qcow2"
    vm.save()
    note_files(vm)
    with pytest.raises(Refused, match="web-07"):
        enqueue(DeleteImage(image), user=admin)


def test_an_iso_in_a_drive_is_in_use(pool: Pool, admin: User) -> None:
    image = make_image(pool, "installer", is_iso=True)
    vm = make_vm(pool.presences.get().host, "web-07")
    vm.hardware["disks"].append({"target": "sda", "device": "cdrom", "path": image.path})
    vm.save()
    note_files(vm)
    with pytest.raises(Refused, match="web-07"):
        enqueue(DeleteImage(image), user=admin)


def test_a_failed_image_goes_without_asking_a_host(do: Do, admin: User) -> None:
    image = make_image(make_pool("vms"), state=ImageState.FAILED, path="")
    assert do(DeleteImage(image), admin).state == "succeeded"
    assert not Image.objects.exists()


def test_import_of_a_file_in_a_pool(do: Do, folder: Pool, admin: User) -> None:
    host = folder.presences.get().host
    from storage.operations.volumes import CreateVolume

    made = {"name": "golden.qcow2", "format": "qcow2", "size_bytes": 64 * 1024**2, "host": host.pk}
    assert do(CreateVolume(folder, made), admin).state == "succeeded"
    with pytest.raises(Refused) as refused:
        begin_volume_import(admin, fields(folder, volume="nothing.qcow2", host=host.pk))
    assert refused.value.field == "volume"
    begin_volume_import(admin, fields(folder, volume="golden.qcow2", host=host.pk))
    image = Image.objects.get()
    assert (image.volume_name, image.host, image.origin) == ("golden.qcow2", host, "volume")
    with pytest.raises(Refused) as refused:
        begin_volume_import(admin, fields(folder, version="2", volume="golden.qcow2", host=host.pk))
    assert refused.value.field == "volume"


def test_a_disk_in_use_does_not_become_an_image(folder: Pool, admin: User) -> None:
    host = folder.presences.get().host
    make_vm(host, "web-07", pool=folder)
    folder.volumes.create(host=host, name="web-07.qcow2", path="/srv/disks/web-07.qcow2")
    Pool.objects.filter(pk=folder.pk).update(target_path="/srv/disks")
    vm = make_vm(host, "db-01")
    vm.hardware["disks"][0]["path"] = "/srv/disks/web-07.qcow2"
    vm.save()
    note_files(vm)
    with pytest.raises(Refused, match="db-01"):
        begin_volume_import(admin, fields(folder, volume="web-07.qcow2", host=host.pk))
    assert not Image.objects.exists()


def test_what_vms_stand_on_may_become_an_image(folder: Pool, admin: User) -> None:
    host = folder.presences.get().host
    Pool.objects.filter(pk=folder.pk).update(target_path="/srv/disks")
    folder.volumes.create(host=host, name="golden.qcow2", path="/srv/disks/golden.qcow2")
    vm = make_vm(host, "db-01")
    vm.hardware["disks"][0]["backing"] = ["/srv/disks/golden.qcow2"]
    vm.save()
    note_files(vm)
    begin_volume_import(admin, fields(folder, volume="golden.qcow2", host=host.pk))
    assert Image.objects.get().volume_name == "golden.qcow2"


def test_retry(pool: Pool, admin: User) -> None:
    job = begin_url_import(admin, fields(pool))
    image = Image.objects.get()
    Job.objects.filter(pk=job.pk).update(state="failed", finished_at=timezone.now())
    Image.objects.update(state=ImageState.FAILED, error="no")
    image.refresh_from_db()
    assert retry(admin, image).operation == "storage.import_url"
    image.state = ImageState.READY
    with pytest.raises(Refused):
        retry(admin, image)
    image.origin = "upload"
    with pytest.raises(Refused, match="browser"):
        retry(admin, image)


def test_edit(do: Do, image: Image, admin: User) -> None:
    assert do(EditImage(image, {"os_name": "Debian", "description": "ours"}), admin).state == "succeeded"
    image.refresh_from_db()
    assert (image.os_name, image.description) == ("Debian", "ours")


def test_rename(do: Do, image: Image, admin: User, admin_client: Client) -> None:
    make_image(image.pool, "debian-13")
    with pytest.raises(Refused, match="name and version already"):
        enqueue(EditImage(image, {"name": "debian-13"}), user=admin)
    answer = admin_client.post(reverse("storage:edit_image", args=[image.pk]), {"name": "a/b", "version": "2"})
    assert answer.status_code == 422
    job = do(EditImage(image, {"name": "bookworm", "version": "2"}), admin)
    image.refresh_from_db()
    assert (job.state, str(image), image.volume_name) == ("succeeded", "bookworm 2", "debian-12-1.qcow2")


def test_pages(admin_client: Client, pool: Pool, django_assert_max_num_queries: Any) -> None:
    empty = admin_client.get(reverse("storage:images"))
    assert "No image yet" in empty.content.decode()
    for version in range(30):
        make_image(pool, version=str(version))
    failed = make_image(pool, "broken", state=ImageState.FAILED, error="The image is damaged <b>.")
    with django_assert_max_num_queries(16):
        text = admin_client.get(reverse("storage:images")).content.decode()
    assert text.count(">latest<") == 1
    assert "damaged &lt;b&gt;" in text
    page = admin_client.get(failed.get_absolute_url()).content.decode()
    assert "Try again" in page
    assert admin_client.get(reverse("storage:images") + "?q=broken").content.decode().count("image-") < 20
    for source in ("url", "upload", "volume", "nonsense"):
        assert admin_client.get(reverse("storage:import") + f"?from={source}").status_code == 200
    for name in ("edit_image", "delete_image"):
        assert admin_client.get(reverse(f"storage:{name}", args=[failed.pk])).status_code == 200
    assert admin_client.get(reverse("storage:image", args=[99999])).status_code == 404


def test_hosts_of_an_image_are_shown_up_to_a_number(admin_client: Client) -> None:
    hosts = [make_host(f"node{number:02}") for number in range(40)]
    image = make_image(make_pool("shared", *hosts))
    text = admin_client.get(image.get_absolute_url()).content.decode()
    assert "node29" in text
    assert "node30" not in text
    assert "and 10 hosts more" in text
