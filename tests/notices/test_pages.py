"""The bell, the list and the choices: one's own, and nobody else's."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from access.models import User
from cluster.consumers import may_watch
from notices import keeping
from notices.models import Choice, Notice
from notices.tell import tell

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def her(client: Client, lab_user: User) -> Client:
    client.force_login(lab_user)
    return client


def bell_of(page: str) -> str:
    found = re.search(r'class="bell-figure">([^<]*)<', page)
    return found.group(1) if found else ""


def test_it_works(her: Client, lab_user: User, operator: User) -> None:
    tell("request", [lab_user], title="db-01 <b>is</b> ready", lines=["10.0.0.7"], url="/vms/")
    tell("request", [operator], title="not hers")
    page = her.get("/notices/").content.decode()
    assert bell_of(page) == "1"
    assert "db-01 &lt;b&gt;is&lt;/b&gt; ready" in page
    assert 'href="/vms/" data-read="/notices/' in page
    assert "not hers" not in page
    pk = Notice.objects.get(user=lab_user).pk
    assert her.post(f"/notices/{pk}/read").url == "/notices/"  # type: ignore[attr-defined]
    page = her.get("/notices/").content.decode()
    assert bell_of(page) == ""
    assert "data-read" not in page


def test_what_the_bell_opens(her: Client, lab_user: User) -> None:
    assert "Nothing yet" in her.get("/notices/latest").content.decode()
    for number in range(10):
        tell("request", [lab_user], title=f"number {number}.")
    menu = her.get("/notices/latest").content.decode()
    assert [number for number in range(10) if f"number {number}." in menu] == [2, 3, 4, 5, 6, 7, 8, 9]
    assert bell_of(her.get("/notices/count").content.decode()) == "10"
    answer = her.post("/notices/read", headers=HTMX)
    assert (answer.status_code, answer.headers["HX-Trigger"]) == (204, '{"drover:read": {}}')
    assert not Notice.objects.unread().exists()


def test_many(her: Client, lab_user: User, django_assert_max_num_queries: Any) -> None:
    now = timezone.now()
    rows = [Notice(user=lab_user, kind="request", title=f"n{n}", read_at=now if n < 20 else None) for n in range(125)]
    Notice.objects.bulk_create(rows)
    with django_assert_max_num_queries(10):  # the bell is one of them
        page = her.get("/notices/").content.decode()
    assert bell_of(page) == "99+"
    assert "1 to 50 of 125" in page
    assert "1 to 50 of 105" in her.get("/notices/?show=unread").content.decode()
    assert "101 to 125 of 125" in her.get("/notices/?page=3").content.decode()


def test_mail_only_is_not_in_the_list(her: Client, lab_user: User) -> None:
    Notice.objects.create(user=lab_user, kind="request", title="by mail", in_app=False)
    page = her.get("/notices/").content.decode()
    assert "by mail<" not in page
    assert "Nothing yet" in page
    assert her.post(f"/notices/{Notice.objects.get().pk}/read").status_code == 404


def test_others_are_not_there(her: Client, operator: User) -> None:
    tell("request", [operator], title="his")
    pk = Notice.objects.get().pk
    assert her.post(f"/notices/{pk}/read").status_code == 404
    her.post("/notices/read")
    assert Notice.objects.get().read_at is None


def test_the_socket_tells_only_of_ones_own(lab_user: User, admin: User) -> None:
    topics = {f"notices.{lab_user.pk}", f"notices.{admin.pk}", f"notices.0{lab_user.pk}", "notices"}
    assert may_watch(lab_user, topics) == {f"notices.{lab_user.pk}"}
    assert may_watch(admin, topics) == {f"notices.{admin.pk}"}


def test_marking_tells_the_other_tabs(
    her: Client, lab_user: User, monkeypatch: Any, django_capture_on_commit_callbacks: Any
) -> None:
    heard: list[str] = []
    monkeypatch.setattr("ui.live.publish", lambda *topics, **_data: heard.extend(topics))
    with django_capture_on_commit_callbacks(execute=True):
        tell("request", [lab_user], title="Ready")
        her.post("/notices/read")
        her.post("/notices/read")  # nothing is new: nobody is told
    assert heard == [f"notices.{lab_user.pk}"] * 2


# --- choices


def test_without_a_server_the_page_says_so(her: Client) -> None:
    page = her.get("/notices/choices").content.decode()
    assert "no mail server is set up" in page
    assert re.search(r'name="request-mail"[^>]*disabled', page)
    assert 'name="inbox-app"' not in page  # she decides nothing


def test_who_has_no_address_is_told(her: Client, configured: Any) -> None:
    assert "You have no e-mail address" in her.get("/notices/choices").content.decode()


def test_choosing(client: Client, lena: User, configured: Any) -> None:
    client.force_login(lena)
    assert "Mails go to lena@example.org." in client.get("/notices/choices").content.decode()
    assert (
        client.post("/notices/choices", {"request-app": "on", "lease-app": "on", "lease-mail": "on"}).status_code == 302
    )
    found = {row.kind: (row.app, row.mail) for row in Choice.objects.all()}
    assert found["request"] == (True, False)
    assert found["share"] == (False, False)
    assert "lease" not in found  # as it was
    assert "inbox" not in found
    tell("request", [lena], title="Ready")
    assert Notice.objects.get().mail_due_at is None


def test_choices_about_mail_stay_while_there_is_no_server(her: Client, lab_user: User) -> None:
    Choice.objects.create(user=lab_user, kind="request", app=True, mail=False)
    her.post("/notices/choices", {"lease-app": "on", "lease-mail": "on"})
    found = {row.kind: (row.app, row.mail) for row in Choice.objects.all()}
    assert found["request"] == (False, False)
    assert found["share"] == (False, True)


def test_who_decides_chooses_about_that(client: Client, admin: User) -> None:
    client.force_login(admin)
    assert 'name="inbox-app"' in client.get("/notices/choices").content.decode()


def test_the_last_mail_that_did_not_get_there(client: Client, lena: User, configured: Any) -> None:
    client.force_login(lena)
    row = Notice.objects.create(user=lena, kind="request", title="x", mail_tries=1, mail_error="550 no such person")
    assert "did not get there: 550 no such person" in client.get("/notices/choices").content.decode()
    Notice.objects.filter(pk=row.pk).update(mailed_at=timezone.now())
    assert "did not get there" not in client.get("/notices/choices").content.decode()


def test_old_ones_go(lab_user: User) -> None:
    for days in (0, 89, 91, 400):
        at = timezone.now() - timedelta(days=days)
        Notice.objects.create(user=lab_user, kind="request", title=str(days), created_at=at)
    assert keeping.forget_old(0) == 0
    assert keeping.forget_old(90) == 2
    assert {row.title for row in Notice.objects.all()} == {"0", "89"}
