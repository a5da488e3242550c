"""Links to a VM's screen without a login: random, hashed at rest, with an end; over with their maker's right."""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from access.models import User
from access.people import Denied
from access.rules import can, is_somebody
from ui import locks
from vms.models import ScreenLink, Vm

USUAL_DAYS, MOST_DAYS = 1, 30
MOST = 20  # of one VM
WRONG_A_MINUTE = 30  # from one address


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def of(vm: Vm) -> list[ScreenLink]:
    """Those that are still good, newest first."""
    rows = vm.screen_links.filter(until__gt=timezone.now()).select_related("made_by")
    return [link for link in rows if holds(link)]


def holds(link: ScreenLink) -> bool:
    """Whoever made it must still be able to: it ends when the VM is somebody else's."""
    maker = link.made_by
    return link.until > timezone.now() and is_somebody(maker) and can(maker, "vms.share", link.vm)


@transaction.atomic
def make(actor: User, vm: Vm, days: int) -> tuple[ScreenLink, str]:
    """A new link and its secret, which is not kept anywhere. Raises Denied."""
    if not (can(actor, "vms.share", vm) and can(actor, "vms.console", vm)):
        raise Denied(_("You may not share it."))
    if not 1 <= days <= MOST_DAYS:
        raise Denied(_("Between 1 and %(n)s days.") % {"n": MOST_DAYS}, "days")
    locks.hold(vm)
    if len(of(vm)) >= MOST:
        raise Denied(_("It has %(n)s links already: end one first.") % {"n": MOST})
    secret = secrets.token_urlsafe(32)
    until = timezone.now() + timedelta(days=days)
    return ScreenLink.objects.create(vm=vm, digest=digest(secret), made_by=actor, until=until), secret


def find(secret: str) -> ScreenLink | None:
    """The link of this secret, if it is still good."""
    found = ScreenLink.objects.select_related("made_by", "vm__host").filter(digest=digest(secret)).first()
    return found if found is not None and holds(found) else None


def good(keys: Iterable[int]) -> set[int]:
    """Those of the links, by primary key, that are still good."""
    rows = ScreenLink.objects.select_related("made_by", "vm").filter(pk__in=set(keys))
    return {link.pk for link in rows if holds(link)}
