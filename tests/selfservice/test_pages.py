"""The pages of offers and requests, by their forms; and the API, which uses the same."""

import io
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from PIL import Image as Drawing

from access import ssh_keys
from access.models import Role, User
from selfservice import deciding, offers, quotas
from selfservice.models import Offer, Request
from selfservice.states import RequestState, Step
from selfservice.steps import change
from storage.models import Image
from tests.api.kit import call
from tests.factories import GIB, client_of, make_group, make_user
from tests.selfservice.kit import ask, make_offer, make_place

pytestmark = pytest.mark.django_db
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKxnVwu7SGvtZrcBMCKhDxzQ7bkAvxVzqFTfWQ1nlEvX lena@laptop"
HTMX = {"HX-Request": "true"}
OFFER = {
    "name": "Tiny Linux",
    "text": "# Hello\n\n**bold** <script>alert(1)</script> [x](javascript:alert(1))",
    "position": "5",
    "image": "latest:tiny",
    "network": "network:default",
    "most_vms": "3",
    "least_vcpus": "1",
    "vcpus": "1",
    "most_vcpus": "2",
    "least_memory_bytes": "256 MiB",
    "memory_bytes": "1 GiB",
    "most_memory_bytes": "2 GiB",
    "least_disk_bytes": "1 GiB",
    "disk_bytes": "10 GiB",
    "most_disk_bytes": "20 GiB",
    "user_data": "#cloud-config\ntimezone: <zone>\n",
    "fields_text": "zone*: Europe/Berlin | UTC: Time zone",
    "lease_days": "14",
    "most_lease_days": "60",
    "approval": "always",
    "is_for_everybody": "on",
}


def offer_data(**more: Any) -> dict[str, Any]:
    return {**OFFER, "pool": str(make_place().pk), **more}


def wish_of(offer: Offer, **more: Any) -> dict[str, Any]:
    version = offer.latest()
    sizes = {"vcpus": "1", "memory_bytes": "1 GiB", "disk_bytes": "10 GiB"}
    return {"version": version.number, "pattern": "web-##", "count": "2", "reason": "exercise", **sizes, **more}


def test_it_works(admin: User, lab_user: User) -> None:
    """An administrator offers; a lab user finds it, asks, and reads how it goes; an approver decides in the inbox."""
    ssh_keys.add(lab_user, KEY)
    made = client_of(admin).post(reverse("selfservice:add_offer"), offer_data())
    offer = Offer.objects.get()
    assert made.headers["Location"] == offer.get_absolute_url()
    lena, petra = client_of(lab_user), client_of(make_user("petra", Role.APPROVER))
    assert "Tiny Linux" in lena.get(reverse("selfservice:offers")).content.decode()
    page = lena.get(reverse("selfservice:ask", args=[offer.pk])).content.decode()
    assert ssh_keys.fingerprint(KEY) in page
    assert "<strong>bold</strong>" in page
    assert "<script>alert" not in page
    assert 'href="javascript' not in page
    key = lab_user.ssh_keys.get().pk
    data = wish_of(offer, **{"value-zone": "UTC", "ssh_keys": [key]})
    answer = lena.post(reverse("selfservice:ask", args=[offer.pk]), data)
    request = Request.objects.get()
    assert answer.headers["Location"] == request.get_absolute_url()
    assert (request.values, request.ssh_keys, request.count) == ({"zone": "UTC"}, [KEY], 2)
    assert "pending" in lena.get(request.get_absolute_url()).content.decode()
    inbox = petra.get(reverse("selfservice:inbox")).content.decode()
    assert "exercise" in inbox
    done = petra.post(reverse("selfservice:decide"), {"requests": [request.pk], "verb": "approve"})
    assert done.status_code == 302
    request.refresh_from_db()
    assert request.state == RequestState.APPROVED
    assert client_of(make_user("max")).get(request.get_absolute_url()).status_code == 404


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"pattern": "a b"}, "pattern"),
        ({"count": "4"}, "count"),
        ({"vcpus": "9"}, "vcpus"),
        ({"memory_bytes": "4 GiB"}, "memory_bytes"),
        ({"value-zone": "Mars"}, "value-zone"),
        ({"value-zone": ""}, "value-zone"),
        ({"reason": ""}, "reason"),
        ({"ssh_keys": ["999"]}, "ssh_keys"),
        ({"new_keys": "ssh-ed25519 AAAA"}, "new_keys"),
        ({"new_keys": "-----BEGIN OPENSSH PRIVATE KEY-----"}, "new_keys"),
        ({"version": "7"}, "version"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(admin: User, lab_user: User, more: dict[str, Any], field: str) -> None:
    client_of(admin).post(reverse("selfservice:add_offer"), offer_data())
    offer = Offer.objects.get()
    data = wish_of(offer, **{"value-zone": "UTC", **more})
    answer = client_of(lab_user).post(reverse("selfservice:ask", args=[offer.pk]), data)
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [field]
    assert not Request.objects.exists()


def test_a_key_pasted_into_the_form_is_used_and_kept(admin: User, lab_user: User) -> None:
    offer, lena = make_offer(admin), client_of(lab_user)
    data = wish_of(offer, new_keys=KEY)
    quotas.set_limits(lab_user, {"vms": 1})
    assert lena.post(reverse("selfservice:ask", args=[offer.pk]), data).status_code == 422
    assert not lab_user.ssh_keys.exists(), "nothing of a request that was refused is kept"
    quotas.set_limits(lab_user, {"vms": 2})
    lena.post(reverse("selfservice:ask", args=[offer.pk]), data)
    assert Request.objects.get().ssh_keys == [KEY]
    assert [key.text for key in lab_user.ssh_keys.all()] == [KEY]


def test_more_keys_than_a_profile_holds_are_refused_beside_the_field(
    admin: User, lab_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_keys, "MOST", 0)
    offer = make_offer(admin)
    answer = client_of(lab_user).post(reverse("selfservice:ask", args=[offer.pk]), wish_of(offer, new_keys=KEY))
    assert list(answer.context["form"].errors) == ["new_keys"]
    assert not Request.objects.exists()


def test_the_quota_is_said_beside_the_field_and_shown_before(admin: User, lab_user: User) -> None:
    offer, lena = make_offer(admin), client_of(lab_user)
    quotas.set_limits(lab_user, {"vms": 1, "memory_bytes": 4 * GIB})
    look = lena.post(reverse("selfservice:look", args=[offer.pk]), wish_of(offer), headers=HTMX).content.decode()
    assert "2 of 1" in look
    assert "gauge-over" in look
    assert "web-01, web-02" in look
    answer = lena.post(reverse("selfservice:ask", args=[offer.pk]), wish_of(offer))
    assert answer.context["form"].errors == {"count": ["Over your quota. VMs: 0 of 1 in use, 2 more asked for."]}
    half = lena.post(reverse("selfservice:look", args=[offer.pk]), {"count": "x", "memory_bytes": "?"}, headers=HTMX)
    assert half.status_code == 200


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"name": ""}, "name"),
        ({"vcpus": "5"}, "vcpus"),
        ({"least_memory_bytes": "3 GiB"}, "memory_bytes"),
        ({"least_disk_bytes": "512 MiB"}, "least_disk_bytes"),
        ({"login": "Not A User"}, "login"),
        ({"user_data": "nothing"}, "user_data"),
        ({"user_data": "#cloud-config\nruncmd: [echo, 'x <zone> y']\n"}, "user_data"),
        ({"user_data": "#cloud-config\ntimezone: <other>\n"}, "user_data"),
        ({"user_data": "#cloud-config\n"}, "user_data"),
        ({"fields_text": "zone: what"}, "fields_text"),
        ({"fields_text": "zone\nzone"}, "fields_text"),
        ({"lease_days": "90"}, "most_lease_days"),
        ({"people": "lena nobody"}, "people"),
        ({"image": "latest:gone"}, "image"),
        ({"network": "network:gone"}, "network"),
    ],
)
def test_an_offer_that_could_not_work(admin: User, lab_user: User, more: dict[str, Any], field: str) -> None:
    answer = client_of(admin).post(reverse("selfservice:add_offer"), offer_data(**more))
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [field]
    assert not Offer.objects.exists()


def test_pictures_are_made_small_and_are_for_who_may_ask(admin: User, lab_user: User) -> None:
    buffer = io.BytesIO()
    Drawing.new("RGB", (2000, 1000), "teal").save(buffer, "PNG")
    lena, chief = client_of(lab_user), client_of(admin)
    data = offer_data(picture=SimpleUploadedFile("a.png", buffer.getvalue()))
    chief.post(reverse("selfservice:add_offer"), {**data, "is_for_everybody": "", "people": "max"})
    assert not Offer.objects.exists(), "nobody is called max"
    make_user("max")
    buffer.seek(0)
    data["picture"] = SimpleUploadedFile("a.png", buffer.getvalue())
    del data["is_for_everybody"]
    chief.post(reverse("selfservice:add_offer"), {**data, "people": "max"})
    offer = Offer.objects.get()
    url = reverse("selfservice:picture", args=[offer.pk])
    answer = chief.get(url)
    assert answer.headers["Content-Type"] == "image/webp"
    assert Drawing.open(io.BytesIO(answer.content)).size == (640, 320)
    for name in ("picture", "ask"):
        assert lena.get(reverse(f"selfservice:{name}", args=[offer.pk])).status_code == 404
    bad = {**data, "name": "Another", "people": "max", "picture": SimpleUploadedFile("a.png", b"<svg/>")}
    assert "This is no picture" in chief.post(reverse("selfservice:add_offer"), bad).content.decode()


def test_several_at_once(admin: User, lab_user: User) -> None:
    """One that can't be decided does not hold up the others."""
    offer, petra = make_offer(admin), make_user("petra", Role.APPROVER)
    one, two, own = ask(lab_user, offer), ask(lab_user, offer), ask(petra, offer)
    page = client_of(petra)
    everything = {"requests": [one.pk, two.pk, own.pk], "verb": "reject", "why": ""}
    page.post(reverse("selfservice:decide"), everything)
    assert set(Request.objects.values_list("state", flat=True)) == {"pending"}, "without a reason"
    answer = page.post(reverse("selfservice:decide"), {**everything, "why": "the exam is over"}, follow=True)
    assert "2 rejected." in answer.content.decode()
    own.refresh_from_db()
    assert own.state == RequestState.PENDING
    nothing = page.post(reverse("selfservice:decide"), {"verb": "approve"}, follow=True)
    assert "Choose at least one request." in nothing.content.decode()


def test_approve_with_changes_by_the_dialog(admin: User, lab_user: User) -> None:
    request = ask(lab_user, make_offer(admin), count=3, pattern="web-#")
    url, page = reverse("selfservice:approve", args=[request.pk]), client_of(admin)
    sizes = {"vcpus": "1", "memory_bytes": "1 GiB", "disk_bytes": "10 GiB"}
    wrong = page.post(url, {**sizes, "count": "9", "lease_days": "7"}, headers=HTMX)
    assert wrong.status_code == 422
    assert "At most 5 of these in one request." in wrong.content.decode()
    page.post(url, {**sizes, "count": "2", "lease_days": "7", "why": "Two are enough."}, headers=HTMX)
    request.refresh_from_db()
    assert (request.state, request.count, request.lease_days) == (RequestState.APPROVED, 2, 7)


def test_buttons_are_there_for_who_may(admin: User, lab_user: User) -> None:
    request = ask(lab_user, make_offer(admin))
    lena, chief, reader = client_of(lab_user), client_of(admin), client_of(make_user("alan", Role.AUDITOR))

    def words(client: Client) -> set[str]:
        text = client.get(request.get_absolute_url()).content.decode()
        return {word for word in ("Withdraw", "Approve…", "Reject…", "Try again", "Give up") if f"{word}<" in text}

    assert [words(one) for one in (lena, chief, reader)] == [{"Withdraw"}, {"Approve…", "Reject…"}, set()]
    deciding.approve(request, admin)
    change(request, RequestState.FAILED, Step.FAILED, by=None, why="There is no room.")
    assert [words(one) for one in (lena, chief, reader)] == [{"Try again", "Give up"}, {"Try again", "Give up"}, set()]
    assert "There is no room." in lena.get(request.get_absolute_url()).content.decode()
    lena.post(reverse("selfservice:retry", args=[request.pk]))
    request.refresh_from_db()
    assert request.state == RequestState.APPROVED


def test_history_of_an_offer_and_preview(admin: User, lab_user: User) -> None:
    chief = client_of(admin)
    data = offer_data()
    chief.post(reverse("selfservice:add_offer"), data)
    offer = Offer.objects.get()
    url = reverse("selfservice:edit_offer", args=[offer.pk])
    same = chief.post(url, {**data, "summary": "new words"})
    assert same.status_code == 302
    assert offer.versions.count() == 1, "how it looks is no version"
    chief.post(url, {**data, "most_memory_bytes": "3 GiB"})
    page = chief.get(offer.get_absolute_url()).content.decode().replace("\N{NO-BREAK SPACE}", " ")
    assert "most memory: 2 GiB → 3 GiB" in page
    preview = chief.get(reverse("selfservice:preview_offer", args=[offer.pk])).content.decode()
    assert "Nothing can be asked for here" in preview
    Image.objects.all().delete()
    assert "not available now" in client_of(lab_user).get(reverse("selfservice:offers")).content.decode()
    chief.post(reverse("selfservice:archive_offer", args=[offer.pk]))
    assert client_of(lab_user).get(reverse("selfservice:ask", args=[offer.pk])).status_code == 404
    chief.post(reverse("selfservice:bring_back_offer", args=[offer.pk]))
    assert list(offers.offered(lab_user)) == [offer]


def test_the_api_does_what_the_pages_do(admin: User, lab_user: User) -> None:
    offer, group = make_offer(admin, most_vms=2), make_group("Networks", lab_user)
    (told,) = call(lab_user, "GET", "/offers").json()
    assert told["memory_bytes"] == {"least": 256 * 1024**2, "usual": GIB, "most": 4 * GIB}
    body = {"offer": offer.pk, "version": told["version"], "pattern": "api", "group": group.pk, "reason": "by script"}
    made = call(lab_user, "POST", "/requests", {**body, "vcpus": 2})
    assert made.status_code == 201
    assert (made.json()["state"], made.json()["vcpus"], made.json()["disk_bytes"]) == ("pending", 2, 10 * GIB)
    path = f"/requests/{made.json()['id']}"
    wrong = call(lab_user, "POST", "/requests", {**body, "count": 3})
    assert (wrong.status_code, wrong.json()["field"]) == (409, "count")
    assert call(lab_user, "POST", f"{path}/approve", {}).status_code == 403
    approved = call(admin, "POST", f"{path}/approve", {"vcpus": 1, "why": "one is enough"}).json()
    assert (approved["state"], approved["vcpus"], approved["decided_by"]) == ("approved", 1, "ada")
    assert [one["step"] for one in approved["events"]] == ["asked", "approved"]
    assert call(lab_user, "POST", f"{path}/withdraw").status_code == 409
    second = call(lab_user, "POST", "/requests", body).json()["id"]
    assert call(admin, "POST", f"/requests/{second}/reject", {"why": " "}).status_code == 422
    assert call(admin, "POST", f"/requests/{second}/reject", {"why": "enough"}).json()["state"] == "rejected"
    third = call(lab_user, "POST", "/requests", body).json()["id"]
    assert call(lab_user, "POST", f"/requests/{third}/withdraw").json()["state"] == "withdrawn"
    assert [one["id"] for one in call(admin, "GET", "/requests?state=rejected").json()["items"]] == [second]
    assert call(make_user("max"), "GET", "/requests").json()["count"] == 0
