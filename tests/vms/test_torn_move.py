"""Who may resume which broken move; resuming itself is tried with real hosts in tests/faults/test_torn.py."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from access.models import User
from hosts.models import Host
from jobs.engine import enqueue
from jobs.errors import Refused
from jobs.models import Job
from jobs.states import State
from tests.factories import make_host, make_pool, make_vm
from virt.migration import Options
from vms.models import Presence, Vm
from vms.torn_move import ResumeMove, torn_job

pytestmark = pytest.mark.django_db


@pytest.fixture
def vm() -> Vm:
    """It runs on vmhost2 and waits for the memory that is still on vmhost1."""
    here, there = make_host("vmhost1"), make_host("vmhost2")
    vm = make_vm(there, pool=make_pool("vmstorage", here, there))
    Presence.objects.create(vm=vm, host=here, observed_state="paused", is_in_transit=True, seen_at=timezone.now())
    return vm


def moved(vm: Vm, state: str = State.FAILED, operation: str = "vms.migrate", **result: Any) -> Job:
    ends = {"source": Host.objects.get(name="vmhost1").pk, "destination": vm.host_id}
    return Job.objects.create(
        operation=operation,
        title="Migrate",
        state=state,
        target_kind="vm",
        target_key=str(vm.uuid),
        params={"host": vm.host_id, "mode": "live", "post_copy": True, "timeout_s": 60},
        result={**ends, **result},
        error="The way broke.",
        finished_at=timezone.now(),
    )


def test_it_works(vm: Vm, admin: User) -> None:
    """It takes the options of the move that broke, without its time limit; and both hosts' slots."""
    broken = moved(vm, torn=True)
    job = enqueue(ResumeMove(vm), user=admin)
    ends = [broken.result["source"], broken.result["destination"]]
    assert (job.params["broken"], job.params["between"], job.params["timeout_s"]) == (broken.pk, ends, 0)
    assert job.params["mode"] == "live"
    assert {f"migrate:host:{pk}" for pk in ends} < {key for key, _limit in job.locks}


@pytest.mark.parametrize(
    ("state", "operation", "torn", "is_open"),
    [
        (State.FAILED, "vms.migrate", True, True),
        (State.FAILED, "vms.migrate", False, False),
        (State.SUCCEEDED, "vms.resume-move", True, False),
        (State.SUCCEEDED, "vms.migrate", False, False),
        (State.FAILED, "vms.resume-move", True, True),
        (State.FAILED, "vms.resume-move", False, False),
        (State.ERRORED, "vms.resume-move", True, True),
        (State.CANCELLED, "vms.resume-move", False, True),
        (State.RUNNING, "vms.resume-move", True, True),
    ],
)
def test_what_came_last_counts(vm: Vm, admin: User, state: str, operation: str, torn: bool, is_open: bool) -> None:
    moved(vm, torn=True)
    moved(vm, state, operation, torn=torn)
    assert (torn_job(vm) is not None) == is_open
    assert (ResumeMove.refusal(admin, vm) is None) == is_open


def test_nothing_broke(vm: Vm, admin: User) -> None:
    with pytest.raises(Refused, match="None of its moves broke"):
        enqueue(ResumeMove(vm), user=admin)


def test_libvirt_that_is_too_old(vm: Vm, admin: User) -> None:
    moved(vm, torn=True)
    Host.objects.filter(name="vmhost1").update(libvirt_version="8.4.9")
    with pytest.raises(Refused, match=r"vmhost1 \(8\.4\.9\)"):
        enqueue(ResumeMove(vm), user=admin)


def test_the_page_offers_it(vm: Vm, admin_client: Client, client: Client, lab_user: User) -> None:
    moved(vm, torn=True)
    page = admin_client.get(vm.get_absolute_url()).content.decode()
    for text in ("Its move broke off", "Resume the move", "Force it off on vmhost1", "Force it off on vmhost2"):
        assert text in page
    url = f"/vms/{vm.uuid}/act/resume-move"
    assert url in page
    assert admin_client.post(url, headers={"HX-Request": "true"}).status_code == 204
    assert Job.objects.latest("pk").operation == "vms.resume-move"


def test_owners_do_not_move_their_vms(vm: Vm, client: Client, lab_user: User) -> None:
    moved(vm, torn=True)
    Vm.objects.update(owner=lab_user)
    client.force_login(lab_user)
    assert "Resume the move</button>" not in client.get(vm.get_absolute_url()).content.decode()
    assert client.post(f"/vms/{vm.uuid}/act/resume-move").status_code == 403


def test_the_same_by_hand() -> None:
    options = Options(post_copy=True, resume=True)
    assert "--postcopy-resume" in options.command("web-07", "qemu:///system", "qemu+ssh://b/system", "10.0.0.2")
    assert options.flags() & ~Options(post_copy=True).flags()
