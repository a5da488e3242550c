"""What the database itself holds about groups and grants."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from access.models import Grant, Membership, Role
from tests.factories import give, make_group, make_host, make_pool, make_user, make_vm

pytestmark = pytest.mark.django_db


def test_it_works() -> None:
    anna, bert = make_user("anna"), make_user("bert")
    group = make_group("Networks", anna, manager=bert)
    vm = make_vm(make_host(), group=group)
    assert list(group.vms.all()) == [vm]
    assert [str(one) for one in group.memberships.all()] == ["bert in Networks", "anna in Networks"]
    assert str(give(group, Role.OPERATOR, vm)) == "operator for Networks on web-07"
    assert str(give(anna, Role.AUDITOR)) == "auditor for anna on everything"


def test_a_grant_is_for_one_subject_on_one_thing_at_most() -> None:
    anna, group = make_user(), make_group()
    pool, vm = make_pool(), make_vm(None)
    for wrong in ({"to_user": anna, "to_group": group}, {}, {"to_user": anna, "on_vm": vm, "on_pool": pool}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Grant.objects.create(role=Role.USER, **wrong)


def test_nobody_is_in_a_group_twice() -> None:
    anna = make_user()
    group = make_group("Networks", anna)
    with pytest.raises(IntegrityError), transaction.atomic():
        Membership.objects.create(group=group, user=anna)


def test_an_ended_grant_is_not_in_force() -> None:
    anna, now = make_user(), timezone.now()
    over = give(anna, Role.OPERATOR, until=now)
    rest = {give(anna, Role.AUDITOR), give(anna, Role.AUDITOR, until=now + timedelta(minutes=1))}
    assert over.is_over
    assert set(Grant.objects.in_force()) == rest


def test_a_vm_outlives_its_group_and_a_grant_does_not_outlive_its_vm() -> None:
    anna = make_user()
    group = make_group("Networks", anna)
    vm = make_vm(None, group=group)
    give(anna, Role.USER, vm)
    group.delete()
    vm.refresh_from_db()
    assert vm.group is None
    vm.delete()
    assert not Grant.objects.exists()
