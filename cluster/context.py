"""What every page's frame needs. Everything is computed only if a template asks for it."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext_lazy as _

from access.rules import Person, can
from jobs.dock import dock
from notices.reading import unread
from selfservice.my import sees_more

# name of the address, permission to see it, icon, label
MENU = [
    ("cluster:overview", "hosts.view", "layout-dashboard", _("Overview")),
    ("cluster:my_vms", "vms.view", "stack-2", _("My VMs")),
    ("vms:index", "vms.view", "device-desktop", _("Virtual machines")),
    ("selfservice:offers", "selfservice.ask", "package", _("Offers")),
    ("selfservice:all_offers", "selfservice.catalogue", "package", _("Offers")),
    ("selfservice:requests", "selfservice.view", "inbox", _("Requests")),
    ("hosts:index", "hosts.view", "server-2", _("Hosts")),
    ("storage:index", "storage.view", "database", _("Storage")),
    ("storage:images", "storage.view", "disc", _("Images")),
    ("hosts:networks", "hosts.view", "network", _("Networks")),
    ("jobs:index", "jobs.view", "list-check", _("Jobs")),
    ("access:people", "access.view", "users", _("People")),
    ("access:groups", "groups.view", "users-group", _("Groups")),
    ("audit:index", "audit.view", "history", _("Audit")),
]
CLASSES = "/classes/"  # a group's, with addresses of their own
SHORT = {"vms:index": _("VMs")}  # on a phone


def address(name: str, user: Person, permission: str) -> str:
    """Where a page is, "" without the right to see it."""
    return reverse(name) if can(user, permission) else ""


def menu(request: HttpRequest) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    for name, permission, icon, label in MENU:
        url = address(name, request.user, permission)
        if name == "cluster:my_vms" and can(request.user, "hosts.view"):
            continue  # who works for all finds theirs behind their name
        if name == "vms:index" and not sees_more(request.user):
            continue  # the same as "My VMs", with another look
        if name == "access:groups" and can(request.user, "access.view"):
            continue  # a tab of "People"
        if name == "selfservice:all_offers" and can(request.user, "selfservice.ask"):
            continue  # a button of "Offers"
        if url:
            items.append({"url": url, "icon": icon, "label": label, "short": SHORT.get(name, label), "now": False})
    path = reverse("access:groups") if request.path.startswith(CLASSES) else request.path
    below = [item for item in items if path == item["url"] or path.startswith(item["url"])]
    nearest = max(below, key=lambda item: len(item["url"]), default=None)
    if nearest is not None and (nearest["url"] != "/" or request.path == "/"):
        nearest["now"] = True
    return items


def shell(request: HttpRequest) -> dict[str, Any]:
    user = getattr(request, "user", None)
    known = user is not None and user.is_authenticated
    return {
        "nav": SimpleLazyObject(lambda: menu(request)),
        "audit_url": SimpleLazyObject(lambda: address("audit:index", request.user, "audit.view")) if known else "",
        "has_dock": known and can(request.user, "jobs.view"),
        "dock": SimpleLazyObject(lambda: dock(request.user)),
        "unread": SimpleLazyObject(lambda: unread(request.user)),
    }
