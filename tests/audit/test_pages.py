"""The list with its filters and pages, one entry, one's own, the export, the API."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from access.models import Role, User
from audit import filters
from audit.models import Entry
from tests.factories import make_host, make_vm

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}
FIRST = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(autouse=True)
def _only_ours(admin_client: Client) -> None:
    Entry.objects.all().delete()


@pytest.fixture
def auditor(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_user("audrey", role=Role.AUDITOR))
    Entry.objects.all().delete()
    return client


def make(text: str, hours: int = 0, **more: Any) -> Entry:
    return Entry.objects.create(text=text, action="test.act", at=FIRST + timedelta(hours=hours), **more)


def shown(client: Client, query: str = "", path: str = "/audit/") -> list[str]:
    answer = client.get(f"{path}{query}", headers=HTMX)
    assert answer.status_code == 200
    return [entry.text for entry in answer.context["page"].rows]


def test_it_works(auditor: Client) -> None:
    vm = make_vm(make_host())
    make("Start web-07", who="oskar", kind="vm", key=str(vm.uuid), label="web-07", address="10.1.1.1")
    make("Remove old", 1, kind="vm", key="gone", label="old-01", result="failed", reason="There is no room.")
    page = auditor.get("/audit/").content.decode()
    assert page.index("Remove old") < page.index("There is no room.") < page.index("Start web-07")
    assert vm.get_absolute_url() in page
    assert "old-01" in page
    assert 'data-live="audit"' in page
    assert f'href="/audit/?kind=vm&amp;key={vm.uuid}"' in auditor.get(vm.get_absolute_url()).content.decode()
    assert shown(auditor, f"?kind=vm&key={vm.uuid}") == ["Start web-07"]


def test_people_lead_to_their_page_where_one_may_go_there(auditor: Client, client: Client, lab_user: User) -> None:
    make("Log in", who="lena", person_key=lab_user.pk, kind="person", key=str(lab_user.pk), label="lena")
    link = f'href="/people/{lab_user.pk}/"'
    assert link in auditor.get("/audit/").content.decode()
    assert 'href="/audit/?who=lena"' in auditor.get(f"/people/{lab_user.pk}/").content.decode()
    client.force_login(lab_user)
    assert link not in client.get("/audit/mine").content.decode()


def test_nothing_yet(auditor: Client) -> None:
    assert "No entry yet" in auditor.get("/audit/").content.decode()
    assert "No entry like this" in auditor.get("/audit/?who=x").content.decode()


@pytest.mark.parametrize("role", [Role.USER, Role.APPROVER, Role.OPERATOR])
def test_others_see_their_own_only(client: Client, role: Role) -> None:
    user = User.objects.create_user("uwe", role=role)
    client.force_login(user)
    own, other = make("own", person_key=user.pk), make("other", person_key=999)
    assert client.get("/audit/").status_code == 404
    assert client.post("/audit/export.csv").status_code == 404
    assert client.get("/api/v1/audit/").status_code == 404
    assert "/audit/mine" in client.get("/profile").content.decode()
    assert "own" in shown(client, path="/audit/mine")
    assert "other" not in shown(client, path="/audit/mine")
    assert shown(client, "?who=anybody&q=own", path="/audit/mine") == ["own"]
    assert client.get(f"/audit/{own.pk}").status_code == 200
    assert client.get(f"/audit/{other.pk}").status_code == 404


@pytest.mark.parametrize(
    ("query", "texts"),
    [
        ("", ["d", "c", "b", "a"]),
        ("?who=oskar", ["b", "a"]),
        ("?who=-", ["d", "c"]),
        ("?result=failed", ["b"]),
        ("?who=oskar&result=failed", ["b"]),
        ("?action=access.login", ["d"]),
        ("?kind=vm", ["c"]),
        ("?kind=vm&key=other", []),
        ("?since=2026-03-02", ["d", "c"]),
        ("?until=2026-03-01", ["b", "a"]),
        ("?since=2026-03-02&until=2026-03-02", ["c"]),
        ("?q=NO+ROOM", ["b"]),
        ("?q=10.9.9.9", ["c"]),
        ("?q=web-07", ["c"]),
        ("?since=rubbish&result=none&before=x&until=9999-12-31", ["d", "c", "b", "a"]),
        ("?before=99999999999999999.1", ["d", "c", "b", "a"]),
        ("?before=0.0", []),
    ],
)
def test_filters(admin_client: Client, query: str, texts: list[str]) -> None:
    make("a", who="oskar")
    make("b", 1, who="oskar", result="failed", reason="There is no room.")
    make("c", 24, kind="vm", key="k", label="web-07", address="10.9.9.9")
    Entry.objects.create(text="d", action="access.login", at=FIRST + timedelta(days=3))
    assert shown(admin_client, query) == texts


def test_pages_follow_each_other(admin_client: Client) -> None:
    """Also where many happened in the same moment."""
    for number in range(130):
        make(f"entry {number}", number // 60, who="oskar")
    seen, url = [], "/audit/?who=oskar"
    while url:
        answer = admin_client.get(url, headers=HTMX)
        seen += [entry.text for entry in answer.context["page"].rows]
        url = answer.context["older"]
    assert seen == [f"entry {number}" for number in reversed(range(130))]


def test_no_page_counts_all_entries(admin_client: Client) -> None:
    for number in range(60):
        make(f"entry {number}", number)
    with CaptureQueriesContext(connection) as queries:
        admin_client.get("/audit/?who=-&kind=vm", headers=HTMX)
    assert not [one for one in queries if "COUNT(" in one["sql"].upper()]
    assert len(queries) <= 6


def test_a_wide_search_looks_in_pieces_and_says_so(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "SCAN", 20)
    make("needle", 0)
    for number in range(1, 50):
        make(f"hay {number}", number)
    answer = admin_client.get("/audit/?q=needle")
    assert "Nothing like this up to here" in answer.content.decode()
    seen, turns = [], 0
    while answer.context["older"]:
        answer = admin_client.get(answer.context["older"])
        seen += [entry.text for entry in answer.context["page"].rows]
        turns += 1
    assert (seen, turns) == (["needle"], 2)


def test_everything_is_escaped(admin_client: Client) -> None:
    entry = make(EVIL, who=EVIL, label=EVIL, reason=EVIL, address="x", details={EVIL: [EVIL, EVIL], "a": {EVIL: EVIL}})
    for address in ("/audit/", f"/audit/{entry.pk}", f"/audit/?q={EVIL}&who={EVIL}"):
        page = admin_client.get(address).content.decode()
        assert "<img" not in page
        assert "&lt;img" in page


def test_one_entry(admin_client: Client) -> None:
    entry = make("Change person", details={"role": ["user", "operator"], "is_active": [True, False], "left": None})
    dialog = admin_client.get(f"/audit/{entry.pk}", headers=HTMX).content.decode()
    assert "<html" not in dialog
    assert "user → operator" in dialog
    assert "yes → no" in dialog


def exported(client: Client, form: str, query: str = "") -> str:
    answer = client.post(f"/audit/export.{form}{query}")
    assert answer.status_code == 200
    assert f".{form}" in answer.headers["Content-Disposition"]
    return b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]


def test_csv_does_nothing_in_a_spreadsheet(admin_client: Client) -> None:
    hostile = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", '=HYPERLINK("http://x")', 'a"b,c\nd', "plain"]
    for number, text in enumerate(hostile):
        make(text, number)
    rows = list(csv.DictReader(io.StringIO(exported(admin_client, "csv", "?action=test.act"), newline="")))
    told = [row["text"] for row in rows][::-1]
    assert told == [f"'{text}" if text not in hostile[-2:] else text for text in hostile]
    assert {row["details"] for row in rows} == {"{}"}
    assert [row["who"] for row in rows] == [""] * len(hostile)


def test_json_and_what_the_filters_leave(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "PIECE", 7)
    for number in range(30):
        make(f"entry {number} ü", number, who="oskar" if number % 2 else "")
    rows = json.loads(exported(admin_client, "json", "?who=oskar"))
    assert [row["text"] for row in rows] == [f"entry {number} ü" for number in range(29, 0, -2)]
    assert json.loads(exported(admin_client, "json", "?who=nobody")) == []
    told = Entry.objects.filter(action="audit.export")
    assert [one.details for one in told.order_by("id")] == [{"who": "oskar"}, {"who": "nobody"}]
    assert admin_client.get("/audit/export.json").status_code == 405


@pytest.mark.django_db(transaction=True)
async def test_the_export_is_sent_while_it_is_read(admin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """As daphne serves it: piece after piece, never gathered in memory."""
    monkeypatch.setattr(filters, "PIECE", 10)
    await sync_to_async(lambda: [make(f"entry {number}", number) for number in range(35)])()
    client = AsyncClient()
    await client.aforce_login(admin)
    answer: Any = await client.post("/audit/export.csv?action=test.act")
    assert answer.is_async
    pieces = [piece async for piece in answer.streaming_content]
    assert len(pieces) == 5  # the heading and 35 in tens
    assert b"".join(pieces).count(b"entry ") == 35
    await sync_to_async(lambda: connection.close())()


def test_export_by_command(capsys: pytest.CaptureFixture[str]) -> None:
    make("a", who="oskar")
    make("b")
    call_command("audit", "export", "--who", "oskar")
    assert [row["text"] for row in json.loads(capsys.readouterr().out)] == ["a"]
    call_command("audit", "export", "--format", "csv", "--until", "2026-03-01")
    assert len(capsys.readouterr().out.splitlines()) == 3
    with pytest.raises(CommandError, match="--since"):
        call_command("audit", "export", "--since", "yesterday")


def test_api(admin_client: Client) -> None:
    for number in range(5):
        make(f"entry {number}", number, who="oskar")
    first = admin_client.get("/api/v1/audit/?who=oskar&limit=3").json()
    assert [one["text"] for one in first["items"]] == ["entry 4", "entry 3", "entry 2"]
    rest = admin_client.get(f"/api/v1/audit/?who=oskar&limit=3&before={first['older']}").json()
    assert ([one["text"] for one in rest["items"]], rest["older"]) == (["entry 1", "entry 0"], None)
    for wrong in ("since=rubbish", "result=none", "before=x", "limit=0", "action=No"):
        answer = admin_client.get(f"/api/v1/audit/?{wrong}")
        assert answer.status_code == 422, wrong
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_the_menu(admin_client: Client, operator: User) -> None:
    assert f'href="{reverse("audit:index")}"' in admin_client.get("/").content.decode()
    client = Client()
    client.force_login(operator)
    assert f'href="{reverse("audit:index")}"' not in client.get("/").content.decode()
