"""Renaming, editing, tagging and resizing on libvirt's simulated host."""

from collections.abc import Callable
from typing import Any

import pytest

from access.models import User
from jobs.engine import enqueue
from jobs.errors import Refused
from jobs.models import Job
from tests.factories import GIB, make_vm
from virt import guests
from virt.connection import connect
from virt.xml import summary
from vms.models import Tag, Vm
from vms.operations.change import EditVm, RenameVm, ResizeDisk, ResizeVm, TagVm
from vms.sizes import kept, pending

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("here")]
MakeVm = Callable[..., Vm]
Do = Callable[..., Job]
MIB = 1024 * 1024
HOSTILE = [
    "a b",
    "a;rm -rf /",
    "<b>x</b>",
    "a'b",
    'a"b',
    "../../etc",
    "a/b",
    "x" * 300,
    "🦆",
    "a\nb",
    "",
    "-x",
    "12",
    "$(id)",
]


def definition(vm: Vm) -> summary.DomainSummary:
    assert vm.host is not None
    with connect(vm.host.target) as conn:
        return summary.parse(guests.definition(conn, str(vm.uuid)))


def test_it_works(a_vm: MakeVm, do: Do) -> None:
    vm = a_vm(running=False)
    job = do(RenameVm(vm, {"name": "shop-01"}))
    assert (job.state, job.title) == ("succeeded", "Rename web-07 to shop-01")
    vm.refresh_from_db()
    assert vm.name == "shop-01"
    assert definition(vm).name == "shop-01"


def test_rename_a_running_one(a_vm: MakeVm, admin: User) -> None:
    with pytest.raises(Refused, match="off"):
        enqueue(RenameVm(a_vm(), {"name": "shop-01"}), user=admin)


@pytest.mark.parametrize("name", HOSTILE)
def test_rename_to_nonsense(a_vm: MakeVm, admin: User, name: str) -> None:
    with pytest.raises(Refused) as refused:
        enqueue(RenameVm(a_vm(running=False), {"name": name}), user=admin)
    assert refused.value.field == "name"


def test_rename_to_a_name_of_another(a_vm: MakeVm, admin: User) -> None:
    make_vm(None, "db-01")
    with pytest.raises(Refused, match="already a VM called db-01"):
        enqueue(RenameVm(a_vm(running=False), {"name": "db-01"}), user=admin)


def test_repeated_rename(a_vm: MakeVm, do: Do) -> None:
    """The worker died after libvirt had renamed it."""
    vm = a_vm(running=False)
    assert vm.host is not None
    with connect(vm.host.target) as conn:
        guests.rename(conn, str(vm.uuid), "shop-01")
    assert do(RenameVm(vm, {"name": "shop-01"})).state == "succeeded"


def test_edit(a_vm: MakeVm, do: Do, lab_user: User) -> None:
    vm = a_vm()
    params = {
        "title": "<b>shop</b> & co",
        "description": "one\r\ntwo",
        "tags": [" prod ", "prod", "web"],
        "owner": lab_user.pk,
    }
    assert do(EditVm(vm, params)).state == "succeeded"
    vm.refresh_from_db()
    assert (vm.title, vm.description, vm.owner) == ("<b>shop</b> & co", "one\ntwo", lab_user)
    assert [tag.name for tag in vm.tags.all()] == ["prod", "web"]
    found = definition(vm)
    assert (found.title, found.description, found.note.owner) == ("<b>shop</b> & co", "one\ntwo", "lena")


def test_edit_while_its_host_is_silent(a_vm: MakeVm, do: Do) -> None:
    """Owner and tags are Drover's own: they need no host. The job says that the definition keeps the old texts."""
    vm = a_vm()
    assert vm.host is not None
    vm.host.observed_state = "unreachable"
    vm.host.save(update_fields=["observed_state"])
    job = do(EditVm(vm, {"title": "new"}))
    assert job.state == "succeeded"
    assert job.lines.filter(level="warning").exists()
    vm.refresh_from_db()
    assert vm.title == "new"


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"title": "a\nb"}, "title"),
        ({"title": "x" * 300}, "title"),
        ({"description": "a\0b"}, "description"),
        ({"tags": ["a,b"]}, "tags"),
        ({"tags": ["x" * 41]}, "tags"),
        ({"tags": [f"t{n}" for n in range(30)]}, "tags"),
        ({"owner": 10**6}, "owner"),
    ],
)
def test_edit_nonsense(a_vm: MakeVm, admin: User, params: dict[str, Any], field: str) -> None:
    with pytest.raises(Refused) as refused:
        enqueue(EditVm(a_vm(), params), user=admin)
    assert refused.value.field == field


def test_tag(a_vm: MakeVm, do: Do) -> None:
    vm = a_vm()
    do(TagVm(vm, {"add": ["old", "prod"]}))
    do(TagVm(vm, {"add": ["new"], "remove": ["old"]}))
    assert [tag.name for tag in vm.tags.all()] == ["new", "prod"]
    assert not Tag.objects.filter(name="old").exists()


def test_resize_while_off(a_vm: MakeVm, do: Do) -> None:
    vm = a_vm(running=False)
    job = do(ResizeVm(vm, {"vcpus": 2, "memory_bytes": 512 * MIB}))
    assert (job.state, job.result) == ("succeeded", {"vcpus": "now", "memory": "now"})
    assert (definition(vm).vcpus, definition(vm).memory_bytes) == (2, 512 * MIB)


def test_resize_only_the_most_cpus(a_vm: MakeVm, do: Do) -> None:
    vm = a_vm()
    job = do(ResizeVm(vm, {"max_vcpus": 4}))
    assert job.result == {"vcpus": "next boot"}
    assert any("--maximum" in command for command in job.commands)
    vm.refresh_from_db()
    assert (kept(vm).vcpus, kept(vm).max_vcpus) == (1, 4)


def test_resize_while_running(a_vm: MakeVm, do: Do) -> None:
    """Within the maximum at once; beyond it from the next start, and the job says so."""
    vm = a_vm()
    assert do(ResizeVm(vm, {"vcpus": 2})).result == {"vcpus": "now"}
    job = do(ResizeVm(vm, {"vcpus": 4, "memory_bytes": GIB}))
    assert job.result == {"vcpus": "next boot", "memory": "next boot"}
    assert job.lines.filter(level="warning", text__contains="next start").count() == 2
    vm.refresh_from_db()
    assert (vm.vcpus, kept(vm).vcpus) == (2, 4)
    assert pending(vm) == kept(vm)


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"vcpus": 0}, "vcpus"),
        ({"vcpus": -1}, "vcpus"),
        ({"vcpus": 10**18}, "vcpus"),
        ({"memory_bytes": 0}, "memory_bytes"),
        ({"memory_bytes": 10**18}, "memory_bytes"),
        ({"memory_bytes": 64 * GIB}, "memory_bytes"),
        ({"vcpus": 4, "max_vcpus": 2}, "max_vcpus"),
        ({}, ""),
    ],
)
def test_resize_to_nonsense(a_vm: MakeVm, admin: User, params: dict[str, Any], field: str) -> None:
    with pytest.raises(Refused) as refused:
        enqueue(ResizeVm(a_vm(), params), user=admin)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"target": "vda", "size_bytes": 10 * GIB}, "size_bytes"),
        ({"target": "vda", "size_bytes": 0}, "size_bytes"),
        ({"target": "vda", "size_bytes": -GIB}, "size_bytes"),
        ({"target": "vda", "size_bytes": 10**18}, "size_bytes"),
        ({"target": "vdz", "size_bytes": 20 * GIB}, "target"),
    ],
)
def test_disk_nonsense(host: Any, admin: User, params: dict[str, Any], field: str) -> None:
    with pytest.raises(Refused) as refused:
        enqueue(ResizeDisk(make_vm(host), params), user=admin)
    assert refused.value.field == field
