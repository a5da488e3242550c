"""Groups, their rosters and managers; grants given and taken away."""

from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from access.groups import roster
from access.models import Grant, Group, Membership, Role, User
from access.people import Denied
from jobs.models import Job
from tests.factories import give, make_group, make_host, make_pool, make_user, make_vm

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def members(group: Group) -> dict[str, bool]:
    return dict(Membership.objects.filter(group=group).values_list("user__username", "is_manager"))


def test_it_works(admin_client: Client) -> None:
    make_user("anna")
    make_user("bert")
    assert "No group yet" in admin_client.get(reverse("access:groups")).content.decode()
    admin_client.post(reverse("access:add_group"), {"name": " Networks  2026 ", "description": "Thursday"})
    group = Group.objects.get()
    assert group.name == "Networks 2026"
    admin_client.post(reverse("access:add_members", args=[group.pk]), {"names": "anna, bert"})
    assert members(group) == {"anna": False, "bert": False}
    page = admin_client.get(group.get_absolute_url()).content.decode()
    assert "anna" in page
    assert "Thursday" in page
    assert "Networks 2026" in admin_client.get(reverse("access:groups")).content.decode()


def test_a_roster_as_csv_and_who_is_not_known(admin_client: Client) -> None:
    group, anna = make_group(), make_user("anna")
    text = "Surname;Username;Mail\nKarenina;anna;a@x\nNobody;max;b@x\n"
    file = SimpleUploadedFile("roster.csv", b"\xef\xbb\xbf" + text.encode())
    answer = admin_client.post(reverse("access:add_members", args=[group.pk]), {"file": file, "is_manager": "on"})
    assert "max" in answer.content.decode()
    assert members(group) == {"anna": True}
    assert list(group.members.all()) == [anna]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("anna\nbert\n\nanna\n", ["anna", "bert"]),
        ("anna, bert,,carl", ["anna", "bert", "carl"]),
        ("username,mail\nanna,a@x\n", ["anna"]),
        ("1,anna\n2,bert", ["1", "2"]),  # without a head it is the first column
        ('"anna"\n"bert"', ["anna", "bert"]),
        ("", []),
        ("\0anna", ["anna"]),
    ],
)
def test_rosters(text: str, names: list[str]) -> None:
    assert roster(text) == names


def test_a_roster_has_an_end() -> None:
    with pytest.raises(Denied):
        roster("\n".join(f"p{number}" for number in range(2001)))


@pytest.mark.parametrize("file", [b"\xff\xfe\x00", b"x" * 300_000, b""])
def test_what_is_no_roster_is_refused(admin_client: Client, file: bytes) -> None:
    group = make_group()
    answer = admin_client.post(
        reverse("access:add_members", args=[group.pk]), {"file": SimpleUploadedFile("x.csv", file)}, headers=HTMX
    )
    assert answer.status_code == 422
    assert not members(group)


def test_managers_come_and_go(admin_client: Client) -> None:
    anna = make_user("anna")
    group = make_group("Networks", anna)
    admin_client.post(reverse("access:set_manager", args=[group.pk, anna.pk]), {"on": "1"})
    assert members(group) == {"anna": True}
    admin_client.post(reverse("access:set_manager", args=[group.pk, anna.pk]), {"on": "0"})
    assert members(group) == {"anna": False}
    admin_client.post(reverse("access:take_out", args=[group.pk, anna.pk]))
    assert members(group) == {}


def test_a_manager_sees_their_group_and_no_other(client: Client) -> None:
    anna, bert = make_user("anna"), make_user("bert")
    mine, other = make_group("Networks", bert, manager=anna), make_group("Graphics", make_user("carl"))
    vm = make_vm(make_host(), "net-01", group=mine)
    client.force_login(anna)
    page = client.get(reverse("access:groups")).content.decode()
    assert "Networks" in page
    assert "Graphics" not in page
    page = client.get(mine.get_absolute_url()).content.decode()
    assert "bert" in page
    assert "Add people" not in page
    assert "/people/2" not in page
    assert vm.name in client.get(reverse("vms:in_group", args=[mine.pk])).content.decode()
    assert client.get(other.get_absolute_url()).status_code == 404
    assert client.get(reverse("vms:in_group", args=[other.pk])).status_code == 404
    assert client.post(reverse("access:add_members", args=[mine.pk]), {"names": "anna"}).status_code == 403
    client.force_login(bert)
    assert client.get(mine.get_absolute_url()).status_code == 404, "a member who manages nothing"


def test_vms_go_into_a_group_and_out(admin_client: Client) -> None:
    group, host = make_group(), make_host()
    vms = [make_vm(host, name) for name in ("net-01", "net-02", "other")]
    answer = admin_client.post(reverse("vms:into_group", args=[group.pk]), {"names": "net-*"})
    assert answer.status_code == 302
    job = Job.objects.get()
    assert job.params["vms"] == [str(vm.uuid) for vm in vms[:2]]
    assert job.params["params"] == {"group": group.pk}
    wrong = admin_client.post(reverse("vms:into_group", args=[group.pk]), {"names": "nope"}, headers=HTMX)
    assert "There is no VM" in wrong.content.decode()
    admin_client.post(reverse("vms:out_of_group", args=[group.pk, vms[2].uuid]))
    assert Job.objects.latest("pk").params == {"group": None}


def test_a_group_that_goes_takes_its_grants(admin_client: Client) -> None:
    group, vm = make_group(), make_vm(None)
    give(group, Role.USER, vm)
    admin_client.post(reverse("access:delete_group", args=[group.pk]))
    assert not Group.objects.exists()
    assert not Grant.objects.exists()


def grant(client: Client, query: str = "", **data: object) -> object:
    return client.post(f"{reverse('access:give')}?{query}", {"role": "user", "until": "", **data}, headers=HTMX)


def test_a_right_is_given_from_the_page_of_a_vm_and_taken_away(admin_client: Client, admin: User) -> None:
    anna, vm = make_user("anna"), make_vm(make_host())
    day = (timezone.localdate() + timedelta(days=3)).isoformat()
    grant(admin_client, f"vm={vm.pk}", to_user=anna.pk, until=day)
    given = Grant.objects.get()
    assert (given.to_user, given.on_vm, given.given_by) == (anna, vm, admin)
    assert given.until
    assert timezone.localtime(given.until).isoformat().startswith(f"{day}T23:59:59")
    assert "anna" in admin_client.get(vm.get_absolute_url()).content.decode()
    grant(admin_client, f"vm={vm.pk}", to_user=anna.pk)
    assert Grant.objects.get().until is None, "the same right gets the new end"
    admin_client.post(reverse("access:take_away", args=[given.pk]))
    assert not Grant.objects.exists()


def test_what_can_not_be_given(admin_client: Client) -> None:
    anna, pool = make_user("anna"), make_pool("vms", make_host())
    make_vm(None, "twin")
    make_vm(None, "twin")
    group = make_group()
    wrong: list[tuple[str, dict[str, object], str]] = [
        (f"pool={pool.pk}", {"to_user": anna.pk}, "role"),
        (f"user={anna.pk}", {}, "on_all"),
        (f"user={anna.pk}", {"on_vm": "twin"}, "on_vm"),
        (f"user={anna.pk}", {"on_vm": "nope"}, "on_vm"),
        (f"user={anna.pk}", {"on_pool": pool.pk, "on_group": group.pk, "role": "operator"}, "on_group"),
        (f"user={anna.pk}", {"on_all": "on", "until": "2020-01-01"}, "until"),
        (f"pool={pool.pk}", {"role": "operator"}, "to_user"),
        (f"pool={pool.pk}", {"role": "operator", "to_user": anna.pk, "to_group": group.pk}, "to_user"),
    ]
    for query, data, field in wrong:
        answer = grant(admin_client, query, **data)
        assert answer.status_code == 422, (query, data)  # type: ignore[attr-defined]
        errors = set(answer.context["form"].errors)  # type: ignore[attr-defined]
        assert errors & {field, "__all__", "on_pool"}, (query, data, errors)
    assert not Grant.objects.exists()
    for query in ("vm=x", "vm=999999", "pool=99999999999999999999"):
        assert admin_client.get(f"{reverse('access:give')}?{query}").status_code == 404


def test_the_list_of_grants(admin_client: Client) -> None:
    assert "Nothing was granted yet" in admin_client.get(reverse("access:grants")).content.decode()
    anna = make_user("anna")
    give(anna, Role.OPERATOR, make_group("Networks"))
    give(make_group("Staff"), Role.AUDITOR)
    give(anna, Role.USER, make_vm(None, "web-07"), until=timezone.now())
    page = admin_client.get(reverse("access:grants")).content.decode()
    for word in ("Networks", "Staff", "web-07", "everything", "over"):
        assert word in page
    found = admin_client.get(reverse("access:grants") + "?q=staff", headers=HTMX).context["page"].object_list
    assert [str(one.subject) for one in found] == ["Staff"]
    person = admin_client.get(anna.get_absolute_url()).content.decode()
    assert "web-07" in person


def test_by_api(admin_client: Client, admin: User) -> None:
    api, json = "/api/v1", "application/json"
    made = admin_client.post(f"{api}/people", {"username": "anna", "email": "a@uni.example"}, content_type=json)
    assert made.status_code == 201
    anna = User.objects.get(username="anna")
    assert anna.check_password(made.json()["first_password"])
    assert "password" not in admin_client.get(f"{api}/people/{anna.pk}").content.decode()
    admin_client.patch(f"{api}/people/{anna.pk}", {"role": "auditor"}, content_type=json)
    group = admin_client.post(f"{api}/groups", {"name": "Networks"}, content_type=json).json()["id"]
    names = {"usernames": ["anna", "max"], "is_manager": True}
    added = admin_client.post(f"{api}/groups/{group}/members", names, content_type=json).json()
    assert added == {"added": ["anna"], "there": [], "unknown": ["max"]}
    assert admin_client.get(f"{api}/groups/{group}").json()["members"][0]["is_manager"]
    vm = make_vm(None)
    right = {"to_user": "anna", "role": "operator", "vm": str(vm.uuid)}
    given = admin_client.post(f"{api}/grants", right, content_type=json)
    assert given.json()["vm"] == str(vm.uuid)
    nothing = admin_client.post(f"{api}/grants", {"to_user": "anna", "role": "operator"}, content_type=json)
    assert nothing.status_code == 422, "everything must be said"
    assert admin_client.get(f"{api}/grants").json()["count"] == 1
    assert admin_client.delete(f"{api}/grants/{given.json()['id']}").status_code == 204
    refused = admin_client.patch(f"{api}/people/{admin.pk}", {"is_active": False}, content_type=json)
    assert refused.status_code == 409
    assert admin_client.delete(f"{api}/people/{anna.pk}").status_code == 204
    assert not Membership.objects.exists()


def test_a_page_is_fetched_whole_after_a_change_and_a_table_when_it_is_searched(admin_client: Client) -> None:
    group = make_group("Networks", make_user("anna"))
    addresses = [group.get_absolute_url(), *(reverse(f"access:{name}") for name in ("people", "groups", "grants"))]
    for address in addresses:
        whole = admin_client.get(address, headers={**HTMX, "HX-Target": "content"}).content.decode()
        piece = admin_client.get(address, headers={**HTMX, "HX-Target": "members"}).content.decode()
        assert 'id="content"' in whole, address
        assert 'id="content"' not in piece, address
