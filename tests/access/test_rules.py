"""Who may do what to which thing: roles, grants and their end, groups and their managers."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import Http404
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from access.models import ApiToken, Grant, Membership, Role, User
from access.rules import can, everywhere, find, require, visible
from cluster.consumers import may_watch
from hosts.models import Host
from jobs.engine import may_cancel
from jobs.models import Job
from storage.models import Image, Pool, Volume
from tests.factories import give, make_group, make_host, make_pool, make_user, make_vm
from vms import consoles
from vms.models import ConsoleSession, Vm
from vms.operations.power import ShutDownVm

pytestmark = pytest.mark.django_db


def again(user: User) -> User:
    """As the next request finds this person."""
    return User.objects.get(pk=user.pk)


@pytest.fixture
def anna() -> User:
    return make_user("anna")


@pytest.fixture
def vm() -> Vm:
    return make_vm(make_host())


def test_it_works(anna: User, vm: Vm) -> None:
    other = make_vm(vm.host, "other")
    assert not can(anna, "vms.power", vm)
    assert list(visible(anna, Vm.objects.all())) == []
    give(anna, Role.USER, vm)
    anna = again(anna)
    assert can(anna, "vms.power", vm)
    assert can(anna, "vms.console", vm)
    assert not can(anna, "vms.change", vm)
    assert not can(anna, "vms.power", other)
    assert list(visible(anna, Vm.objects.all())) == [vm]
    assert list(visible(anna, Vm.objects.all(), "vms.change")) == []


def test_an_unknown_permission_is_a_mistake_of_ours(anna: User) -> None:
    for ask in (can, everywhere, require):
        with pytest.raises(ValueError, match="unknown permission"):
            ask(anna, "vms.fly")


def test_nobody_may_nothing(vm: Vm) -> None:
    gone = make_user("gone", Role.ADMINISTRATOR, is_active=False)
    for person in (AnonymousUser(), gone):
        assert not can(person, "vms.view", vm)
        assert not everywhere(person, "vms.view")
        assert not visible(person, Vm.objects.all()).exists()


def test_a_grant_counts_for_nothing_once_it_is_over(anna: User, vm: Vm) -> None:
    grant = give(anna, Role.OPERATOR, vm, until=timezone.now() + timedelta(hours=1))
    assert can(again(anna), "vms.change", vm)
    Grant.objects.filter(pk=grant.pk).update(until=timezone.now())
    assert not can(again(anna), "vms.change", vm)
    assert not can(again(anna), "vms.view", vm)


@pytest.mark.parametrize("role", Role.values)
def test_a_role_on_one_vm_reaches_nothing_else(anna: User, vm: Vm, role: str) -> None:
    """Not other VMs, not hosts, not storage, not people, not making VMs, not moving them between hosts."""
    other, pool = make_vm(vm.host, "other"), make_pool("vms", make_host("vmhost2"))
    give(anna, role, vm)
    anna = again(anna)
    assert can(anna, "vms.view", vm)
    assert not can(anna, "vms.view", other)
    assert not can(anna, "vms.migrate", vm)
    for rows in (Host.objects.all(), Pool.objects.all()):
        assert not visible(anna, rows).exists()
    assert not can(anna, "storage.view", pool)
    for permission in ("vms.create", "hosts.view", "hosts.manage", "storage.view", "access.view", "access.manage"):
        assert not can(anna, permission), permission
        assert not everywhere(anna, permission), permission


def test_an_auditor_of_one_vm_reads_it_and_its_record(anna: User, vm: Vm) -> None:
    job = Job.objects.create(operation="vms.pause", title="Pause", target_kind="vm", target_key=str(vm.uuid))
    other = Job.objects.create(operation="vms.pause", title="Pause", target_kind="vm", target_key="x")
    give(anna, Role.AUDITOR, vm)
    anna = again(anna)
    assert can(anna, "vms.view", vm)
    assert list(visible(anna, Job.objects.all())) == [job]
    assert can(anna, "jobs.all", job)
    assert not can(anna, "jobs.all", other)
    assert not may_cancel(anna, job)
    for permission in ("vms.console", "vms.power", "vms.change", "vms.delete"):
        assert not can(anna, permission, vm), permission


def test_a_manager_does_with_the_groups_vms_what_an_operator_may(vm: Vm, anna: User) -> None:
    bert = make_user("bert")
    group = make_group("Networks", bert, manager=anna)
    other = make_vm(vm.host, "other", group=make_group("Graphics"))
    Vm.objects.filter(pk=vm.pk).update(group=group)
    vm.refresh_from_db()
    job = Job.objects.create(operation="vms.pause", title="Pause", target_kind="vm", target_key=str(vm.uuid))
    for permission in ("vms.view", "vms.console", "vms.power", "vms.change", "vms.delete"):
        assert can(again(anna), permission, vm), permission
        assert not can(again(anna), permission, other), permission
    assert may_cancel(again(anna), job)
    assert not can(again(anna), "vms.migrate", vm)
    assert not can(again(anna), "vms.create")
    assert not can(again(anna), "vms.view", make_vm(vm.host, "ownerless"))
    assert not can(again(bert), "vms.view", vm), "to be a member alone gives nothing"


def test_what_a_group_was_given_holds_for_its_members_while_they_are(vm: Vm, anna: User) -> None:
    group = make_group("Networks", anna)
    give(group, Role.USER, vm)
    assert can(again(anna), "vms.power", vm)
    Membership.objects.all().delete()
    assert not can(again(anna), "vms.power", vm)


def test_a_role_on_a_group_reaches_its_vms(vm: Vm, anna: User) -> None:
    group = make_group("Networks")
    Vm.objects.filter(pk=vm.pk).update(group=group)
    vm.refresh_from_db()
    give(anna, Role.USER, group)
    assert can(again(anna), "vms.console", vm)
    assert not can(again(anna), "groups.view", group)
    assert not can(again(anna), "vms.change", vm)


def test_a_role_on_a_pool_reaches_what_lies_there(anna: User) -> None:
    host = make_host()
    pool, other = make_pool("vms", host), make_pool("other", host)
    inside = [Volume.objects.create(pool=one, name="a", path=f"/{one.pk}") for one in (pool, other)]
    for one in (pool, other):
        Image.objects.create(name=one.name, version="1", pool=one, volume_name="x")
    give(anna, Role.ADMINISTRATOR, pool)
    anna = again(anna)
    assert list(visible(anna, Pool.objects.all())) == [pool]
    assert list(visible(anna, Volume.objects.all(), "storage.manage")) == [inside[0]]
    assert visible(anna, Image.objects.all()).get().name == "vms"
    assert not everywhere(anna, "storage.manage")
    with pytest.raises(Http404):
        require(anna, "storage.manage", on_all=True)
    assert may_watch(anna, {"pools", f"pool.{pool.pk}", f"pool.{other.pk}", f"image.{other.pk}", "hosts"}) == {
        "pools",
        f"pool.{pool.pk}",
    }


def test_who_was_given_a_pool_sees_its_hosts_names_and_no_others(client: Client, anna: User) -> None:
    mine, other = make_host("vmhost1"), make_host("vmhost2")
    pool, hidden = make_pool("vms", mine), make_pool("elsewhere", other)
    give(anna, Role.ADMINISTRATOR, pool)
    client.force_login(anna)
    pages = [client.get(url).content.decode() for url in (reverse("storage:index"), pool.get_absolute_url())]
    for page in pages:
        assert "vmhost1" in page
        assert "vmhost2" not in page
        assert "elsewhere" not in page
    assert client.get(hidden.get_absolute_url()).status_code == 404
    assert client.get(mine.get_absolute_url()).status_code == 404
    assert client.get(reverse("storage:add_volume", args=[pool.pk])).status_code == 200
    for name in ("storage:add_hosts", "storage:retry_pool"):
        assert client.post(reverse(name, args=[pool.pk]), {"hosts": [other.pk]}).status_code == 403, name
    placed = client.post(
        f"/api/v1/pools/{pool.pk}/actions/place", {"hosts": [other.pk]}, content_type="application/json"
    )
    assert placed.status_code == 403
    assert not Job.objects.exists()


def test_a_role_on_everything_for_a_day(anna: User, vm: Vm) -> None:
    give(anna, Role.OPERATOR, until=timezone.now() + timedelta(days=1))
    anna = again(anna)
    assert everywhere(anna, "vms.migrate")
    assert can(anna, "hosts.view", vm.host)
    assert not can(anna, "hosts.manage", vm.host)
    assert not can(anna, "access.view")


def test_an_auditor_has_no_power_over_what_is_theirs(vm: Vm) -> None:
    auditor = make_user("paul", Role.AUDITOR)
    Vm.objects.update(owner=auditor)
    vm.refresh_from_db()
    for permission in ("vms.console", "vms.power"):
        assert not can(auditor, permission, vm)
    assert ShutDownVm.refusal(auditor, vm)


def test_an_auditor_hears_of_everything_and_sees_no_screen(vm: Vm) -> None:
    auditor = make_user("paul", Role.AUDITOR)
    topics = {f"vm.{vm.uuid}", f"host.{vm.host_id}", "hosts", "pools", "jobs", "vms"}
    assert may_watch(auditor, topics | {f"screen.{vm.uuid}"}) == topics
    session = ConsoleSession.objects.create(
        vm=vm, user=make_user("anna2"), ticket_digest="x", expires_at=timezone.now(), used_at=timezone.now()
    )
    assert list(visible(auditor, ConsoleSession.objects.all())) == [session]


def test_find_tells_apart_what_is_not_seen_and_what_is_not_allowed(anna: User, vm: Vm) -> None:
    with pytest.raises(Http404):
        find(anna, Vm.objects.all(), "vms.change", pk=vm.pk)
    Vm.objects.update(owner=anna)
    with pytest.raises(PermissionDenied):
        find(again(anna), Vm.objects.all(), "vms.change", pk=vm.pk)
    assert find(again(anna), Vm.objects.all(), "vms.power", pk=vm.pk) == vm


def test_two_queries_for_all_that_a_person_was_given(anna: User, vm: Vm) -> None:
    group = make_group("Networks", manager=anna)
    for number in range(20):
        make_vm(vm.host, f"vm{number}", group=group)
        give(anna, Role.USER, make_vm(vm.host, f"one{number}"))
    anna, rows = again(anna), list(Vm.objects.all())
    with CaptureQueriesContext(connection) as queries:
        assert sum(can(anna, "vms.power", one) for one in rows) == 40
        assert sum(can(anna, "vms.change", one) for one in rows) == 20
    assert len(queries) == 2


def test_the_list_of_a_manager_costs_as_much_with_many_vms(
    client: Client, anna: User, vm: Vm, django_assert_max_num_queries: Any
) -> None:
    group = make_group("Networks", manager=anna)
    for number in range(20):
        make_vm(vm.host, f"vm{number}", group=group)
    client.force_login(anna)
    with django_assert_max_num_queries(14):
        page = client.get(reverse("vms:index")).content.decode()
    assert "vm19" in page
    assert vm.name not in page


def test_an_open_console_ends_with_its_grant(client: Client, anna: User, vm: Vm) -> None:
    grant = give(anna, Role.USER, vm)
    client.force_login(anna)
    key = str(client.session.session_key)
    ticket = consoles.issue(vm, anna, key, kind="vnc", view_only=False, address=None)
    session = consoles.redeem(ticket, key)
    assert session is not None
    opened = {session.pk: consoles.Opened(key, "user")}
    assert consoles.still_allowed(opened) == {session.pk}
    unused = consoles.issue(vm, anna, key, kind="vnc", view_only=False, address=None)
    Grant.objects.filter(pk=grant.pk).update(until=timezone.now())
    assert consoles.still_allowed(opened) == set()
    assert consoles.redeem(unused, key) is None
    assert not visible(again(anna), ConsoleSession.objects.exclude(user=anna)).exists()


def test_who_is_granted_a_vm_reaches_it_by_page_and_api_and_nobody_else(client: Client, anna: User, vm: Vm) -> None:
    stranger = make_user("max")
    give(anna, Role.OPERATOR, vm)
    addresses = [vm.get_absolute_url(), f"/api/v1/vms/{vm.uuid}", reverse("vms:edit", args=[vm.uuid])]
    for person, status in ((anna, 200), (stranger, 404)):
        client.force_login(person)
        assert [client.get(address).status_code for address in addresses] == [status] * 3
    _token, secret = ApiToken.make(stranger, "script")
    headers = {"Authorization": f"Bearer {secret}"}
    assert Client().get(addresses[1], headers=headers).status_code == 404
    assert may_watch(again(anna), {f"vm.{vm.uuid}", f"screen.{vm.uuid}"}) == {f"vm.{vm.uuid}", f"screen.{vm.uuid}"}
    assert may_watch(stranger, {f"vm.{vm.uuid}", f"screen.{vm.uuid}"}) == set()


def test_who_may_change_one_vm_does_not_say_whose_it_is(client: Client, anna: User, vm: Vm) -> None:
    give(anna, Role.ADMINISTRATOR, vm)
    client.force_login(anna)
    make_user("secretname")
    page = client.get(reverse("vms:edit", args=[vm.uuid])).content.decode()
    assert 'name="title"' in page
    assert "secretname" not in page
    client.post(reverse("vms:edit", args=[vm.uuid]), {"title": "x", "owner": anna.pk, "group": make_group().pk})
    assert "owner" not in Job.objects.get().params
    assert "group" not in Job.objects.get().params
    url = f"/api/v1/vms/{vm.uuid}"
    assert client.patch(url, {"owner": anna.pk}, content_type="application/json").status_code in {403, 422}
    assert Job.objects.count() == 1
