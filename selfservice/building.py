"""From an approved request to rows of VMs."""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from jobs.errors import Refused
from jobs.models import Job
from jobs.states import ACTIVE
from selfservice import first_boot, naming, offers, quotas
from selfservice.models import Request, Reservation
from vms import creation
from vms.models import Vm
from vms.spec import FirstBoot, NewVms, NicWish
from vms.states import VmState


@dataclass
class PatternedVms(NewVms):
    """VMs that are called after a pattern; `several` of them were asked for, of which `count` are missing."""

    pattern: str = ""
    several: int = 1

    def names(self) -> list[str]:
        return naming.free(self.pattern, self.several, self.count)


def missing(request: Request) -> list[Reservation]:
    """Reservations without a VM. A half-made VM whose job has ended and could not tidy up is no VM of theirs."""
    found = list(request.reservations.filter(released_at=None).select_related("vm"))
    for one in found:
        if one.vm is not None and one.vm.observed_state == VmState.CREATING and not _is_being_made(one.vm):
            Reservation.objects.filter(pk=one.pk).update(vm=None)
            one.vm = None
    return [one for one in found if one.vm is None]


def _is_being_made(vm: Vm) -> bool:
    jobs = Job.objects.filter(target_kind="vm", target_key=str(vm.uuid), state__in=ACTIVE)
    return jobs.exists()


def finished(request: Request) -> list[Reservation]:
    """Open reservations whose VM is there."""
    rows = request.reservations.filter(released_at=None, vm__isnull=False)
    return list(rows.exclude(vm__observed_state=VmState.CREATING))


def wish_of(request: Request) -> PatternedVms:
    """What is to be made now. Raises Refused if the image or the pool of the offer is gone."""
    version, count = request.version, len(missing(request))
    image = offers.image_of(version)
    if image is None:
        raise Refused(_("The image %(name)s is gone.") % {"name": version.family}, field="image")
    if version.pool is None:
        raise Refused(_("The pool %(name)s is gone.") % {"name": version.pool_name}, field="pool")
    kind, _colon, network = version.network.partition(":")
    wish = PatternedVms(
        name=request.pattern,
        pattern=request.pattern,
        several=request.count,
        count=count,
        owner=request.asker_id,
        image=image.pk,
        pool=version.pool.pk,
        disk_bytes=request.disk_bytes,
        vcpus=request.vcpus,
        memory_bytes=request.memory_bytes,
        nics=[NicWish(network=network if kind == "network" else "", bridge=network if kind == "bridge" else "")],
        first_boot=FirstBoot(
            user=version.login,
            ssh_keys=list(request.ssh_keys),
            user_data=first_boot.filled(version.user_data, request.values),
        ),
    )
    wish.name = wish.names()[0] if count == 1 else naming.split(request.pattern, request.count)[0].rstrip("-") or "vm"
    return wish


def ready(wish: PatternedVms) -> list[str]:
    return creation.ready(wish)


def rows(request: Request, wish: PatternedVms, references: list[str]) -> list[dict[str, Any]]:
    """The VMs' rows, each in the place of a reservation. Returns what their jobs must be told."""
    vms, params = creation.rows(request.asker, wish, references)
    for one, vm in zip(missing(request), vms, strict=True):
        quotas.attach(one, vm)
    Vm.objects.filter(pk__in=[vm.pk for vm in vms]).update(group=request.group)
    return [{"uuid": str(vm.uuid), "params": one} for vm, one in zip(vms, params, strict=True)]


def plain(refused: Refused) -> str:
    """Why nothing could be begun, for who asked: they know nothing of hosts and pools."""
    words = {
        "image": _("The image of this offer is not there any more. An administrator has to look at the offer."),
        "pool": _("The place for its disk is not there any more. An administrator has to look at the offer."),
        "nics-0-source": _("Its network is not there any more. An administrator has to look at the offer."),
        "host": _("There is no room for it at the moment. Try again later, or ask an administrator."),
    }
    return words.get(refused.field, _("It can't be made as it is. An administrator can see why."))
