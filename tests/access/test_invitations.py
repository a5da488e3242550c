"""Links that make one person each: once, in time, and only while whoever made them still may."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from access import invitations
from access.models import Group, Invitation, Role, User
from access.people import Denied
from audit.models import Entry
from tests.factories import give, make_group, make_user

pytestmark = pytest.mark.django_db
GOOD = {"username": "anna", "first_name": "Anna", "password": "chosen horse 8", "again": "chosen horse 8"}
NEW = "/people/invitations/new"


def invite(client: Client, **more: Any) -> str:
    answer = client.post(NEW, {"username": "", "email": "", "role": "user", "days": "7", **more})
    assert answer.status_code == 200, answer.content.decode()
    assert answer.headers["Cache-Control"] == "no-store"
    link = answer.context["link"]
    assert link in answer.content.decode()
    return str(link).removeprefix("http://testserver")


def test_it_works(admin_client: Client) -> None:
    group = make_group("Networks")
    link = invite(admin_client, role="approver", group=group.pk, email="anna@uni.example")
    assert link not in admin_client.get("/people/invitations/").content.decode()
    client = Client()
    assert "approver" in client.get(link).content.decode()
    assert client.post(link, GOOD).headers["Location"] == "/"
    anna = User.objects.get(username="anna")
    assert (anna.role, anna.email, anna.first_name) == ("approver", "anna@uni.example", "Anna")
    assert list(anna.member_of.all()) == [group]
    assert not anna.must_change_password
    assert client.get("/my-vms/").status_code == 200
    assert Entry.objects.filter(action="access.invitation_used", who="anna").count() == 1
    assert Entry.objects.filter(action="access.invitation_made", who="ada").count() == 1
    assert "used" in admin_client.get("/people/invitations/").content.decode()


def test_it_works_once(admin_client: Client) -> None:
    link = invite(admin_client)
    assert Client().post(link, GOOD).status_code == 302
    assert Client().get(link).status_code == 404
    assert Client().post(link, {**GOOD, "username": "bert"}).status_code == 404
    assert User.objects.count() == 2


def test_two_at_the_same_time(admin: User) -> None:
    made, _secret = invitations.make(admin, {"role": "user"}, 7)
    invitations.accept(made, {"username": "anna"}, "chosen horse 8")
    with pytest.raises(Denied, match="used in the meantime"):
        invitations.accept(made, {"username": "bert"}, "chosen horse 8")


def test_what_is_wrong_leaves_it_open(admin_client: Client, admin: User) -> None:
    link = invite(admin_client)
    for more, field in (
        ({"username": "ADA"}, "username"),
        ({"username": "a b"}, "username"),
        ({"password": "short", "again": "short"}, "password"),
        ({"again": "another"}, "again"),
        ({"password": ""}, "password"),
    ):
        answer = Client().post(link, {**GOOD, **more})
        assert answer.status_code == 422
        assert field in answer.context["form"].errors
    assert Client().post(link, GOOD).status_code == 302


def test_a_name_that_is_set_stays(admin_client: Client) -> None:
    link = invite(admin_client, username="carl")
    assert 'name="username"' not in Client().get(link).content.decode()
    Client().post(link, GOOD)
    assert User.objects.filter(username="carl").exists()
    assert not User.objects.filter(username="anna").exists()


def test_it_ends(admin_client: Client) -> None:
    old, withdrawn = invite(admin_client), invite(admin_client)
    first, second = Invitation.objects.order_by("id")
    Invitation.objects.filter(pk=first.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    admin_client.post(f"/people/invitations/{second.pk}/withdraw")
    for link in (old, withdrawn, "/join/guess", "/join/" + "x" * 4000):
        answer = Client().get(link)
        assert answer.status_code == 404
        assert "not valid" in answer.content.decode()
        assert Client().post(link, GOOD).status_code == 404
    assert User.objects.count() == 1


@pytest.mark.parametrize("end", ["deactivated", "lowered", "deleted"])
def test_it_is_worth_what_its_maker_is(admin: User, end: str) -> None:
    second = make_user("second", Role.ADMINISTRATOR)
    _made, secret = invitations.make(second, {"role": "administrator"}, 7)
    assert invitations.find(secret)
    if end == "deleted":
        second.delete()
    else:
        User.objects.filter(pk=second.pk).update(**({"is_active": False} if end == "deactivated" else {"role": "user"}))
    assert invitations.find(secret) is None


def test_who_administers_for_a_time_invites_no_administrators(client: Client, admin: User) -> None:
    carl, group = make_user("carl"), Group.objects.create(name="Staff")
    give(carl, Role.ADMINISTRATOR)
    give(group, Role.ADMINISTRATOR)
    client.force_login(carl)
    for more in ({"role": "administrator"}, {"role": "user", "group": group.pk}):
        assert client.post(NEW, {"days": "7", **more}).status_code == 422
    assert not Invitation.objects.exists()


def test_a_used_one_is_not_withdrawn(admin_client: Client) -> None:
    Client().post(invite(admin_client), GOOD)
    assert admin_client.post(f"/people/invitations/{Invitation.objects.get().pk}/withdraw").status_code == 404


def test_the_api(admin_client: Client) -> None:
    made = admin_client.post("/api/v1/invitations", {"role": "operator"}, content_type="application/json")
    assert made.status_code == 201
    link = made.json()["link"]
    assert "link" not in str(admin_client.get("/api/v1/invitations").json())
    assert Client().get(link).status_code == 200
    assert admin_client.delete(f"/api/v1/invitations/{made.json()['id']}").status_code == 204
    assert Client().get(link).status_code == 404
    wrong = admin_client.post("/api/v1/invitations", {"group": 999}, content_type="application/json")
    assert wrong.status_code == 422


def test_the_list_costs_the_same_for_many(
    admin: User, admin_client: Client, django_assert_max_num_queries: Any
) -> None:
    for _turn in range(30):
        invitations.make(admin, {"role": "user", "group": make_group(f"g{_turn}")}, 7)
    with django_assert_max_num_queries(13):
        admin_client.get("/people/invitations/")
