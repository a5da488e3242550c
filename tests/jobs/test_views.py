"""The list of jobs, one job's page, cancel, the dock."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from access.models import User
from jobs.models import Job, JobLine
from jobs.states import State
from tests.factories import make_host
from tests.jobs.operations import Bad, Fine

HTMX = {"HX-Request": "true"}


def make(title: str = "Start web-07", **fields: Any) -> Job:
    return Job.objects.create(operation=fields.pop("operation", Fine.name), title=title, **fields)


def shown(client: Client, query: str = "") -> list[str]:
    return [job.title for job in client.get(f"/jobs/{query}").context["page"]]


def test_it_works(admin_client: Client, admin: User) -> None:
    parent = make("Evacuate vmhost1", user=admin, state=State.WAITING, percent=50, operation="test.family")
    part = make("Move web-07", parent=parent, state=State.RUNNING, percent=20)
    JobLine.objects.create(job=parent, text="Two VMs to move.")
    page = admin_client.get("/jobs/").content.decode()
    assert "Evacuate vmhost1" in page
    assert "2 parts" not in page
    assert "1 part" in page
    assert admin_client.get(parent.get_absolute_url()).status_code == 200
    for piece in ("state", "log", "parts"):
        answer = admin_client.get(f"/jobs/{parent.pk}/{piece}", headers=HTMX)
        assert "<html" not in answer.content.decode()
    assert "Two VMs to move." in admin_client.get(f"/jobs/{parent.pk}/log").content.decode()
    assert f"job.{part.pk}" in admin_client.get(f"/jobs/{parent.pk}/parts").content.decode()
    assert parent.title in admin_client.get(part.get_absolute_url()).content.decode()


def test_a_person_sees_only_their_own(client: Client, lab_user: User, admin: User) -> None:
    client.force_login(lab_user)
    own, other = make("own", user=lab_user), make("other", user=admin)
    assert shown(client) == ["own"]
    for piece in ("", "state", "log", "parts"):
        assert client.get(f"/jobs/{other.pk}/{piece}").status_code == 404
    assert client.post(f"/jobs/{other.pk}/cancel").status_code == 404
    assert client.get(own.get_absolute_url()).status_code == 200
    for dock in ("/jobs/dock", "/jobs/dock/list"):
        assert "other" not in client.get(dock).content.decode()


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("", ["c", "b", "a"]),
        ("?state=bad", ["b"]),
        ("?state=active", ["c"]),
        ("?state=succeeded", ["a"]),
        ("?user=ada", ["a"]),
        ("?user=-", ["c", "b"]),
        ("?operation=test.bad", ["b"]),
        ("?kind=vm", ["a"]),
        ("?kind=vm&key=other", []),
        ("?q=no+room", ["b"]),
        ("?q=A", ["a"]),
        ("?until=2026-01-01", ["a"]),
        ("?since=2026-01-02", ["c", "b"]),
        ("?since=rubbish&state=none&page=99", ["c", "b", "a"]),
    ],
)
def test_filters(admin_client: Client, admin: User, query: str, titles: list[str]) -> None:
    first = datetime(2026, 1, 1, 12, tzinfo=UTC)
    make("a", user=admin, state=State.SUCCEEDED, target_kind="vm", target_key="k", created_at=first)
    make("b", state=State.FAILED, error="There is no room.", operation=Bad.name)
    make("c")
    assert shown(admin_client, query) == titles


def test_pages_keep_the_filters(admin_client: Client) -> None:
    for number in range(120):
        make(f"job {number}", state=State.FAILED)
    page = admin_client.get("/jobs/?state=bad&page=2").content.decode()
    assert "state=bad&amp;page=3" in page
    assert "51 to 100 of 120" in page
    table = admin_client.get("/jobs/?state=bad", headers=HTMX).content.decode()
    assert "<html" not in table
    assert table.count("<tr id=") == 50


def test_an_error_is_plain_first_and_exact_below(admin_client: Client, client: Client, lab_user: User) -> None:
    job = make(state=State.FAILED, error="The pool has no room.", technical="fallocate(): ENOSPC", user=lab_user)
    page = admin_client.get(job.get_absolute_url()).content.decode()
    assert page.index("The pool has no room.") < page.index("What was said exactly") < page.index("ENOSPC")


def test_a_traceback_is_for_those_who_may_read_it(client: Client, lab_user: User, admin: User) -> None:
    job = make(state=State.ERRORED, error="Drover made a mistake", technical="Traceback: secret place", user=lab_user)
    client.force_login(lab_user)
    assert "secret place" not in client.get(job.get_absolute_url()).content.decode()
    client.force_login(admin)
    assert "secret place" in client.get(job.get_absolute_url()).content.decode()


def test_everything_is_escaped(admin_client: Client) -> None:
    evil = "<img src=x onerror=alert(1)>"
    job = make(evil, state=State.FAILED, error=evil, technical=evil, params={evil: evil}, result={"a": [evil]})
    Job.objects.filter(pk=job.pk).update(commands=[evil], target_label=evil, step=evil)
    JobLine.objects.create(job=job, text=evil)
    for address in ("/jobs/", job.get_absolute_url(), "/jobs/dock", "/jobs/dock/list"):
        assert "<img" not in admin_client.get(address).content.decode()


def test_cancel(admin_client: Client, here: list[int]) -> None:
    job = make()
    assert admin_client.get(f"/jobs/{job.pk}/cancel").status_code == 405
    answer = admin_client.post(f"/jobs/{job.pk}/cancel")
    assert answer.headers["Location"] == job.get_absolute_url()
    job.refresh_from_db()
    assert job.state == State.CANCELLED
    late = admin_client.post(f"/jobs/{job.pk}/cancel", headers=HTMX)
    assert late.status_code == 204
    assert "too late" in late.headers["HX-Trigger"]


def test_cancel_needs_the_right_to_do_it(client: Client, operator: User, admin: User, here: list[int]) -> None:
    theirs, own = make(user=admin), make(user=operator)
    client.force_login(operator)
    assert "Cancel this job" not in client.get(theirs.get_absolute_url()).content.decode()
    assert client.post(f"/jobs/{theirs.pk}/cancel").status_code == 403
    assert "Cancel this job" in client.get(own.get_absolute_url()).content.decode()
    assert client.post(f"/jobs/{own.pk}/cancel").status_code == 302


def test_a_job_of_another_version_can_be_read(admin_client: Client) -> None:
    job = make(operation="old.operation", target_key="17", target_label="thing")
    assert "thing" in admin_client.get(job.get_absolute_url()).content.decode()


def test_the_dock(admin_client: Client) -> None:
    make("Start web-01", state=State.SUCCEEDED, finished_at=timezone.now() - timedelta(minutes=3))
    assert "No job is running" in admin_client.get("/jobs/dock").content.decode()
    for number in range(14):
        make(f"Move vm{number}", state=State.RUNNING, percent=number)
    dock = admin_client.get("/jobs/dock").content.decode()
    assert "6+ running" in dock
    assert "Start web-01" in dock
    assert "vm2" in dock
    assert "vm3" not in dock
    assert 'data-live="jobs"' in dock
    opened = admin_client.get("/jobs/dock/list").content.decode()
    assert all(title in opened for title in ("vm0", "vm5", "Start web-01"))
    assert "vm6" not in opened


def test_what_was_asked_is_told_in_words(admin_client: Client, admin: User) -> None:
    host = make_host("vmhost7")
    params = {"host": host.pk, "hosts": [host.pk, 999], "memory_bytes": 2 << 30, "timeout_s": 90, "post_copy": False}
    job = Job.objects.create(
        operation="vms.migrate",
        title="x",
        user=admin,
        params={**params, "secret": "zKhwlKZ5", "iso": None},
        result={"destination": host.pk, "destination_name": "elsewhere", "pause_ms": 40},
        state="succeeded",
    )
    page = admin_client.get(job.get_absolute_url()).content.decode()
    for words in (
        "<dd>vmhost7</dd>",
        "<dd>vmhost7, no. 999</dd>",
        "<dt>memory</dt><dd>2 GiB</dd>",
        "<dt>post copy</dt><dd>no",
    ):
        assert words.replace(" GiB", "\u00a0GiB") in page
    assert "zKhwlKZ5" not in page
    assert "<dt>destination</dt><dd>elsewhere</dd>" in page
    assert "<dt>iso</dt>" not in page


def test_what_has_parts_is_told_in_words_too(admin_client: Client) -> None:
    nics = [{"network": "", "bridge": "br0", "dns": ["10.0.0.1", "10.0.0.2"]}, {"network": "lab-net"}]
    boot = {"enabled": True, "user": "", "packages": [], "has_password": False, "size": {"rows": 2}}
    page = admin_client.get(make(params={"nics": nics, "first_boot": boot}).get_absolute_url()).content.decode()
    shown = page.split('id="params-title"')[1].split("</dl>")[0]
    # not in which order: PostgreSQL has one of its own
    assert all(words in shown for words in ("bridge: br0", "dns: 10.0.0.1; 10.0.0.2", "; network: lab-net"))
    assert all(words in shown for words in ("enabled: yes", "size: rows: 2"))
    assert "{" not in shown
