"""The kinds of notices: rooms register theirs when they are loaded, and people choose by kind how they hear of it."""

from dataclasses import dataclass

from ui.text import Text

APP, MAIL = "app", "mail"


@dataclass(frozen=True)
class Kind:
    """name: stable, kept in the database. needs: the permission without which nobody gets any of it."""

    name: str
    label: Text
    help: Text = ""
    needs: str = ""
    icon: str = "bell"
    by_default: frozenset[str] = frozenset({APP, MAIL})


KINDS: dict[str, Kind] = {}


def register(*kinds: Kind) -> None:
    for kind in kinds:
        if KINDS.setdefault(kind.name, kind) != kind:
            raise ValueError(f"two kinds of notices are called {kind.name!r}")


def by_name(name: str) -> Kind:
    """A name that no room registered is a programming error."""
    if name not in KINDS:
        raise ValueError(f"unknown kind of notice {name!r}")
    return KINDS[name]
