"""What an entry is about: kind, key and label of any row, and the page of it."""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from django.apps import apps
from django.db.models import Model
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from access.rules import Person, visible
from ui.forms import number_in
from ui.text import Text

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Thing(NamedTuple):
    kind: str = ""
    key: str = ""
    label: str = ""


class Kind(NamedTuple):
    model: str
    label: Text
    page: str = ""  # name of the address of one; "" without a page
    key: str = "pk"
    permission: str = ""  # to see its page, if another than to see its row


# The rooms above are looked up by name.
KINDS = {
    "vm": Kind("vms.Vm", _("VM"), "vms:detail", "uuid"),
    "host": Kind("hosts.Host", _("host"), "hosts:detail"),
    "pool": Kind("storage.Pool", _("pool"), "storage:pool"),
    "image": Kind("storage.Image", _("image"), "storage:image"),
    "network": Kind("hosts.Network", _("network"), "hosts:network"),
    "job": Kind("jobs.Job", _("job"), "jobs:detail"),
    "person": Kind("access.User", _("person"), "access:person", permission="access.view"),
    "group": Kind("access.Group", _("group"), "access:group"),
    "membership": Kind("access.Membership", _("membership")),
    "grant": Kind("access.Grant", _("grant")),
    "token": Kind("access.ApiToken", _("API token")),
    "required-factor": Kind("access.RequiredFactor", _("required second factor")),
    "invitation": Kind("access.Invitation", _("invitation")),
    "ssh-key": Kind("access.SshKey", _("SSH key")),
    "screen-link": Kind("vms.ScreenLink", _("view-only link")),
    "quota": Kind("selfservice.Quota", _("quota")),
    "offer": Kind("selfservice.Offer", _("offer"), "selfservice:offer"),
    "request": Kind("selfservice.Request", _("request"), "selfservice:request"),
    "class": Kind("selfservice.LabClass", _("class"), "selfservice:class"),
}
KIND_OF = {kind.model: name for name, kind in KINDS.items()}


def thing_of(row: Model) -> Thing:
    """A row as entries name it."""
    kind = KIND_OF.get(row._meta.label, row._meta.model_name or "")
    key = getattr(row, KINDS[kind].key if kind in KINDS else "pk")
    return Thing(kind, str(key), str(row))


def _is_key(kind: Kind, key: str) -> bool:
    return bool(UUID.fullmatch(key)) if kind.key == "uuid" else number_in(key) is not None


def pages_of(user: Person, things: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The addresses of those that still exist and that this person may see. One query a kind."""
    keys: dict[str, set[str]] = {}
    for name, key in things:
        if name in KINDS and KINDS[name].page and _is_key(KINDS[name], key):
            keys.setdefault(name, set()).add(key)
    found: dict[tuple[str, str], str] = {}
    for name, wanted in keys.items():
        kind = KINDS[name]
        rows: Any = apps.get_model(kind.model)._default_manager.filter(**{f"{kind.key}__in": wanted})
        for key in visible(user, rows, kind.permission).values_list(kind.key, flat=True):
            found[name, str(key)] = reverse(kind.page, args=[key])
    return found
