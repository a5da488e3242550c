"""The pages of people: who is added, changed and locked out, and what administrators can't do to themselves."""

import pytest
from django.test import Client
from django.urls import reverse

from access.models import ApiToken, Role, User
from jobs.models import Job
from tests.factories import give, make_group, make_user, make_vm
from vms.models import Vm

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def url(name: str, person: User | None = None) -> str:
    return reverse(f"access:{name}", args=[person.pk] if person else [])


def form(**more: str) -> dict[str, str]:
    return {"first_name": "", "last_name": "", "email": "", "role": "user", **more}


def logs_in(name: str, password: str) -> Client:
    client = Client()
    assert client.post("/login", {"username": name, "password": password}).status_code == 302
    return client


def reloaded(person: User) -> User:
    return User.objects.get(pk=person.pk)


def test_it_works(admin_client: Client) -> None:
    answer = admin_client.post(url("add_person"), form(username="anna", first_name="Anna", role="approver"))
    anna, secret = User.objects.get(username="anna"), answer.context["secret"]
    assert anna.role == Role.APPROVER
    assert secret in answer.content.decode()
    assert answer.headers["Cache-Control"] == "no-store"
    assert secret not in admin_client.get(anna.get_absolute_url()).content.decode()
    logs_in("anna", secret)


def test_the_list_is_searched_and_filtered(admin_client: Client) -> None:
    make_group("Networks", make_user("anna", last_name="Karenina"))
    make_user("bert", Role.AUDITOR, is_active=False)
    page = admin_client.get(url("people")).content.decode()
    assert "anna" in page
    assert "Networks" in page
    for query, shown in (("q=karen", "anna"), ("role=auditor", "bert"), ("state=inactive", "bert")):
        found = admin_client.get(f"{url('people')}?{query}", headers=HTMX).context["page"].object_list
        assert [person.username for person in found] == [shown], query
    assert "Nobody is like this" in admin_client.get(f"{url('people')}?q=zz").content.decode()


def test_the_list_costs_the_same_for_many(admin_client: Client, django_assert_max_num_queries: object) -> None:
    for number in range(40):
        make_group(f"g{number}", make_user(f"p{number}"))
    with django_assert_max_num_queries(14):  # type: ignore[operator]
        admin_client.get(url("people"))


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"username": ""}, "username"),
        ({"username": "a b"}, "username"),
        ({"username": "ADA"}, "username"),  # there is an ada
        ({"username": "anna", "email": "x"}, "email"),
        ({"username": "anna", "role": "king"}, "role"),
        ({"username": "anna", "password": "12345"}, "password"),
        ({"username": "anna", "password": "password"}, "password"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(admin_client: Client, more: dict[str, str], field: str) -> None:
    answer = admin_client.post(url("add_person"), form(**more), headers=HTMX)
    assert answer.status_code == 422
    assert set(answer.context["form"].errors) == {field}
    assert User.objects.count() == 1


def test_editing(admin_client: Client) -> None:
    anna = make_user("anna")
    admin_client.post(url("edit_person", anna), form(role="operator", email="anna@uni.example"))
    anna = reloaded(anna)
    assert (anna.role, anna.email, anna.username) == ("operator", "anna@uni.example", "anna")


def test_nobody_raises_or_lowers_themselves(admin_client: Client, admin: User) -> None:
    make_user("second", Role.ADMINISTRATOR)
    answer = admin_client.post(url("edit_person", admin), form(role="user"), headers=HTMX)
    assert set(answer.context["form"].errors) == {"role"}
    for name in ("deactivate", "delete_person"):
        admin_client.post(url(name, admin))
    answer = admin_client.post(url("set_password", admin), {"password": "another horse 8"}, headers=HTMX)
    assert answer.status_code == 422
    admin = reloaded(admin)
    assert admin.role == Role.ADMINISTRATOR
    assert admin.is_active
    assert admin.check_password("correct horse 7")


def test_the_last_administrator_stays(client: Client, admin: User) -> None:
    """Also against somebody who administers by a grant."""
    carl = make_user("carl")
    give(carl, Role.ADMINISTRATOR)
    client.force_login(carl)
    assert client.get(url("people")).status_code == 200
    client.post(url("edit_person", admin), form(role="user"))
    client.post(url("deactivate", admin))
    client.post(url("delete_person", admin))
    assert reloaded(admin).role == Role.ADMINISTRATOR
    assert reloaded(admin).is_active


def test_who_administers_for_a_time_gets_no_more_by_it(client: Client, admin: User) -> None:
    carl, friend = make_user("carl"), make_user("friend")
    group = make_group("Staff")
    give(group, Role.ADMINISTRATOR)
    give(carl, Role.ADMINISTRATOR)
    client.force_login(carl)
    before = reloaded(admin).password
    client.post(url("edit_person", carl), form(role="administrator"))
    client.post(url("edit_person", friend), form(role="administrator"))
    client.post(url("add_person"), form(username="new", role="administrator"))
    client.post(url("set_password", admin), {"password": "another horse 8"})
    client.post(url("give"), {"to_user": carl.pk, "role": "administrator", "on_all": "on"})
    client.post(url("give"), {"to_user": carl.pk, "role": "operator", "on_all": "on"})
    client.post(url("give"), {"to_user": friend.pk, "role": "administrator", "on_all": "on"})
    for name in ("carl", "friend"):
        client.post(reverse("access:add_members", args=[group.pk]), {"names": name})
    assert [reloaded(one).role for one in (carl, friend)] == ["user", "user"]
    assert not User.objects.filter(username="new").exists()
    assert reloaded(admin).password == before
    assert carl.grants.count() == 1
    assert not friend.grants.exists()
    assert not group.memberships.exists()


def test_a_new_password_ends_the_old_ones_sessions(admin_client: Client) -> None:
    anna = make_user("anna", password="correct horse 8")
    client = logs_in("anna", "correct horse 8")
    assert client.get("/profile").status_code == 200
    answer = admin_client.post(url("set_password", anna), {"password": ""})
    assert client.get("/profile").status_code == 302
    logs_in("anna", answer.context["secret"])


def test_who_is_deactivated_is_out_at_once(admin_client: Client) -> None:
    anna, client = make_user("anna"), Client()
    token, secret = ApiToken.make(anna, "script")
    client.force_login(anna)
    admin_client.post(url("deactivate", anna))
    assert client.get("/profile").status_code == 302
    assert ApiToken.of(secret) is None
    admin_client.post(url("activate", anna))
    assert ApiToken.of(secret) == token


def test_deleting_waits_until_their_vms_are_handed_over(admin_client: Client, admin: User) -> None:
    anna, bert = make_user("anna"), make_user("bert")
    vm = make_vm(None, owner=anna)
    answer = admin_client.post(url("delete_person", anna), headers=HTMX)
    assert answer.status_code == 422
    assert "hand it over first" in answer.content.decode()
    admin_client.post(reverse("vms:hand_over", args=[anna.pk]), {"to": bert.pk})
    job = Job.objects.get()
    assert job.params == {"verb": "vms.edit", "vms": [str(vm.uuid)], "params": {"owner": bert.pk}}
    Vm.objects.update(owner=bert)
    admin_client.post(url("delete_person", anna))
    assert not User.objects.filter(username="anna").exists()


def test_whom_the_record_names_stays(admin_client: Client) -> None:
    anna = make_user("anna")
    Job.objects.create(operation="vms.pause", title="Pause", user=anna)
    answer = admin_client.post(url("delete_person", anna), headers=HTMX)
    assert answer.status_code == 422
    assert "deactivate them" in answer.content.decode()
    assert reloaded(anna)


def test_an_operator_sees_no_pages_of_people(client: Client, operator: User) -> None:
    client.force_login(operator)
    page = client.get("/").content.decode()
    assert reverse("access:people") + '"' not in page
    assert reverse("access:groups") in page
    assert client.get(url("people")).status_code == 404


def test_a_superuser_is_an_administrator_who_can_be_lowered(admin_client: Client) -> None:
    root = User.objects.create_superuser("root", role=Role.USER)
    assert "administrator" in admin_client.get(f"{url('people')}?q=root", headers=HTMX).content.decode()
    admin_client.post(url("edit_person", root), form(role="user"))
    assert not reloaded(root).is_superuser
