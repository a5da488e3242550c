"""What one request may be, by its offer and by the quotas."""

from typing import Any

from django.utils.translation import gettext as _

from access.models import User
from jobs.errors import Refused
from selfservice import quotas
from selfservice.models import OfferVersion, Request, Reservation
from ui import text

SIZES = ("vcpus", "memory_bytes", "disk_bytes")


def check_sizes(version: OfferVersion, wish: dict[str, Any]) -> None:
    """Raise Refused for a size that the offer does not allow."""
    if not 1 <= wish["count"] <= version.most_vms:
        words = _("At most %(n)s of these in one request.") if version.most_vms > 1 else _("One in one request.")
        raise Refused(words % {"n": version.most_vms}, field="count")
    for name in SIZES:
        least, most = getattr(version, f"least_{name}"), getattr(version, f"most_{name}")
        if not least <= wish[name] <= most:
            show = text.size if name.endswith("_bytes") else text.number
            words = _("Between %(least)s and %(most)s.") if least < most else _("This offer has %(most)s.")
            raise Refused(words % {"least": show(least), "most": show(most)}, field=name)


def fields_of(refused: Refused) -> Refused:
    """A refusal by a quota, beside the field of the form that it is about."""
    about = {"vms": "count", "running_vms": "count"}
    return Refused(refused.message, field=about.get(refused.field, refused.field))


def reserve(request: Request, *, told: User | None = None) -> None:
    """For each of its VMs, all or none. Raises Refused with the form's field. The request's row is there."""
    label = _("%(names)s, asked for") % {"names": request.pattern}
    try:
        made = quotas.reserve(request.asker, request.amounts(), label, request.group, told=told)
    except Refused as refused:
        raise fields_of(refused) from refused
    Reservation.objects.filter(pk__in=[one.pk for one in made]).update(request=request)
