"""Asking for VMs."""

from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from access import ssh_keys
from access.models import User
from access.people import Denied
from jobs import limits
from jobs.errors import Refused
from selfservice import deciding, first_boot, naming, offers, telling
from selfservice.models import OfferVersion, Request
from selfservice.sizes import SIZES, check_sizes, reserve
from selfservice.states import RequestState, Step
from selfservice.steps import note
from ui import locks

TOO_MANY = gettext_lazy("%(n)s of your requests wait already: nobody has decided about them yet.")


def ask(user: User, version: OfferVersion, wish: dict[str, Any]) -> Request:
    """Take a request: checked, reserved, and if it is so small that nobody has to decide, approved. Raises Refused.

    wish: pattern, count, the sizes, values, ssh_keys (texts), new_keys (texts, kept in the profile), reason, group.
    """
    if version.offer.is_archived or version.pk != version.offer.latest().pk:
        raise Refused(_("The offer has changed meanwhile: look at it again."))
    check_sizes(version, wish)
    naming.check(wish["pattern"], wish["count"])
    values = first_boot.clean(first_boot.Field.all_of(version.fields), wish["values"])
    if wish["group"] is not None and not wish["group"].memberships.filter(user=user).exists():
        raise Refused(_("You are not in this group."), field="group")
    columns = {name: wish[name] for name in ("pattern", "count", *SIZES, "group", "reason")}
    columns["ssh_keys"] = list(dict.fromkeys([*wish["ssh_keys"], *wish["new_keys"]]))
    with transaction.atomic():
        locks.hold(user)
        _keep(user, wish["new_keys"])
        waiting = Request.objects.filter(asker=user, state=RequestState.PENDING)
        limits.check(waiting, settings.MOST_OPEN_REQUESTS, TOO_MANY)
        request = Request(asker=user, version=version, values=values, lease_days=version.lease_days, **columns)
        request.save(force_insert=True)
        reserve(request)
        note(request, Step.ASKED, by=user, why=request.reason)
        if offers.is_free(version, request):
            deciding.settle(request, by=None, why=_("It is within what this offer gives by itself."))
        else:
            telling.waits(request)
    return request


def _keep(user: User, keys: list[str]) -> None:
    """In the profile, for the next time too."""
    if not keys:
        return
    try:
        ssh_keys.add(user, "\n".join(keys))
    except Denied as denied:
        raise Refused(denied.message, field="new_keys") from denied
