"""Login, theme, password and API tokens."""

import pytest
from django.test import Client

from access.models import ApiToken, User


def test_login(client: Client, admin: User) -> None:
    page = client.get("/login?next=/jobs/")
    assert page.status_code == 200
    wrong = client.post("/login", {"username": "ada", "password": "wrong"})
    assert "username or the password is not right" in wrong.content.decode()
    right = client.post("/login", {"username": "ada", "password": "correct horse 7", "next": "/jobs/"})
    assert right.headers["Location"] == "/jobs/"
    assert client.get("/login").headers["Location"] == "/"
    assert client.post("/logout").headers["Location"] == "/login"
    assert client.get("/").headers["Location"] == "/login?next=/"


def test_nobody_is_sent_elsewhere(client: Client, admin: User) -> None:
    there = client.post("/login", {"username": "ada", "password": "correct horse 7", "next": "https://evil.example/"})
    assert there.headers["Location"] == "/"
    theme = client.post("/profile/theme", {"theme": "dark", "next": "//evil.example"})
    assert theme.headers["Location"] == "/"


@pytest.mark.parametrize(("chosen", "kept"), [("dark", "dark"), ("light", "light"), ("pink", "auto")])
def test_theme(admin_client: Client, admin: User, chosen: str, kept: str) -> None:
    admin_client.post("/profile/theme", {"theme": chosen})
    admin.refresh_from_db()
    assert admin.theme == kept
    assert f'data-theme="{kept}"' in admin_client.get("/profile").content.decode()


def test_a_token_is_shown_once(admin_client: Client, admin: User) -> None:
    made = admin_client.post(
        "/profile/tokens/new", {"name": "backup", "days": "30", "may_change": "no", "areas": ["vms"]}
    )
    token = ApiToken.objects.get()
    secret = made.context["secret"]
    assert secret in made.content.decode()
    assert (ApiToken.of(secret), token.user) == (token, admin)
    assert token.expires_at
    assert (token.may_change, token.areas) == (False, ["vms"])
    page = admin_client.get("/profile").content.decode()
    assert "backup" in page
    assert "reads only · VMs and their consoles" in page
    assert secret not in page
    admin_client.post(f"/profile/tokens/{token.pk}/revoke")
    assert ApiToken.of(secret) is None


def test_a_bad_token_form(admin_client: Client) -> None:
    answer = admin_client.post("/profile/tokens/new", {"name": "x" * 300, "days": "7"}, headers={"HX-Request": "true"})
    assert answer.status_code == 422
    assert answer.headers["HX-Retarget"] == "#dialog"
    assert not ApiToken.objects.exists()


def test_only_ones_own_tokens(admin_client: Client, operator: User) -> None:
    token, _secret = ApiToken.make(operator, "theirs")
    assert "theirs" not in admin_client.get("/profile").content.decode()
    assert admin_client.post(f"/profile/tokens/{token.pk}/revoke").status_code == 404
    assert ApiToken.objects.exists()


def test_password(admin_client: Client, admin: User) -> None:
    short = {"old_password": "correct horse 7", "new_password1": "short", "new_password2": "short"}
    assert "too short" in admin_client.post("/profile/password", short).content.decode()
    good = {"old_password": "correct horse 7", "new_password1": "battery staple", "new_password2": "battery staple"}
    assert admin_client.post("/profile/password", good).headers["Location"] == "/profile"
    admin.refresh_from_db()
    assert admin.check_password("battery staple")


def test_errors_have_pages_of_their_own(client: Client, lab_user: User, operator: User) -> None:
    client.force_login(operator)
    assert "You may not do this" in client.get("/hosts/add").content.decode()
    client.force_login(lab_user)
    assert "There is nothing here" in client.get("/no/such/page").content.decode()
    assert "There is nothing here" in client.get("/hosts/").content.decode()
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(lab_user)
    assert "The form was too old" in strict.post("/profile/theme", {"theme": "dark"}).content.decode()
