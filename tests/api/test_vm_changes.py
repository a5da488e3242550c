"""Changing a VM by API: the pages' operations and forms, and their words beside the same fields."""

import re
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from access.models import User
from jobs.models import Job
from tests.api.kit import call
from tests.factories import GIB, make_host, make_vm
from vms.actions import MENU
from vms.models import Snapshot, Tag, Vm

pytestmark = pytest.mark.django_db
CHANGES = [
    ("PATCH", "", {"title": "x"}),
    ("POST", "/rename", {"name": "shop-01"}),
    ("POST", "/resize", {"vcpus": 2}),
    ("POST", "/disks/vda/resize", {"size_bytes": 20 * GIB}),
    ("POST", "/actions/forget", None),
]


@pytest.fixture
def vm() -> Vm:
    made = make_vm(make_host("vmhost1"), title="Shop", description="old")
    made.tags.add(Tag.objects.create(name="prod"))
    return made


@pytest.fixture
def off(vm: Vm) -> Vm:
    Vm.objects.update(observed_state="off")
    return vm


def begun(answer: Any) -> Job:
    assert answer.status_code == 202, answer.content
    return Job.objects.get(pk=answer.json()["id"])


def refused(answer: Any, status: int) -> str:
    """The field that is to blame."""
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert not Job.objects.exists()
    return str(answer.json().get("field", ""))


def test_it_works(admin: User, vm: Vm) -> None:
    """What is left out of a change is not even in the job."""
    job = begun(call(admin, "PATCH", f"/vms/{vm.uuid}", {"title": "Shop, new", "tags": ["web", "prod"]}))
    assert (job.operation, job.target_key, job.user) == ("vms.edit", str(vm.uuid), admin)
    assert job.params == {"title": "Shop, new", "tags": ["prod", "web"]}


@pytest.mark.parametrize("by", ["pk", "username"])
def test_owner_by_number_or_name(admin: User, lab_user: User, vm: Vm, by: str) -> None:
    job = begun(call(admin, "PATCH", f"/vms/{vm.uuid}", {"owner": getattr(lab_user, by)}))
    assert job.params == {"owner": lab_user.pk}


def test_no_owner(admin: User, lab_user: User, vm: Vm) -> None:
    Vm.objects.update(owner=lab_user)
    assert begun(call(admin, "PATCH", f"/vms/{vm.uuid}", {"owner": None})).params == {"owner": None}


def test_an_owner_who_left_stays_until_changed(admin: User, lab_user: User, vm: Vm) -> None:
    Vm.objects.update(owner=lab_user)
    User.objects.filter(pk=lab_user.pk).update(is_active=False)
    assert begun(call(admin, "PATCH", f"/vms/{vm.uuid}", {"title": "x"})).params == {"title": "x"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"title": "a\nb"}, "title"),
        ({"tags": ["a,b"]}, "tags"),
        ({"tags": ["x" * 41]}, "tags"),
        ({"owner": "nobody-here"}, "owner"),
        ({"owner": "1"}, "owner"),
        ({"owner": 10**6}, "owner"),
    ],
)
def test_edit_nonsense(admin: User, vm: Vm, body: dict[str, Any], field: str) -> None:
    assert refused(call(admin, "PATCH", f"/vms/{vm.uuid}", body), 422) == field


def test_rename(admin: User, off: Vm) -> None:
    job = begun(call(admin, "POST", f"/vms/{off.uuid}/rename", {"name": "shop-01"}))
    assert (job.operation, job.params) == ("vms.rename", {"name": "shop-01"})


@pytest.mark.parametrize("name", ["", "a b", "db-01", "x" * 300])
def test_rename_to_nonsense(admin: User, off: Vm, name: str) -> None:
    make_vm(None, "db-01")
    assert refused(call(admin, "POST", f"/vms/{off.uuid}/rename", {"name": name}), 422) == "name"


def test_rename_a_running_one(admin: User, vm: Vm) -> None:
    answer = call(admin, "POST", f"/vms/{vm.uuid}/rename", {"name": "shop-01"})
    assert refused(answer, 409) == ""
    assert "shut it down" in answer.json()["detail"]


def test_resize_takes_only_what_changes(admin: User, vm: Vm) -> None:
    job = begun(call(admin, "POST", f"/vms/{vm.uuid}/resize", {"vcpus": vm.vcpus, "memory_bytes": 2 * GIB}))
    assert (job.operation, job.params) == ("vms.resize", {"memory_bytes": 2 * GIB})


def test_resize_to_a_size_with_a_remainder(admin: User, vm: Vm) -> None:
    job = begun(call(admin, "POST", f"/vms/{vm.uuid}/resize", {"memory_bytes": 2 * GIB + 4096}))
    assert job.params == {"memory_bytes": 2 * GIB + 4096}


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"vcpus": 0}, 422, "vcpus"),
        ({"vcpus": 10**6}, 422, "vcpus"),
        ({"memory_bytes": -GIB}, 422, "memory_bytes"),
        ({"memory_bytes": 10**30}, 422, "memory_bytes"),
        ({"memory_bytes": 64 * GIB}, 409, "memory_bytes"),
        ({"vcpus": 4, "max_vcpus": 2}, 409, "max_vcpus"),
        ({}, 409, ""),
    ],
)
def test_resize_to_nonsense(admin: User, vm: Vm, body: dict[str, Any], status: int, field: str) -> None:
    assert refused(call(admin, "POST", f"/vms/{vm.uuid}/resize", body), status) == field


def test_disk(admin: User, vm: Vm) -> None:
    job = begun(call(admin, "POST", f"/vms/{vm.uuid}/disks/vda/resize", {"size_bytes": 20 * GIB}))
    assert (job.operation, job.params) == ("vms.resize-disk", {"target": "vda", "size_bytes": 20 * GIB})


@pytest.mark.parametrize("size", [0, -GIB, 10 * GIB, 10**30])
def test_disk_to_nonsense(admin: User, vm: Vm, size: int) -> None:
    answer = call(admin, "POST", f"/vms/{vm.uuid}/disks/vda/resize", {"size_bytes": size})
    assert refused(answer, 422) == "size_bytes"


def test_no_such_disk(admin: User, vm: Vm) -> None:
    assert call(admin, "POST", f"/vms/{vm.uuid}/disks/vdz/resize", {"size_bytes": GIB}).status_code == 404


def test_forget(admin: User, vm: Vm) -> None:
    assert refused(call(admin, "POST", f"/vms/{vm.uuid}/actions/forget"), 409) == ""
    Vm.objects.update(host=None)
    assert begun(call(admin, "POST", f"/vms/{vm.uuid}/actions/forget")).operation == "vms.forget"


def test_what_an_action_takes(admin: User, vm: Vm) -> None:
    job = begun(call(admin, "POST", f"/vms/{vm.uuid}/actions/shutdown", {"timeout_s": 300}))
    assert job.params == {"timeout_s": 300}


def test_start_on_a_persons_word(admin: User, off: Vm) -> None:
    job = begun(call(admin, "POST", f"/vms/{off.uuid}/actions/start", {"silent_hosts": [7]}))
    assert job.params == {"force": True, "silent_hosts": [7]}


@pytest.mark.parametrize(
    ("action", "body", "status", "field"),
    [
        ("shutdown", {"timeout_s": 1}, 409, "timeout_s"),
        ("shutdown", {"host": 1}, 422, "host"),
        ("pause", {"timeout_s": 300}, 422, "timeout_s"),
    ],
)
def test_what_an_action_does_not_take(
    admin: User, vm: Vm, action: str, body: dict[str, Any], status: int, field: str
) -> None:
    assert refused(call(admin, "POST", f"/vms/{vm.uuid}/actions/{action}", body), status) == field


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
def test_strangers_and_owners(lab_user: User, vm: Vm, method: str, path: str, body: Any) -> None:
    """A lab user may start, stop, rename and describe what is theirs, not change it; another's is not there."""
    assert call(lab_user, method, f"/vms/{vm.uuid}{path}", body).status_code == 404
    Vm.objects.update(owner=lab_user)
    if path in {"", "/rename"} and method != "DELETE":
        assert call(lab_user, "PATCH", f"/vms/{vm.uuid}", {"owner": None}).status_code == 422
        return
    assert call(lab_user, method, f"/vms/{vm.uuid}{path}", body).status_code == 403
    assert not Job.objects.exists()


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
def test_nobody_and_nothing(admin: User, vm: Vm, method: str, path: str, body: Any) -> None:
    assert call(None, method, f"/vms/{vm.uuid}{path}", body).status_code == 401
    assert call(admin, method, f"/vms/{uuid4()}{path}", body).status_code == 404


def test_every_entry_of_the_menu_is_a_call(admin: User) -> None:
    """A button that comes later must not be forgotten here."""
    paths = call(admin, "GET", "/openapi.json").json()["paths"]
    summary = paths["/api/v1/vms/{uuid}/actions/{action}"]["post"]["description"]
    calls = {path.rsplit("/", 1)[1] for path in paths if path.startswith("/api/v1/vms/{uuid}/")}
    calls |= {"snapshot"} if "post" in paths["/api/v1/vms/{uuid}/snapshots"] else set()
    calls |= {"edit"} if "patch" in paths["/api/v1/vms/{uuid}"] else set()
    calls |= {"delete"} if "delete" in paths["/api/v1/vms/{uuid}"] else set()
    for action in (action for group in MENU for action in group):
        assert action.verb in calls or action.verb in re.findall(r"[a-z-]+", summary), action.verb


def test_snapshots(lab_user: User, vm: Vm) -> None:
    Vm.objects.update(owner=lab_user)
    assert call(lab_user, "POST", f"/vms/{vm.uuid}/snapshots", {"name": "first"}).status_code == 202
    assert Job.objects.get().params == {"name": "first", "description": ""}
    one = Snapshot.objects.create(vm=vm, name="second", taken_at=timezone.now())
    Vm.objects.update(job=None)
    assert [row["name"] for row in call(lab_user, "GET", f"/vms/{vm.uuid}/snapshots").json()] == ["second"]
    assert call(lab_user, "POST", f"/vms/{vm.uuid}/snapshots/{one.pk}/revert").status_code == 202
    assert call(lab_user, "DELETE", f"/vms/{vm.uuid}/snapshots/{one.pk}").status_code == 202
    assert call(lab_user, "DELETE", f"/vms/{vm.uuid}/snapshots/{one.pk + 1}").status_code == 404
