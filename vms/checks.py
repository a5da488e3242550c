"""Checks of what people enter about a VM, shared by forms and operations. Database only."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from django.utils.translation import gettext as _

from jobs.errors import Refused
from virt import names
from vms.models import MacAddress, Vm

T = TypeVar("T")
MAX_TAGS = 20
MAX_TAG_LENGTH = 40


def words(refused: names.Refused) -> str:
    """What virt.names says, translated."""
    return _(refused.template) % refused.params


def checked(check: Callable[[T], T], value: T, field: str = "") -> T:
    """The value as the check returns it, or Refused for this field."""
    try:
        return check(value)
    except names.Refused as refused:
        raise Refused(words(refused), field=field) from refused


def name_problem(name: str, *, besides: Vm | None = None) -> str | None:
    """Why a VM can't have this name, or None. Names are unique in the cluster, so that people can't mix them up."""
    try:
        names.check_vm_name(name)
    except names.Refused as refused:
        return words(refused)
    twins = Vm.objects.filter(name=name)
    if besides is not None:
        twins = twins.exclude(pk=besides.pk)
    if twins.exists():
        return _("There is already a VM called %(name)s.") % {"name": name}
    return None


def mac_problem(mac: str) -> str | None:
    """Why this MAC can't be used, or None."""
    try:
        mac = names.check_mac(mac)
    except names.Refused as refused:
        return words(refused)
    row = MacAddress.objects.filter(mac=mac).select_related("vm").first()
    return _("%(vm)s has this address already.") % {"vm": row.vm} if row else None


def clean_tags(tags: Iterable[str]) -> list[str]:
    """Tags trimmed, each once, sorted. Raises Refused for the field "tags"."""
    found = sorted({" ".join(str(tag).split()) for tag in tags} - {""})
    if len(found) > MAX_TAGS:
        raise Refused(_("At most %(n)s tags.") % {"n": MAX_TAGS}, field="tags")
    for tag in found:
        if len(tag) > MAX_TAG_LENGTH:
            raise Refused(_("A tag has at most %(n)s characters.") % {"n": MAX_TAG_LENGTH}, field="tags")
        if "," in tag or not tag.isprintable():
            raise Refused(_("A tag has no comma and no control characters."), field="tags")
    return found
