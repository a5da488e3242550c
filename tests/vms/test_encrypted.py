"""Encrypted migration, as far as it is known before the hosts are asked (then: test_migration_options_lab.py)."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from access.models import User
from hosts.models import Host
from jobs.engine import enqueue
from jobs.errors import Refused
from jobs.models import Job
from tests.api.kit import call
from tests.factories import make_host, make_pool, make_vm
from vms.destinations import best, destinations
from vms.encrypted import why_no_tls
from vms.migration import MigrateVm
from vms.models import Vm

pytestmark = pytest.mark.django_db
DISABLED = '<option value="tls" disabled>'


@pytest.fixture
def vm() -> Vm:
    """On vmhost1; vmhost2 has more room than vmhost3. All three have certificates."""
    until = timezone.now() + timedelta(days=90)
    hosts = [make_host(f"vmhost{n}", transport="ssh", certificate_until=until) for n in (1, 2, 3)]
    Host.objects.update(trusted_hosts=[host.pk for host in hosts])
    Host.objects.filter(name="vmhost3").update(memory_free_bytes=8 * 1024**3)
    hosts[0].refresh_from_db()
    return make_vm(hosts[0], pool=make_pool("vmstorage", *hosts))


def certificate(name: str, days: int | None) -> Host:
    until = None if days is None else timezone.now() + timedelta(days=days)
    Host.objects.filter(name=name).update(certificate_until=until)
    return Host.objects.get(name=name)


def fresh(vm: Vm) -> Vm:
    return Vm.objects.select_related("host").get(pk=vm.pk)


def test_it_works(vm: Vm, admin: User, admin_client: Client) -> None:
    assert [one.no_tls for one in destinations(vm, "live")] == ["", ""]
    page = admin_client.get(f"/vms/{vm.uuid}/migrate").content.decode()
    assert 'value="tls"' in page
    assert DISABLED not in page
    assert "No TLS" not in page
    assert enqueue(MigrateVm(vm, {"tls": True}), user=admin).params["host"] == Host.objects.get(name="vmhost2").pk


@pytest.mark.parametrize(("days", "word"), [(None, "vmhost2 has no certificate"), (-3, "The certificate of vmhost2")])
def test_one_of_them_has_none(vm: Vm, admin: User, admin_client: Client, days: int | None, word: str) -> None:
    """Said beside the host; the best place is another one; and chosen all the same it is refused beside the field."""
    host = certificate("vmhost2", days)
    page = admin_client.get(f"/vms/{vm.uuid}/migrate").content.decode()
    assert f"No TLS: {word}" in page
    assert DISABLED not in page
    assert best(vm, "live", tls=True).host.name == "vmhost3"  # type: ignore[union-attr]
    assert enqueue(MigrateVm(vm, {"tls": True}), user=admin).params["host"] == Host.objects.get(name="vmhost3").pk
    Job.objects.all().delete()
    with pytest.raises(Refused, match=word) as refused:
        enqueue(MigrateVm(vm, {"host": host.pk, "tls": True}), user=admin)
    assert refused.value.field == "transport"
    assert "Set up encrypted migration" in str(refused.value.message)
    assert enqueue(MigrateVm(vm, {"host": host.pk}), user=admin).params["host"] == host.pk


@pytest.mark.parametrize("names", [["vmhost1"], ["vmhost2", "vmhost3"]])
def test_tls_is_not_offered_where_it_can_not_work(vm: Vm, admin: User, admin_client: Client, names: list[str]) -> None:
    for name in names:
        certificate(name, None)
    page = admin_client.get(f"/vms/{vm.uuid}/migrate").content.decode()
    assert DISABLED in page
    assert "No TLS:" in page
    assert "Set up encrypted migration" in page
    posted = {"host": "best", "mode": "live", "transport": "tls"}
    answer = admin_client.post(f"/vms/{vm.uuid}/migrate", posted, headers={"HX-Request": "true"})
    assert answer.status_code == 422
    assert not Job.objects.exists()
    body = call(admin, "POST", f"/vms/{vm.uuid}/migrate", {"tls": True})
    assert (body.status_code, body.json()["field"]) == (409, "transport")


def test_hosts_that_can_not_be_looked_at(vm: Vm) -> None:
    """Without SSH nobody reads certificates: the move itself will tell."""
    host = certificate("vmhost2", None)
    assert why_no_tls(fresh(vm).host, host)
    host.transport = "tls"
    assert why_no_tls(fresh(vm).host, host) == ""


def test_the_api_says_it(vm: Vm, admin: User) -> None:
    certificate("vmhost3", -1)
    found = call(admin, "GET", f"/vms/{vm.uuid}/destinations").json()
    assert [bool(one["no_tls"]) for one in found] == [False, True]
