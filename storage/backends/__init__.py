"""One slice per kind of pool. A new kind is a file beside this one and a line in `_SLICES`.

A slice says what its form asks, which pool XML it needs, whether every host sees the same content, what a host must
have, and where its documentation lies.
"""

from django.utils.translation import gettext_lazy as _

from jobs.errors import Text
from storage.backends.base import Backend, Problem
from storage.backends.dir import DirBackend
from storage.backends.glusterfs import GlusterfsBackend
from storage.backends.nfs import NfsBackend
from virt.xml.pool import PoolSpec, source_key

__all__ = ["OTHER", "Backend", "Problem", "backend_of", "backends", "identity", "kind_choices", "recognise"]

_SLICES: tuple[Backend, ...] = (DirBackend(), NfsBackend(), GlusterfsBackend())
OTHER = "other"  # found on a host; shown and used, but not one that Drover defines


def backends() -> dict[str, Backend]:
    """Every kind of pool that Drover can define, in the order the pages show."""
    return {slice_.kind: slice_ for slice_ in _SLICES}


def backend_of(kind: str) -> Backend | None:
    return backends().get(kind)


def kind_choices() -> list[tuple[str, Text]]:
    return [*((slice_.kind, slice_.label) for slice_ in _SLICES), (OTHER, _("other"))]


def recognise(spec: PoolSpec) -> tuple[str, dict[str, str]]:
    """Kind and source of a pool that was found on a host; "other" if no slice knows it."""
    for slice_ in _SLICES:
        source = slice_.recognise(spec)
        if source is not None:
            return slice_.kind, source
    return OTHER, {"text": source_key(spec)}


def identity(spec: PoolSpec) -> str:
    """A text that is the same on two hosts if they hold the same pool: its source and where it appears."""
    key = source_key(spec)
    return (key if spec.kind == "dir" or not spec.target_path else f"{key} → {spec.target_path}")[:500]
