"""What a token is for, asked at each call: it reads only, or is for some areas of the API."""

from typing import TypeVar

from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _

from access.models import ApiToken
from jobs.models import Job

M = TypeVar("M", bound=Model)
READING = {"GET", "HEAD", "OPTIONS"}
ANY = "any"  # for every token: the call itself looks closer
WHOLE = ""  # for tokens that are not limited to areas
# By the first word of a call's path. What is not named here is for tokens without a limit.
AREA_OF = {
    "vms": "vms",
    "requests": "requests",
    "offers": "requests",
    "leases": "requests",
    "classes": "requests",
    "quotas": "requests",
    "hosts": "hosts",
    "networks": "hosts",
    "pools": "storage",
    "images": "storage",
    "uploads": "storage",
    "people": "people",
    "groups": "people",
    "grants": "people",
    "invitations": "people",
    "audit": "people",
    "ssh-keys": "profile",
    "notices": "profile",
    "jobs": ANY,
    "tokens": WHOLE,
}
# By the room of a job's operation.
ROOMS = {"vms": "vms", "selfservice": "requests", "hosts": "hosts", "storage": "storage"}


class OutOfScope(PermissionDenied):
    """The person may perhaps do this; this token may not."""


def token_of(request: HttpRequest) -> ApiToken | None:
    """What the call came with; None for a web session."""
    return getattr(request, "api_token", None)


def check(token: ApiToken, request: HttpRequest) -> None:
    """Raise OutOfScope if this call is not what the token is for."""
    if not token.may_change and request.method not in READING:
        raise OutOfScope(_("This token only reads."))
    if token.areas:
        word = request.path_info.removeprefix("/api/v1/").partition("/")[0]
        area = AREA_OF.get(word, WHOLE)
        if area != ANY and area not in token.areas:
            raise OutOfScope(_("This token is not for /%(word)s.") % {"word": word})


def check_whole(request: HttpRequest) -> None:
    """Raise OutOfScope unless everything that the person may do can be done with this token."""
    token = token_of(request)
    if token is not None and token.is_limited:
        raise OutOfScope(_("This token is for less than everything: it can't make another."))


def jobs_within(request: HttpRequest, rows: QuerySet[Job]) -> QuerySet[Job]:
    """Those about what the token is for."""
    token = token_of(request)
    if token is None or not token.areas:
        return rows
    query = Q(pk__in=())
    for room, area in ROOMS.items():
        if area in token.areas:
            query |= Q(operation__startswith=f"{room}.")
    return rows.filter(query)
