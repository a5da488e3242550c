import re

import pytest
from django.test import Client

from access.models import Membership, Role, User
from cluster.search import find
from hosts.models import Network
from jobs.models import Job
from selfservice.models import LabClass, Offer
from storage.models import Image
from tests.cluster.conftest import Small
from tests.factories import make_group, make_user
from tests.selfservice.kit import make_offer


def labels(user: User, words: str) -> dict[str, list[str]]:
    return {group.title: [hit.label for hit in group.hits] for group in find(user, words)}


def test_it_works(admin: User, small: Small, admin_client: Client) -> None:
    vm = small.vm("web-07", small.up, address="10.47.0.127")
    Network.objects.create(name="webnet", mode="nat")
    Image.objects.create(name="webimage", version="1", pool=small.shared, volume_name="w")
    Job.objects.create(operation="x", title="Start web-07")
    assert labels(admin, "web") == {
        "Virtual machines": ["web-07"],
        "Images": ["webimage 1"],
        "Networks": ["webnet"],
        "Jobs": ["Start web-07"],
    }
    assert labels(admin, "10.47.0")["Virtual machines"] == ["web-07"]
    assert labels(admin, str(vm.uuid))["Virtual machines"] == ["web-07"]
    assert labels(admin, "vmhost2") == {"Hosts": ["vmhost2"]}
    assert labels(admin, "vmstor") == {"Pools": ["vmstorage"]}
    assert labels(admin, "ada")["People"] == ["ada"]
    page = admin_client.get("/search?q=web")
    assert "<html" in page.content.decode()
    fragment = admin_client.get("/search?q=web", headers={"HX-Request": "true"}).content.decode()
    assert fragment.count('role="option"') == 4
    assert "<html" not in fragment


def test_self_service(admin: User, lab_user: User) -> None:
    """Offers for who may ask, classes for their group's managers."""
    make_offer(admin)
    group, tina = make_group("Networks"), make_user("tina", Role.USER)
    Membership.objects.create(group=group, user=tina, is_manager=True)
    LabClass.objects.create(name="Routing", group=group, version=Offer.objects.get().latest(), pattern="r-<user>")
    assert labels(lab_user, "tiny") == {"Offers": ["Tiny Linux"]}
    assert labels(tina, "rout") == labels(admin, "rout") == {"Classes": ["Routing"]}
    assert labels(lab_user, "rout") == {}


def test_a_class_belongs_to_its_group(client: Client, admin: User) -> None:
    """In the menu: of managers their groups, of administrators people."""
    make_offer(admin)
    group, tina = make_group("Networks"), make_user("tina", Role.USER)
    Membership.objects.create(group=group, user=tina, is_manager=True)
    made = LabClass.objects.create(name="R", group=group, version=Offer.objects.get().latest(), pattern="r-<user>")
    for person, url in ((tina, "/people/groups/"), (admin, "/people/")):
        client.force_login(person)
        page = client.get(made.get_absolute_url()).content.decode()
        assert re.search(r'<a href="([^"]+)" class="now"', page).group(1) == url  # type: ignore[union-attr]


def test_actions(admin: User, lab_user: User) -> None:
    assert labels(admin, "new vm") == {"Actions": ["New VM"]}
    assert labels(admin, "")["Actions"][:2] == ["New VM", "Add host"]
    assert "New VM" not in labels(lab_user, "")["Actions"]


def test_only_what_a_person_may_see(lab_user: User, admin: User, small: Small) -> None:
    small.vm("web-mine", small.up, owner=lab_user)
    small.vm("web-other", small.up)
    Job.objects.create(operation="x", title="Start web-other", user=admin)
    assert labels(lab_user, "web") == {"Virtual machines": ["web-mine"]}
    assert labels(lab_user, "vmhost") == {}
    assert labels(lab_user, "ada") == {}


@pytest.mark.parametrize("words", ["%", "_", "'; DROP TABLE", "<b>", "9" * 200, " ", "é🐑"])
def test_odd_words(admin_client: Client, small: Small, words: str) -> None:
    small.vm("web-07", small.up)
    answer = admin_client.get("/search", {"q": words})
    assert answer.status_code == 200
    assert "<b>" not in answer.content.decode()
