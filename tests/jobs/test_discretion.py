"""Who sees nothing of the cluster but their VMs reads no host's name, no folder and no command for a host."""

import pytest
from django.test import Client

from access.models import User
from cluster.attention import attention
from cluster.search import find
from hosts.models import Host
from jobs.models import Job, JobLine
from jobs.states import State
from tests.api.kit import call
from tests.factories import make_group, make_host, make_vm
from vms.models import Vm
from vms.operations.power import StartVm

pytestmark = pytest.mark.django_db
WORDS = ("vmhost1", "10.9.8.7", "/var/lib/libvirt", "qemu+ssh")


@pytest.fixture
def vm(lab_user: User) -> Vm:
    host = make_host("vmhost1", address="10.9.8.7")
    return make_vm(host, "vmhost1-fan", owner=lab_user, observed_state="off")


@pytest.fixture
def job(vm: Vm, lab_user: User) -> Job:
    job = Job.objects.create(
        operation="vms.start",
        title="Start vmhost1-fan → vmhost1",
        user=lab_user,
        target_kind="vm",
        target_key=str(vm.uuid),
        state=State.FAILED,
        error="vmhost1 (10.9.8.7) can't be asked; the disk /var/lib/libvirt/images/x.qcow2 stays.",
        technical="qemu+ssh://root@10.9.8.7/system",
        commands=["virsh -c qemu+ssh://root@vmhost1/system start x"],
        params={"host": 1, "name": "x", "disks": ["/var/lib/libvirt/images/x.qcow2"]},
        result={"source_name": "vmhost1", "old": {"path": "/var/lib/libvirt/images/y.qcow2", "on": ["vmhost1"]}},
    )
    JobLine.objects.create(job=job, text="Copied x to vmhost1.")
    return job


def test_pages(client: Client, lab_user: User, vm: Vm, job: Job) -> None:
    client.force_login(lab_user)
    piece = {"HX-Request": "true"}
    pages = [f"/jobs/{job.pk}", "/jobs/", f"/jobs/{job.pk}/log", f"/vms/{vm.uuid}/jobs", "/jobs/dock/list", "/my-vms/"]
    pages += [f"/vms/{vm.uuid}/{tab}" for tab in ("", "hardware", "facts", "head", "snapshots")]
    pages += ["/vms/", "/search?q=start", "/search?q=vmhost1"]
    for page in pages:
        answer = client.get(page, headers=piece if page.endswith("log") else {}, follow=True)
        assert answer.status_code in {200, 404}, page
        text = answer.content.decode().replace("vmhost1-fan", "")
        found = [word for word in WORDS if word in text and f"q={word}" not in page]
        assert found == [], page
    assert "a host" in client.get(f"/jobs/{job.pk}", follow=True).content.decode()
    assert all("vmhost1 " not in item.why for item in attention(lab_user))


def test_api(lab_user: User, operator: User, vm: Vm, job: Job) -> None:
    for path in (f"/jobs/{job.pk}", "/jobs/", f"/vms/{vm.uuid}", "/vms/"):
        text = call(lab_user, "GET", path).content.decode().replace("vmhost1-fan", "")
        assert [word for word in (*WORDS, "br0") if word in text] == [], path
    told = call(lab_user, "GET", f"/jobs/{job.pk}").json()
    assert (told["params"]["disks"], told["result"]["old"]) == (["x.qcow2"], {"path": "y.qcow2", "on": ["a host"]})
    assert call(lab_user, "GET", f"/vms/{vm.uuid}").json()["host_id"] is None
    assert call(lab_user, "GET", f"/vms/?host={vm.host_id}").json()["items"] == []
    told = call(operator, "GET", f"/jobs/{job.pk}").json()
    assert "vmhost1" in told["error"]
    assert told["commands"]
    assert call(operator, "GET", f"/vms/{vm.uuid}").json()["host_id"] == vm.host_id


def test_reasons(lab_user: User, operator: User, vm: Vm) -> None:
    Host.objects.update(observed_state="unreachable")
    vm = Vm.objects.select_related("host").get(pk=vm.pk)
    assert str(StartVm.refusal(lab_user, vm)) == "a host, where it is, does not answer."
    assert "vmhost1" in str(StartVm.refusal(operator, vm))


def test_refusals(lab_user: User, operator: User, vm: Vm) -> None:
    """Also those of a job's parameters."""
    Host.objects.update(memory_bytes=2**30)
    Vm.objects.filter(pk=vm.pk).update(group=make_group("Networks", manager=lab_user))
    said = [
        call(person, "POST", f"/vms/{vm.uuid}/resize", {"memory_bytes": 2**40}).json()["detail"]
        for person in (lab_user, operator)
    ]
    assert said == [f"{name} has only 1\N{NO-BREAK SPACE}GiB." for name in ("a host", "vmhost1")]


def test_what_is_hidden_is_not_found_either(client: Client, lab_user: User, operator: User, job: Job) -> None:
    for person, words, is_found in (
        (lab_user, "→ vmh", False),
        (lab_user, "10.9.8", False),
        (lab_user, "libvirt/im", False),
        (lab_user, "start", True),
        (operator, "→ vmh", True),
        (operator, "10.9.8", True),
    ):
        client.force_login(person)
        assert (f"/jobs/{job.pk}" in client.get("/jobs/", {"q": words}).content.decode()) == is_found, words
    assert "Jobs" not in {group.title for group in find(lab_user, "→ vmh")}


def test_nothing_is_stored(client: Client, lab_user: User, job: Job) -> None:
    client.force_login(lab_user)
    client.get(f"/jobs/{job.pk}", follow=True)
    job.refresh_from_db()
    assert "vmhost1" in job.error
    assert job.commands
