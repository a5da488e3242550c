"""A password that somebody else has set is changed before anything else: pages, API and the live socket wait."""

import pytest
from channels.testing import WebsocketCommunicator
from django.test import Client

from access.models import ApiToken, User
from access.sessions import people_of
from cluster.asgi import application
from tests.factories import make_user

pytestmark = pytest.mark.django_db
GIVEN, OWN = "given horse 7", "chosen horse 8"
HTMX = {"HX-Request": "true"}


@pytest.fixture
def anna(db: None) -> User:
    return make_user("anna", password=GIVEN, must_change_password=True)


@pytest.fixture
def at_work(anna: User) -> Client:
    client = Client()
    client.post("/login", {"username": "anna", "password": GIVEN})
    return client


def change(client: Client, new: str = OWN) -> int:
    words = {"old_password": GIVEN, "new_password1": new, "new_password2": new}
    return int(client.post("/profile/password", words).status_code)


def test_it_works(at_work: Client, anna: User) -> None:
    assert at_work.get("/").headers["Location"] == "/profile/password"
    page = at_work.get("/profile/password").content.decode()
    assert "Choose your password" in page
    assert "data-live-url" not in page
    assert change(at_work) == 302
    assert at_work.get("/my-vms/").status_code == 200
    anna.refresh_from_db()
    assert not anna.must_change_password
    assert anna.check_password(OWN)


def test_the_given_one_is_no_new_one(at_work: Client) -> None:
    assert change(at_work, GIVEN) == 200
    assert at_work.get("/").status_code == 302


def test_pieces_and_the_api_wait(at_work: Client) -> None:
    piece = at_work.get("/vms/", headers=HTMX)
    assert (piece.status_code, piece.headers["HX-Redirect"]) == (204, "/profile/password")
    told = at_work.get("/api/v1/vms/")
    assert told.status_code == 403
    assert "Change the password" in told.json()["detail"]
    assert at_work.post("/profile/tokens/new", {"name": "x", "days": "30"}).status_code == 302
    assert not ApiToken.objects.exists()
    assert at_work.post("/logout").status_code == 302


def test_a_token_of_before_stays(anna: User) -> None:
    _token, secret = ApiToken.make(anna, "script")
    answer = Client().get("/api/v1/vms/", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == 200


def test_sockets_and_consoles_wait(at_work: Client) -> None:
    key = at_work.session.session_key or ""
    assert people_of({key}) == {}
    change(at_work)
    key = at_work.session.session_key or ""
    assert [person.username for person in people_of({key}).values()] == ["anna"]


@pytest.mark.django_db(transaction=True)
async def test_the_live_socket(anna: User) -> None:
    client = Client()
    await client.aforce_login(anna)
    cookie = f"drover_session={client.cookies['drover_session'].value}".encode()
    headers = [(b"cookie", cookie), (b"origin", b"http://testserver"), (b"host", b"testserver")]
    socket = WebsocketCommunicator(application, "/live", headers)
    is_open, code = await socket.connect()
    assert (is_open, code) == (False, 4401)


def test_who_gets_one(admin_client: Client) -> None:
    """By adding somebody, and by setting a password; not for one's own."""
    answer = admin_client.post("/people/add", {"username": "bert", "role": "user"})
    bert = User.objects.get(username="bert")
    assert bert.must_change_password
    assert admin_client.get("/").status_code == 200
    User.objects.filter(pk=bert.pk).update(must_change_password=False)
    admin_client.post(f"/people/{bert.pk}/password", {"password": ""})
    bert.refresh_from_db()
    assert bert.must_change_password
    assert answer.status_code == 200
