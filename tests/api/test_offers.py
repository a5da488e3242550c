"""Offers by API: made, changed in versions, archived; the form of the page says what is wrong."""

from typing import Any

import pytest

from access.models import User
from selfservice.first_boot import Field
from selfservice.models import Offer, Request
from storage.models import Pool
from tests.api.kit import call
from tests.factories import GIB, make_group
from tests.selfservice.kit import ask, make_offer, make_place

pytestmark = pytest.mark.django_db
TEMPLATE = "#cloud-config\ntimezone: <zone>\n"


@pytest.fixture
def place() -> Pool:
    return make_place()


def terms(place: Pool, **more: Any) -> dict[str, Any]:
    sizes = {"vcpus": {"least": 1, "usual": 2, "most": 4}}
    return {"name": "Tiny", "image": "tiny", "pool": place.pk, "network": "network:default", **sizes, **more}


def test_it_works(admin: User, lab_user: User, place: Pool) -> None:
    group = make_group("Networks", lab_user)
    wish = terms(place, fields_text="zone*: UTC | CET: Zone", user_data=TEMPLATE)
    wish |= {"is_for_everybody": False, "groups": [group.pk], "people": ["ada"]}
    made = call(admin, "POST", "/offers", wish)
    assert made.status_code == 201, made.content
    told = made.json()
    assert (told["version"], told["vcpus"], told["image"], told["family"]) == (1, sizes(1, 2, 4), None, "tiny")
    assert (told["groups"], told["people"], told["is_for_everybody"]) == ([group.pk], ["ada"], False)
    assert [one["name"] for one in told["fields"]] == ["zone"]
    assert [one["id"] for one in call(lab_user, "GET", "/offers").json()] == [told["id"]]
    assert [one["pool"] for one in call(admin, "GET", "/offers/all").json()] == [place.pk]


def sizes(least: int, usual: int, most: int) -> dict[str, int]:
    return {"least": least, "usual": usual, "most": most}


def test_a_change_is_a_version_and_leaves_the_rest(admin: User, lab_user: User, place: Pool) -> None:
    offer = make_offer(admin, pool=place, fields=[Field("zone").as_json()], user_data=TEMPLATE, free_vms=3)
    before = call(admin, "GET", "/offers/all").json()[0]
    asked = ask(lab_user, offer, values={})
    changed = call(admin, "PATCH", f"/offers/{offer.pk}", {"memory_bytes": sizes(GIB, 2 * GIB, 4 * GIB)})
    assert changed.status_code == 200, changed.content
    told = changed.json()
    assert {name for name in told if told[name] != before[name]} == {"version", "memory_bytes"}
    assert told["version"] == 2
    versions = call(admin, "GET", f"/offers/{offer.pk}/versions").json()
    assert [(one["number"], one["made_by"]) for one in versions] == [(2, "ada"), (1, "ada")]
    assert set(versions[0]["changed"]) == {"least_memory_bytes", "memory_bytes"}
    assert Request.objects.get(pk=asked.pk).version.number == 1
    same = call(admin, "PATCH", f"/offers/{offer.pk}", {"summary": "Smaller"}).json()
    assert (same["version"], same["summary"]) == (2, "Smaller")


def test_archive_and_back(admin: User, lab_user: User, place: Pool) -> None:
    offer = make_offer(admin, pool=place)
    assert call(admin, "POST", f"/offers/{offer.pk}/archive").json()["is_archived"]
    assert call(lab_user, "GET", "/offers").json() == []
    assert not call(admin, "POST", f"/offers/{offer.pk}/bring-back").json()["is_archived"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"image": "moon"}, "image"),
        ({"image": 4711}, "image"),
        ({"pool": 4711}, "pool"),
        ({"network": "bridge:moon"}, "network"),
        ({"vcpus": {"least": 2, "usual": 1, "most": 4}}, "vcpus"),
        ({"disk_bytes": {"least": 1, "usual": GIB, "most": GIB}}, "least_disk_bytes"),
        ({"people": ["nobody-here"]}, "people"),
        ({"groups": [4711]}, "groups"),
        ({"user_data": "#cloud-config\nx: <moon>\n"}, "user_data"),
        ({"lease_days": 9, "most_lease_days": 3}, "most_lease_days"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_nonsense(admin: User, place: Pool, wrong: dict[str, Any], field: str) -> None:
    answer = call(admin, "POST", "/offers", terms(place, **wrong))
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.content
    assert not Offer.objects.exists()


def test_a_name_that_is_taken(admin: User, place: Pool) -> None:
    make_offer(admin, "Tiny", pool=place)
    answer = call(admin, "POST", "/offers", terms(place))
    assert (answer.status_code, answer.json()["field"]) == (409, "name")


def test_who_may(operator: User, lab_user: User, place: Pool) -> None:
    assert call(operator, "POST", "/offers", terms(place)).status_code == 403
    assert call(lab_user, "POST", "/offers", terms(place)).status_code == 404
    assert call(lab_user, "GET", "/offers/all").status_code == 404
