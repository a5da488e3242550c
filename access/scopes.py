"""What an API token is for: less than all that its person may do."""

from collections.abc import Iterable

from django.utils.translation import gettext_lazy as _

AREAS = [
    ("vms", _("VMs and their consoles")),
    ("requests", _("offers, requests, leases, quotas")),
    ("hosts", _("hosts and networks")),
    ("storage", _("pools and images")),
    ("people", _("people, groups, grants, the audit")),
    ("profile", _("one's own keys and notices")),
]
NAMES = frozenset(name for name, _words in AREAS)


def sorted_areas(areas: Iterable[str]) -> list[str]:
    """Each once, as they are listed; all of them is no limit at all, also not for what comes later."""
    given = set(areas)
    return [name for name, _words in AREAS if name in given]


def words_of(areas: Iterable[str]) -> list[str]:
    labels = dict(AREAS)
    return [str(labels.get(name, name)) for name in areas]
