"""Signing in with a directory (LDAP, Active Directory), by django-auth-ldap. Loaded only where one is configured.

A person is found by what identifies their entry for ever (entryUUID, objectGUID), never by a name: a name that is taken
here already is somebody else's, and who comes from the directory gets it with a number behind it.
"""

import logging
from typing import Any

import ldap
from django.conf import settings
from django.db import transaction
from django_auth_ldap.backend import LDAPBackend, LDAPSettings, ldap_error
from django_auth_ldap.config import LDAPSearch, NestedGroupOfNamesType, PosixGroupType

from access import outside
from access.models import DirectoryEntry, User
from access.names import free_name

log = logging.getLogger(__name__)
TIMEOUT_S = 5
FIELDS = {"first_name": ("givenName", 150), "last_name": ("sn", 150), "email": ("mail", 254)}
MEMBER_GROUPS = "(|(objectClass=groupOfNames)(objectClass=group))"


class Directory(LDAPBackend):
    """One directory, as the environment describes it (settings.LDAP)."""

    _settings: LDAPSettings | None = None

    @property
    def settings(self) -> LDAPSettings:
        if self._settings is None:
            self._settings = LDAPSettings(self.settings_prefix, described(settings.LDAP))
        return self._settings

    def get_or_build_user(self, username: str, ldap_user: Any) -> tuple[User, bool]:
        """Who the entry is here; made if nobody yet."""
        subject = subject_of(ldap_user.attrs)
        if not subject:
            log.warning("%s has no %s: nobody is made of it", ldap_user.dn, settings.LDAP["id"])
            raise ldap_user.AuthenticationFailed("no identity")
        known = DirectoryEntry.objects.select_related("user").filter(subject=subject).first()
        return (
            known.user if known else made(subject, first(ldap_user.attrs, settings.LDAP["name"]) or username)
        ), False

    def authenticate_ldap_user(self, ldap_user: Any, password: str) -> User | None:
        person: User | None = super().authenticate_ldap_user(ldap_user, password)
        if person is None or not person.is_active:
            return None
        copy_names(person, ldap_user.attrs)
        if settings.LDAP["groups_below"]:
            outside.apply(person, ldap_user.group_dns, outside.of_directory())
        return person


def described(facts: dict[str, Any]) -> dict[str, Any]:
    """In django-auth-ldap's words."""
    wanted = facts["filter"] or "(objectClass=person)"
    search = LDAPSearch(facts["people"], ldap.SCOPE_SUBTREE, f"(&{wanted}({facts['name']}=%(user)s))", ["*", "+"])
    found = {
        "SERVER_URI": facts["url"],
        "START_TLS": facts["start_tls"],
        "BIND_DN": facts["bind"],
        "BIND_PASSWORD": facts["password"],
        "USER_SEARCH": search,
        "CONNECTION_OPTIONS": options(facts["ca_file"]),
        "ALWAYS_UPDATE_USER": False,
    }
    if facts["groups_below"]:
        is_posix = facts["group_kind"] == "posix"
        kind = PosixGroupType() if is_posix else NestedGroupOfNamesType()
        which = "(objectClass=posixGroup)" if is_posix else MEMBER_GROUPS
        found |= {"GROUP_TYPE": kind, "GROUP_SEARCH": LDAPSearch(facts["groups_below"], ldap.SCOPE_SUBTREE, which)}
    return found


def options(ca_file: str) -> dict[int, Any]:
    """Nobody waits for a directory for long, and its certificate is checked."""
    found: dict[int, Any] = {
        ldap.OPT_NETWORK_TIMEOUT: TIMEOUT_S,
        ldap.OPT_TIMEOUT: TIMEOUT_S,
        ldap.OPT_REFERRALS: 0,
        ldap.OPT_X_TLS_REQUIRE_CERT: ldap.OPT_X_TLS_DEMAND,
    }
    if ca_file:
        found[ldap.OPT_X_TLS_CACERTFILE] = ca_file
    return {**found, ldap.OPT_X_TLS_NEWCTX: 0}  # last: it takes what was set before


def first(attrs: Any, name: str) -> str:
    """The first value of an attribute; bytes, and what only looks like text, as hexadecimal digits."""
    value = next(iter((attrs or {}).get(name, [])), "")
    if isinstance(value, str) and value.isprintable():
        return value
    return (value if isinstance(value, bytes) else str(value).encode()).hex()


def subject_of(attrs: Any) -> str:
    """The identity of an entry for ever, as text; objectGUID is bytes."""
    return first(attrs, settings.LDAP["id"])[:200]


@transaction.atomic
def made(subject: str, name: str) -> User:
    person = User(username=free_name(name))
    person.set_unusable_password()
    person.save(force_insert=True)
    DirectoryEntry.objects.create(user=person, subject=subject)
    return person


def copy_names(person: User, attrs: Any) -> None:
    """Names and mail are the directory's."""
    told = {field: first(attrs, name)[:most] for field, (name, most) in FIELDS.items()}
    changed = [field for field, value in told.items() if value and getattr(person, field) != value]
    for field in changed:
        setattr(person, field, told[field])
    if changed:
        person.save(update_fields=changed)


def is_away(sender: Any, request: Any = None, exception: Any = None, **more: Any) -> None:
    """So that the login page does not say that the password is wrong."""
    if request is not None and not isinstance(exception, ldap.INVALID_CREDENTIALS):
        request.directory_is_away = True


ldap_error.connect(is_away, dispatch_uid="access.directory")
