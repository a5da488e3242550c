"""The pages and the API of leases: what is offered to whom, and that each button does what it says."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from access.models import Role, User
from selfservice import leases
from selfservice.models import Request
from selfservice.states import RequestState, Step
from tests.factories import make_user, make_vm
from tests.selfservice.kit import make_leased, make_offer
from vms.states import VmState

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
S = RequestState


@pytest.fixture
def leased(admin: User, lab_user: User) -> Request:
    vm = make_vm(None, "web", observed_state=VmState.OFF)
    return make_leased(lab_user, make_offer(admin), vm, now=timezone.now() - 9 * DAY)


def as_(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def page(user: User, request: Request) -> str:
    return as_(user).get(request.get_absolute_url()).content.decode()


def has(text: str, *words: str) -> list[bool]:
    return [word in text for word in words]


BUTTONS = ("Extend until", "More time…", "Pin…", "Give back…", "Give more time…")


def test_buttons_are_there_for_who_may(leased: Request, lab_user: User, admin: User) -> None:
    now = timezone.now()
    petra, otto = make_user("petra", Role.APPROVER), make_user("otto", Role.OPERATOR)
    assert has(page(lab_user, leased), *BUTTONS, "4\N{NO-BREAK SPACE}days") == [True, True, False, True, False, True]
    assert has(page(petra, leased), *BUTTONS) == [True, True, False, False, False]
    assert has(page(otto, leased), *BUTTONS) == [False, False, False, True, False]
    assert has(page(admin, leased), *BUTTONS) == [True, True, True, True, False]
    leases.ask_longer(leased, lab_user, 100, "my thesis", now=now)
    assert has(page(lab_user, leased), *BUTTONS, "100 days more") == [True, False, False, True, False, True]
    assert "Give more time…" in page(petra, leased)
    leases.pin(leased, admin, "evidence", now=now)
    assert has(page(lab_user, leased), "has pinned it", "Give back…") == [True, False]
    assert "Unpin" in page(admin, leased)


def test_clicks(leased: Request, lab_user: User, admin: User) -> None:
    """Extended, more asked for, given, pinned, unpinned, needed, given back: by the pages."""
    lena, boss, url = as_(lab_user), as_(admin), leased.get_absolute_url()
    until = leased.until

    def post(client: Client, verb: str, **data: Any) -> int:
        status = client.post(f"{url}{verb}", data).status_code
        leased.refresh_from_db()
        return status

    assert until is not None
    assert (post(lena, "extend"), leased.until) == (302, until + 14 * DAY)
    assert post(lena, "more-time", days=90, why="") == 422
    assert (post(lena, "more-time", days=90, why="my thesis"), leased.longer_days) == (302, 90)
    assert "my thesis" in boss.get("/requests/inbox").content.decode()
    assert "my thesis" in boss.get(f"{url}more-time/give").content.decode()
    assert (post(boss, "more-time/reject", why="no"), leased.longer_at) == (302, None)
    post(lena, "more-time", days=90, why="please")
    assert (post(boss, "more-time/give", days=30), leased.until) == (302, until + 44 * DAY)
    assert post(lena, "pin") == 403
    assert (post(boss, "pin", why="evidence"), leased.pinned_by) == (302, admin)
    assert "An administrator has pinned it" in lena.post(f"{url}give-back", {"typed": "web"}).content.decode()
    assert (post(boss, "unpin"), leased.pinned_at) == (302, None)
    Request.objects.update(unused_at=timezone.now())
    assert "nobody had a console open" in page(lab_user, leased)
    assert (post(lena, "keep"), leased.unused_at) == (302, None)
    assert post(lena, "give-back", typed="another") == 422
    assert leased.returned_at is None
    assert post(lena, "give-back", typed="web") == 302
    assert leased.returned_at is not None
    assert "Given back: its VMs are being deleted." in page(lab_user, leased)
    assert "being deleted" in lena.post(f"{url}extend", follow=True).content.decode()
    assert leased.events.filter(step=Step.EXTENDED).count() == 1


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (S.EXPIRING, "Then its VMs are shut down."),
        (S.EXPIRED, "It has ended and its VMs are off. Extend it to start them again."),
        (S.ARCHIVED, "Its VMs and disks are still there, and come back if you extend it."),
    ],
)
def test_each_stage_says_what_follows(leased: Request, lab_user: User, state: RequestState, words: str) -> None:
    Request.objects.update(state=state, stage_until=timezone.now() + 3 * DAY)
    assert words in page(lab_user, leased)


def test_lists_by_lease(leased: Request, admin: User, lab_user: User) -> None:
    boss, now = as_(admin), timezone.now()

    def found(which: str) -> bool:
        return leased.get_absolute_url() in boss.get(f"/requests/all?lease={which}").content.decode()

    assert [found(which) for which in ("soon", "ended", "unused", "longer", "pinned")] == [True] + [False] * 4
    leases.ask_longer(leased, lab_user, 9, "x", now=now)
    Request.objects.update(unused_at=now)
    leases.pin(leased, admin, now=now)
    assert [found(which) for which in ("soon", "ended", "unused", "longer", "pinned")] == [
        False,
        False,
        True,
        True,
        True,
    ]
    Request.objects.update(state=S.EXPIRED, stage_until=now, pinned_at=None)
    assert [found("soon"), found("ended"), found("nonsense")] == [False, True, True]


def test_by_api(leased: Request, lab_user: User, admin: User) -> None:
    lena, boss, url = as_(lab_user), as_(admin), f"/api/v1/requests/{leased.pk}"

    def post(client: Client, verb: str, **data: Any) -> Any:
        return client.post(f"{url}/{verb}", data, content_type="application/json")

    lease = lena.get(url).json()["lease"]
    assert (lease["extends_until"] > lease["until"], lease["pinned_at"], lease["more_days"]) == (True, None, None)
    assert post(lena, "extend").json()["lease"]["until"] == lease["extends_until"]
    assert post(lena, "more-time", days=90, why="my thesis").json()["lease"]["more_days"] == 90
    assert post(lena, "more-time/give", days=90).status_code == 403
    assert post(boss, "more-time/give", days=30).json()["lease"]["more_days"] is None
    assert post(boss, "more-time/reject", why="no").status_code == 409
    assert post(boss, "pin").json()["lease"]["pinned_at"] is not None
    assert post(boss, "unpin").json()["lease"]["pinned_at"] is None
    assert post(lena, "keep").status_code == 409
    assert post(lena, "return", name="other").status_code == 422
    assert post(lena, "return", name="web").json()["lease"]["returned_at"] is not None
