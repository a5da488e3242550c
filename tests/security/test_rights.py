"""Every address, as every kind of person, by every method: who gets in, and that reading changes nothing."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from api.main import api
from jobs.models import Job
from tests.security.table import (
    ALLOWED,
    API,
    API_BODIES,
    API_PAGES,
    CONSOLE,
    KEEP,
    LOGIN,
    MOVE,
    OFF,
    OPEN,
    SEE,
    TABLE,
    TAKE_BACK,
    USE,
    Row,
)
from tests.security.world import PEOPLE, World
from virt import connection as connection_of_hosts

pytestmark = pytest.mark.django_db
# these soon show what is wrong; the others see much the same pages, and wait for `make test`
SOON = {"anonymous", "stranger"}
EACH = [pytest.param(person, marks=() if person in SOON else pytest.mark.thorough) for person in PEOPLE]
CLUSTER = ("vmhost1", "vmstorage", "Pause web")  # hosts, pools, others' jobs: no lab user reads of them
HIDDEN = dict.fromkeys(("helper", "guest"), CLUSTER) | dict.fromkeys(("stranger", "approver"), (*CLUSTER, "web-07"))


@contextmanager
def undone() -> Iterator[None]:
    """What happens inside is rolled back."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def page_names() -> set[str]:
    def walk(resolver: Any, prefix: str = "") -> Iterator[str]:
        for one in resolver.url_patterns:
            if isinstance(one, URLResolver):
                yield from walk(one, f"{one.namespace}:" if one.namespace else prefix)
            elif isinstance(one, URLPattern):
                yield f"{prefix}{one.name}"

    return {name for name in walk(get_resolver()) if not name.startswith("api:")}


def address(name: str, row: Row, world: World) -> str:
    return reverse(name, args=row.values(world)) + (f"?{row.query.format(**vars(world))}" if row.query else "")


def ask(client: Client, method: str, url: str, body: Any = None) -> Any:
    if method == "GET":
        return client.get(url)
    if body is not None:
        return client.generic(method, url, json.dumps(body), content_type="application/json")
    return client.post(url)


def verdict(name: str, row: Row, person: str, method: str, status: int) -> str | None:
    """What is wrong with this answer, or None."""
    where = f"{method} {name} as {person}: {status}"
    if status >= 500:
        return f"{where}, an error of ours"
    if person in row.allowed:
        return f"{where}, but they may" if status in {401, 403, 404, 405} else None
    if person == "anonymous" and row.who != OFF:
        return None if status == 302 else f"{where}, but should be sent to the login page"
    wanted = row.refusal(person)
    return None if status == wanted else f"{where}, but they should be told {wanted}"


def test_every_address_has_a_row() -> None:
    assert page_names() - set(TABLE) == set(), "new addresses: say in tests/security/table.py who may use them"
    assert set(TABLE) - page_names() == set()


def test_every_api_call_has_a_row() -> None:
    named = {getattr(pattern, "name", "") for pattern in api.urls[0]} - API_PAGES
    assert named == set(API), "new calls: say in tests/security/table.py who may use them"


@pytest.mark.parametrize("person", EACH)
def test_api_as(person: str, world: World) -> None:
    wrong = []
    for name, row in API.items():
        method = row.methods[0]
        with undone():
            url = reverse(f"api:{name}", args=row.values(world))
            client = world.client(person)
            with connection.execute_wrapper(only_reads) if method == "GET" else nullcontext():
                status = ask(client, method, url, API_BODIES.get(name, {})).status_code
        expected_login = person == "anonymous" and status == 401
        wrong.append(None if expected_login else verdict(name, row, person, method, status))
    assert [one for one in wrong if one] == []


def test_methods(world: World) -> None:
    """What changes something answers to POST only, what shows something to GET only; nothing to PUT."""
    client, wrong = world.client("administrator"), []
    for name, row in TABLE.items():
        for method in {"GET", "POST", "PUT", "DELETE"} - set(row.methods):
            with undone():
                status = client.generic(method, address(name, row, world)).status_code
            if status not in {404, 405}:
                wrong.append(f"{method} {name}: {status}")
    assert wrong == []


def test_post_without_csrf(world: World) -> None:
    client, wrong = world.client("administrator", enforce_csrf_checks=True), []
    for name, row in TABLE.items():
        if "POST" in row.methods and (status := client.post(address(name, row, world)).status_code) != 403:
            wrong.append(f"{name}: {status}")
    for name, row in API.items():
        if row.methods[0] != "GET":
            url = reverse(f"api:{name}", args=row.values(world))
            status = ask(client, row.methods[0], url, API_BODIES.get(name, {})).status_code
            if status != 403:
                wrong.append(f"api {name}: {status}")
    assert wrong == []
    assert Job.objects.count() == 2


def forbidden(what: str) -> Callable[..., None]:
    def call(*args: Any, **kwargs: Any) -> None:
        raise AssertionError(f"a page called {what}: {args}")

    return call


@pytest.fixture
def no_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Law 1: no libvirt, no SSH, no other program."""
    monkeypatch.setattr(connection_of_hosts, "open_connection", forbidden("libvirt"))
    monkeypatch.setattr(subprocess, "Popen", forbidden("a program"))


def only_reads(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
    word = sql.split(None, 1)[0].upper()
    assert word in {"SELECT", "SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN"}, sql
    return execute(sql, params, many, context)


def check_page(name: str, answer: Any) -> None:
    """No script that is not a file of ours; no framing; nothing guessed."""
    policy = answer.headers.get("Content-Security-Policy", "")
    script = next((part for part in policy.split(";") if part.strip().startswith("script-src")), "")
    assert "'self'" in script, name
    assert "unsafe" not in script, name
    assert "default-src 'self'" in policy or "default-src 'none'" in policy, name
    assert answer.headers["X-Frame-Options"] == "DENY", name
    assert answer.headers["X-Content-Type-Options"] == "nosniff", name
    if "html" in answer.headers.get("Content-Type", ""):
        text = answer.content.decode()
        for inline in (" onclick=", "<script>", ' style="'):
            assert inline not in text, (name, inline)


def read(client: Client, name: str, url: str, **headers: str) -> Any:
    """GET is safe: it only reads the database."""
    with connection.execute_wrapper(only_reads):
        answer = client.get(url, headers=headers)
    if answer.status_code == 200:
        check_page(name, answer)
    return answer


@pytest.mark.thorough
def test_fragments_for_htmx(world: World, no_hosts: None) -> None:
    client = world.client("administrator")
    for name, row in TABLE.items():
        if "GET" in row.methods and "administrator" in row.allowed:
            answer = read(client, name, address(name, row, world), **{"HX-Request": "true"})
            assert answer.status_code < 400, name


@pytest.mark.parametrize("person", EACH)
def test_pages_as(person: str, world: World, no_hosts: None) -> None:
    """Who gets in; and that reading touches no host and changes nothing."""
    client, wrong = world.client(person), []
    for name, row in TABLE.items():
        url = address(name, row, world)
        if "GET" in row.methods:
            answer = read(client, name, url)
            wrong.append(verdict(name, row, person, "GET", answer.status_code))
            if person in row.allowed and name not in BY_LINK:
                wrong += [f"{name} shows {word}" for word in HIDDEN.get(person, ()) if word in answer.content.decode()]
        if "POST" in row.methods:
            with undone():
                wrong.append(verdict(name, row, person, "POST", world.client(person).post(url).status_code))
    assert [one for one in wrong if one] == []


BY_LINK = {"vms:look", "vms:look_state"}  # they show the one VM whose link one has


def test_a_strangers_row_is_empty(world: World) -> None:
    assert world.client("stranger").get(reverse("vms:row", args=[world.vm.uuid])).content == b""


def test_levels_are_what_they_say() -> None:
    levels = [ALLOWED[level][0] for level in (OPEN, LOGIN, SEE, CONSOLE, USE, KEEP, MOVE)]
    assert all(wider > narrower for wider, narrower in pairwise(levels))
    for who, (allowed, told) in ALLOWED.items():
        assert not allowed & told, who
        assert ("administrator" in allowed) == (who not in {OFF, TAKE_BACK}), who


def test_an_auditor_changes_nothing() -> None:
    """By no address and no call, but their own login, password, theme, tokens, keys and notices."""
    rows = {**TABLE, **API}
    changes = {name for name, row in rows.items() if "auditor" in row.allowed and set(row.methods) - {"GET"}}
    own = {name for name in TABLE if name.startswith("mfa_")} - {"mfa_index"}
    assert changes - own == {
        "account_reauthenticate",
        "notices:read_all",
        "read_notices",
        "notices:choices",
        "access:login",
        "account_login",
        "vms:look_ticket",  # as everybody who has the link
        "access:join",  # the page behind an invitation, for whoever has the link
        "access:logout",
        "access:theme",
        "access:password",
        "access:make_token",
        "make_token",
        "access:end_other_sessions",
        "access:add_ssh_keys",
        "add_ssh_keys",
        "audit:export",  # a POST because it is an entry itself
        "vms:bulk",  # each part asks for its own right
    }


def test_the_api_cancels_what_the_page_would(world: World) -> None:
    """An operator sees the jobs of administrators, and may not stop them, by page or by API."""
    job = Job.objects.create(operation="hosts.trust", title="Trust", user=world.users["administrator"])
    client = world.client("operator")
    assert client.post(reverse("jobs:cancel", args=[job.pk])).status_code == 403
    assert client.post(reverse("api:cancel_job", args=[job.pk])).status_code == 403
    job.refresh_from_db()
    assert job.is_active
