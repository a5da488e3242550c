"""Offers and requests for tests."""

from datetime import datetime
from typing import Any

from django.utils import timezone

from access.models import User
from selfservice import asking, offers, quotas, terms
from selfservice.models import Offer, Request
from selfservice.states import RequestState, Step
from selfservice.steps import change
from storage.models import Image, ImageState, Pool
from tests.factories import GIB, make_host, make_network, make_pool
from vms.models import Vm

MIB = 1024**2
VERSION: dict[str, Any] = {
    "family": "tiny",
    "is_pinned": False,
    "image": None,
    "network": "network:default",
    "most_vms": 5,
    "least_vcpus": 1,
    "vcpus": 1,
    "most_vcpus": 4,
    "least_memory_bytes": 256 * MIB,
    "memory_bytes": GIB,
    "most_memory_bytes": 4 * GIB,
    "least_disk_bytes": GIB,
    "disk_bytes": 10 * GIB,
    "most_disk_bytes": 20 * GIB,
    "login": "",
    "user_data": "",
    "fields": [],
    "lease_days": 14,
    "most_lease_days": 60,
    "approval": "always",
    "free_vms": None,
    "free_vcpus": None,
    "free_memory_bytes": None,
    "free_disk_bytes": None,
}
ABOUT = {"summary": "A small Linux", "text": "For **trying**.", "position": 100, "is_for_everybody": True}
WISH: dict[str, Any] = {
    "pattern": "web",
    "count": 1,
    "vcpus": 1,
    "memory_bytes": GIB,
    "disk_bytes": 10 * GIB,
    "values": {},
    "ssh_keys": [],
    "new_keys": [],
    "reason": "for the course",
    "group": None,
}


def make_place() -> Pool:
    """A host with a pool, a network and an image: all that an offer needs."""
    host = make_host("vmhost1")
    pool = make_pool("vmstorage", host)
    make_network("default", host)
    volume = {"volume_name": "tiny.qcow2", "virtual_size_bytes": GIB, "path": "/x/tiny.qcow2"}
    Image.objects.create(name="tiny", version="1", pool=pool, state=ImageState.READY, **volume)
    return pool


def make_offer(by: User, name: str = "Tiny Linux", pool: Pool | None = None, **more: Any) -> Offer:
    pool = pool or Pool.objects.first() or make_place()
    given = {"name": name, **ABOUT, "groups": [], "people": [], **VERSION, "pool": pool, "pool_name": pool.name}
    return offers.save(by, None, {**given, **more})


def change_offer(by: User, offer: Offer, **more: Any) -> Offer:
    now = offer.latest()
    data = {name: getattr(now, name) for name in offers.VERSION_COLUMNS}
    data |= {name: getattr(offer, name) for name in (*offers.COLUMNS, "is_for_everybody")}
    data |= {"groups": list(offer.groups.all()), "people": list(offer.people.all())}
    return offers.save(by, offer, {**data, **more})


def ask(user: User, offer: Offer, **more: Any) -> Request:
    return asking.ask(user, offer.latest(), {**WISH, **more})


def make_leased(user: User, offer: Offer, *vms: Vm, now: datetime | None = None, **more: Any) -> Request:
    """A request that is ready since `now`, with these VMs of the person's."""
    request = ask(user, offer, count=len(vms), **more)
    change(request, RequestState.APPROVED, Step.APPROVED, by=None)
    change(request, RequestState.BUILDING, Step.BEGUN, by=None)
    for one, vm in zip(request.reservations.all(), vms, strict=True):
        quotas.attach(one, vm)
        Vm.objects.filter(pk=vm.pk).update(owner=user, group=request.group)
    quotas.release("it is there", request=request)
    change(request, RequestState.READY, Step.READY, by=None, **terms.begin(request, now or timezone.now()))
    return request
