"""Pictures of screens: taken while somebody with the right looks, and kept for a minute."""

import struct
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
import redis
from django.test import Client
from django.urls import reverse

from access.models import Role, User
from access.roles import PERMISSIONS
from cluster.consumers import may_watch
from cluster.watch.screens import Screens
from tests.cluster.test_live import socket
from tests.cluster.watching import InlineCrew, InlineStore, simulated, watch_of
from virt.errors import NotFound, VirtError
from virt.screens import picture_of, small_png
from vms import screens
from vms.models import Vm

pytestmark = pytest.mark.django_db
PNG = b"\x89PNG\r\n\x1a\n"


def size_of(png: bytes) -> tuple[int, int]:
    assert png.startswith(PNG)
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def ppm(width: int, height: int) -> bytes:
    return f"P6\n{width} {height}\n255\n".encode() + bytes(range(256)) * (width * height * 3 // 256 + 1)


@pytest.fixture(autouse=True)
def _redis(redis_socket: Path, settings: Any) -> None:
    settings.REDIS_URL = f"unix://{redis_socket}"
    redis.Redis.from_url(settings.REDIS_URL).flushall()


@pytest.fixture
def watch(tmp_path: Path, settings: Any) -> Any:
    settings.METRICS_DIR = tmp_path / "metrics"
    watch = watch_of(simulated(tmp_path, 2))
    watch.connect()
    watch.sweep()
    yield watch
    watch.disconnect()


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    topics: list[str] = []
    monkeypatch.setattr("cluster.watch.screens.publish", topics.append)
    return topics


def test_it_works(watch: Any, published: list[str], admin_client: Client) -> None:
    vm, other = Vm.objects.order_by("name")
    screens.look(str(vm.uuid))
    Screens(InlineStore(), InlineCrew()).tick({watch.host_id: watch})
    assert published == [f"screen.{vm.uuid}"]
    assert screens.last(other.uuid) is None
    page = admin_client.get(vm.get_absolute_url()).content.decode()
    assert f"{reverse('vms:screen', args=[vm.uuid])}?at=" in page
    answer = admin_client.get(reverse("vms:screen", args=[vm.uuid]))
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert size_of(answer.content)[0] <= 640


def test_nobody_looks_nothing_is_asked(watch: Any, published: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    vm = Vm.objects.order_by("name")[0]
    monkeypatch.setattr(screens, "LOOK_S", 0.05)
    screens.look(str(vm.uuid))
    time.sleep(0.1)
    Screens(InlineStore(), InlineCrew()).tick({watch.host_id: watch})
    assert (published, screens.looked_at()) == ([], [])


def test_not_more_often_than_every_few_seconds(watch: Any, published: list[str]) -> None:
    screens.look(str(Vm.objects.order_by("name")[0].uuid))
    taker = Screens(InlineStore(), InlineCrew())
    for _second in range(3):
        taker.tick({watch.host_id: watch})
    assert len(published) == 1


def test_a_vm_that_is_off_or_elsewhere_has_no_picture(watch: Any, published: list[str]) -> None:
    off, elsewhere = Vm.objects.order_by("name")
    Vm.objects.filter(pk=off.pk).update(observed_state="off")
    screens.look(str(off.uuid))
    screens.look(str(elsewhere.uuid))
    Screens(InlineStore(), InlineCrew()).tick({})
    Vm.objects.filter(pk=elsewhere.pk).update(host=None)
    Screens(InlineStore(), InlineCrew()).tick({watch.host_id: watch})
    assert published == []


def test_without_redis_pages_go_on(admin_client: Client, vm_on_no_redis: Vm) -> None:
    assert admin_client.get(vm_on_no_redis.get_absolute_url()).status_code == 200
    assert admin_client.get(reverse("vms:screen", args=[vm_on_no_redis.uuid])).status_code == 204


@pytest.fixture
def vm_on_no_redis(settings: Any, tmp_path: Path) -> Vm:
    settings.REDIS_URL = f"unix://{tmp_path / 'nothing.sock'}"
    return Vm.objects.create(uuid=uuid.uuid4(), name="web", observed_state="running")


def test_only_who_may_open_the_console(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = User.objects.create_user("lena", role=Role.USER)
    stranger = User.objects.create_user("max", role=Role.USER)
    vm = Vm.objects.create(uuid=uuid.uuid4(), name="own", owner=owner, observed_state="running")
    screens.keep(str(vm.uuid), PNG)
    topic = screens.topic(vm.uuid)
    assert may_watch(owner, {topic, "screen.x", "screen.7"}) == {topic}
    assert may_watch(stranger, {topic}) == set()
    for person, status in ((owner, 200), (stranger, 404)):
        client.force_login(person)
        assert client.get(reverse("vms:screen", args=[vm.uuid])).status_code == status
    owner.refresh_from_db()
    monkeypatch.setitem(PERMISSIONS, Role.USER.value, frozenset({"vms.view"}))
    client.force_login(owner)
    assert may_watch(owner, {topic}) == set()
    assert client.get(reverse("vms:screen", args=[vm.uuid])).status_code == 403
    assert "screen.png" not in client.get(vm.get_absolute_url()).content.decode()


@pytest.mark.django_db(transaction=True)
async def test_an_open_page_is_a_look() -> None:
    owner = await User.objects.acreate(username="lena", role=Role.USER)
    vm = await Vm.objects.acreate(uuid=uuid.uuid4(), name="own", owner=owner, observed_state="running")
    page = await socket(owner)
    await page.connect()
    await page.send_json_to({"watch": [f"vm.{vm.uuid}"]})
    await page.receive_json_from()
    assert screens.looked_at() == []
    await page.send_json_to({"watch": [f"vm.{vm.uuid}", screens.topic(vm.uuid)]})
    await page.receive_json_from()
    await page.receive_nothing(0.2)
    assert screens.looked_at() == [str(vm.uuid)]
    await page.disconnect()


def test_a_large_picture_is_made_small() -> None:
    small = small_png(ppm(1280, 800))
    assert size_of(small) == (640, 400)
    assert len(small) < 200_000


def test_rubbish_is_refused(watch: Any) -> None:
    for raw in (b"", b"GIF89a", ppm(64, 64)[:200]):
        with pytest.raises(VirtError):
            small_png(raw)
    with pytest.raises(NotFound):
        picture_of(watch.connection(), str(uuid.uuid4()))
