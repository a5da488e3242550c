"""Console tickets of scripts: bound to the token they were asked for with, as a page's are to its web session."""

from typing import Any

import pytest
from django.test import Client

from access.models import ApiToken, User
from access.sessions import OF_A_SCRIPT, key_of_token
from tests.api.kit import BASE
from tests.factories import make_host, make_vm
from vms import consoles
from vms.consoles import Opened
from vms.models import ConsoleSession, Vm

pytestmark = pytest.mark.django_db


@pytest.fixture
def vm() -> Vm:
    return make_vm(make_host())


def asked(vm: Vm, secret: str, kind: str = "serial") -> Any:
    headers = {"Authorization": f"Bearer {secret}"}
    return Client().post(f"{BASE}/vms/{vm.uuid}/console?kind={kind}", headers=headers)


def ticket_of(answer: Any) -> str:
    assert answer.status_code == 201, answer.content
    url = str(answer.json()["url"])
    assert url.startswith("ws://testserver/console-socket?ticket=")
    return url.partition("ticket=")[2]


def test_it_works_once_for_this_token(admin: User, vm: Vm) -> None:
    token, secret = ApiToken.make(admin, "script")
    other, _other = ApiToken.make(admin, "other")
    ticket = ticket_of(asked(vm, secret))
    assert consoles.redeem(ticket, key_of_token(other)) is None
    assert consoles.redeem(ticket, OF_A_SCRIPT + secret) is None
    session = consoles.redeem(ticket, key_of_token(token))
    assert session is not None
    assert (session.vm, session.kind, session.user) == (vm, "serial", admin)
    assert consoles.redeem(ticket, key_of_token(token)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"expires_at": "2020-01-01T00:00Z"},
        {"may_change": False},
        {"areas": ["hosts"]},
    ],
    ids=str,
)
def test_open_ones_end_with_the_token(admin: User, vm: Vm, change: dict[str, Any]) -> None:
    token, secret = ApiToken.make(admin, "script")
    session = consoles.redeem(ticket_of(asked(vm, secret)), key_of_token(token))
    assert session is not None
    opened = {session.pk: Opened(key_of_token(token), "administrator")}
    assert consoles.still_allowed(opened) == {session.pk}
    ApiToken.objects.filter(pk=token.pk).update(**change)
    assert consoles.still_allowed(opened) == set()


def test_open_ones_end_with_the_person(admin: User, vm: Vm) -> None:
    token, secret = ApiToken.make(admin, "script")
    ticket = ticket_of(asked(vm, secret))
    User.objects.update(is_active=False)
    assert consoles.redeem(ticket, key_of_token(token)) is None


def test_refused(admin: User, lab_user: User, vm: Vm) -> None:
    _token, secret = ApiToken.make(admin, "script", may_change=False)
    assert asked(vm, secret).status_code == 403
    assert asked(vm, ApiToken.make(lab_user, "x")[1]).status_code == 404
    assert asked(vm, ApiToken.make(admin, "x")[1], kind="telnet").status_code == 422
    Vm.objects.update(observed_state="off")
    answer = asked(vm, ApiToken.make(admin, "x")[1])
    assert (answer.status_code, "is off" in answer.json()["detail"]) == (409, True)
    assert not ConsoleSession.objects.exists()


def test_a_web_session_gets_one_too(admin_client: Client, vm: Vm) -> None:
    ticket = ticket_of(admin_client.post(f"{BASE}/vms/{vm.uuid}/console"))
    assert consoles.redeem(ticket, admin_client.session.session_key or "") is not None
