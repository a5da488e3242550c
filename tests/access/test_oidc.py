"""Single sign-on against a real OpenID Connect provider, started here."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from allauth.socialaccount.models import SocialAccount
from django.test import Client

from access.models import Group, Role, User
from audit.models import Entry
from tests.access import provider
from tests.factories import make_user

pytestmark = [pytest.mark.django_db, pytest.mark.processes]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with provider.running() as address:
        yield address


@pytest.fixture(autouse=True)
def _configured(settings: Any, url: str) -> None:
    provider.configure(settings, url)


def test_it_works(url: str) -> None:
    """A person is made at the first login, as a lab user without a password; and found again at the next."""
    provider.knows(url, "s1", preferred_username="anna", email="anna@uni.example", given_name="Anna", family_name="K")
    client, answer = provider.log_in("s1", next="/jobs/")
    assert answer.headers["Location"] == "/jobs/"
    anna = User.objects.get()
    assert (anna.username, anna.role, anna.email, anna.first_name) == ("anna", "user", "anna@uni.example", "Anna")
    assert not anna.has_usable_password()
    assert client.get("/profile").status_code == 200
    entry = Entry.objects.get(action="access.login")
    assert (entry.who, entry.result, entry.details) == ("anna", "ok", {"way": "oidc"})
    provider.log_in("s1")
    assert User.objects.count() == 1


def test_the_page_offers_it_only_when_it_is_set_up(settings: Any, url: str) -> None:
    assert "Log in with the university" in Client().get("/login").content.decode()
    provider.configure(settings, "")
    page = Client().get("/login").content.decode()
    assert "oidc" not in page
    assert Client().post("/login/oidc").status_code == 404
    assert Client().get("/login/oidc/callback?code=x&state=y").status_code == 404


def test_neither_mail_nor_name_leads_to_a_local_account(url: str, admin: User) -> None:
    User.objects.filter(pk=admin.pk).update(email="ada@uni.example")
    provider.knows(url, "evil", preferred_username="ADA", email="ada@uni.example", email_verified=True)
    client, answer = provider.log_in("evil")
    assert answer.headers["Location"] == "/"
    other = SocialAccount.objects.get().user
    assert (other.username, other.role) == ("ADA2", "user")
    assert client.get("/people/").status_code == 404
    admin.refresh_from_db()
    assert admin.check_password("correct horse 7")


def test_the_same_subject_of_another_provider_is_somebody_else(settings: Any, url: str) -> None:
    provider.knows(url, "s1", preferred_username="anna")
    provider.log_in("s1")
    with provider.running() as other:
        provider.configure(settings, other)
        provider.knows(other, "s1", preferred_username="anna")
        provider.log_in("s1")
    assert sorted(User.objects.values_list("username", flat=True)) == ["anna", "anna2"]


def test_roles_and_groups_follow_at_each_login(settings: Any, url: str, admin: User) -> None:
    roles = [("operator", "staff"), ("administrator", "Drover Admins")]
    provider.configure(settings, url, OIDC_ROLES=roles, OIDC_GROUPS=[("Networks", "course-1")])
    provider.knows(url, "s2", preferred_username="bert", groups=["staff", "drover admins", "course-1"])
    provider.log_in("s2")
    bert = User.objects.get(username="bert")
    assert bert.role == Role.ADMINISTRATOR
    assert [group.name for group in bert.member_of.all()] == ["Networks"]
    provider.knows(url, "s2", preferred_username="bert", groups=["other"])
    provider.log_in("s2")
    bert.refresh_from_db()
    assert bert.role == Role.USER
    assert not bert.member_of.exists()
    assert Group.objects.filter(name="Networks").exists()
    assert Entry.objects.filter(action="access.person_changed", key=str(bert.pk)).count() >= 2


def test_without_a_mapping_it_says_nothing_of_roles(url: str) -> None:
    provider.knows(url, "s3", preferred_username="carl", groups=["drover-admins"])
    provider.log_in("s3")
    User.objects.update(role=Role.OPERATOR)
    provider.log_in("s3")
    assert User.objects.get().role == Role.OPERATOR


def test_who_is_deactivated_stays_out(url: str) -> None:
    provider.knows(url, "s4", preferred_username="dora")
    provider.log_in("s4")
    User.objects.update(is_active=False)
    client, answer = provider.log_in("s4")
    assert answer.headers["Location"] == "/login"
    assert "may not log in" in client.get("/login").content.decode()
    assert client.get("/profile").status_code == 302
    assert Entry.objects.filter(action="access.login", result="failed", who="dora").count() == 1


def told(client: Client, answer: Any) -> str:
    assert answer.headers["Location"] == "/login"
    assert client.get("/profile").status_code == 302
    return str(client.get("/login").content.decode())


def test_what_the_provider_denies(url: str) -> None:
    client = Client()
    state = parse_qs(urlsplit(provider.begun(client)).query)["state"][0]
    answer = client.get("/login/oidc/callback", {"error": "access_denied", "state": state})
    assert "cancelled there" in told(client, answer)


@pytest.mark.parametrize("query", ["", "code=guess", "code=guess&state=guess", "state=guess&error=x", "error=a&state="])
def test_a_made_up_answer(query: str) -> None:
    client = Client()
    assert "began elsewhere" in told(client, client.get(f"/login/oidc/callback?{query}"))
    assert not User.objects.exists()


def test_an_answer_counts_once_and_in_its_own_browser(url: str) -> None:
    provider.knows(url, "s5", preferred_username="emil")
    mine = Client()
    back = provider.agreed(provider.begun(mine), "s5")
    other = Client()
    assert "began elsewhere" in told(other, other.get(back))
    assert mine.get(back).headers["Location"] == "/"
    assert Client().get(back).headers["Location"] == "/login"
    assert mine.get(back).headers["Location"] == "/"  # logged in already
    assert User.objects.count() == 1


def test_a_provider_that_is_away(settings: Any) -> None:
    provider.configure(settings, "http://localhost:9")
    client = Client()
    assert "does not answer" in told(client, client.post("/login/oidc"))


def test_it_leads_nowhere_else(url: str) -> None:
    provider.knows(url, "s7", preferred_username="gerd")
    _client, answer = provider.log_in("s7", next="https://evil.example/")
    assert answer.headers["Location"] == "/"


def test_there_is_no_local_password_to_set(url: str) -> None:
    provider.knows(url, "s8", preferred_username="hans")
    client, _answer = provider.log_in("s8")
    assert client.get("/profile/password").headers["Location"] == "/profile"
    words = {"old_password": "", "new_password1": "chosen horse 8", "new_password2": "chosen horse 8"}
    client.post("/profile/password", words)
    assert not User.objects.get().has_usable_password()


def test_the_button_works_under_our_policy(url: str) -> None:
    """A form may lead nowhere but to us: the page in between does it, by an address that the provider takes."""
    page = Client().post("/login/oidc")
    assert "form-action 'self'" in page.headers["Content-Security-Policy"]
    there = requests.get(provider.begun(Client()), timeout=5)
    assert there.status_code == 200
    assert "code_challenge_method=S256" in there.url


def test_local_accounts_stay(admin: User) -> None:
    make_user("bert")
    client = Client()
    assert client.post("/login", {"username": "ada", "password": "correct horse 7"}).status_code == 302
    assert Entry.objects.get(action="access.login").details == {"way": "password"}
